"""The ways to the relays: which are open, and what faults, pauses and weights do to each. They never touch a letter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from campaign.actions.kit import Kit, Relay
from campaign.actions.sharing import Share, Shares
from campaign.domain.replies import Answer, Scope, judge
from campaign.logs import get_log, masked
from campaign.store import relays

_log = get_log()
_LOOK: Final = 1.0
"""Seconds between two looks at which relays rest or are paused: so long may a pause take to be noticed."""


class Lane:
    """One relay while it is open: what its connections share."""

    def __init__(self, kit: Kit, relay: Relay, drain: Drain) -> None:
        """Lead to `relay` as a part of `drain`."""
        self._kit, self._drain = kit, drain
        self.transport, self.name = relay.transport, relay.name
        self.connections = relay.connections or kit.settings.connections
        self.share = Share(relay.weight, self.connections, kit.clock.monotonic)
        self.faulty = True
        """Whether faults may be on record that the next good answer takes away."""
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether nothing more may go this way for now."""
        return self._closed or self._drain.over

    def close(self) -> None:
        """Let nothing more go this way; letters in hand are the other lanes'."""
        if not self._closed:
            self._closed = True
            self._drain.shares.leave(self.share)

    def end_drain(self) -> None:
        """Let nothing more go any way during this drain."""
        self._drain.end()

    def ready(self) -> bool:
        """Say whether this lane may take a letter now."""
        return not self._drain.shares.several or self._drain.shares.may_take(self.share)

    def took(self) -> None:
        """Count a letter that this lane took."""
        if self._drain.shares.several:
            self._drain.shares.took(self.share)

    async def well(self) -> None:
        """Forget the faults of a relay that works."""
        self.faulty = False  # first, so that the other connections do not do it, too
        async with self._kit.store.begin() as tx:
            await relays.well(tx, self.name)

    async def fault(self, answer: Answer) -> None:
        """Count a fault of the relay; from the third in a row, or for wrong settings at once, the lane rests."""
        verdict = judge(answer, first_attempt=True)
        said = masked(str(answer.reply) if answer.reply else answer.fault or "")
        self.faulty = True
        async with self._kit.store.begin() as tx:
            stop = verdict.scope is Scope.CONFIGURATION
            until = await relays.fault(tx, self.name, f"{answer.phase}: {said}", self._kit.clock.now(), stop=stop)
        _log.warning(
            "relay_fault", relay=self.name, phase=answer.phase, said=said, resting_until=until and until.isoformat()
        )
        if until is not None:
            self.close()


class Drain:
    """All lanes of one drain: opens them, looks again while it lasts, and ends with the last of them."""

    def __init__(self, kit: Kit, stopping: asyncio.Event) -> None:
        """End when `stopping` is set; no lane is open before the first look."""
        self._kit, self._stopping = kit, stopping
        self.shares = Shares()
        self._lanes: dict[str, Lane] = {}
        self._ended = False

    @property
    def over(self) -> bool:
        """Whether nothing more may go any way."""
        return self._ended or self._stopping.is_set()

    @property
    def closed(self) -> bool:
        """Whether there is no way open."""
        return self.over or all(lane.closed for lane in self._lanes.values())

    @property
    def connections(self) -> int:
        """How many connections the open lanes have."""
        return sum(lane.connections for lane in self._lanes.values() if not lane.closed)

    def end(self) -> None:
        """Let nothing more go any way."""
        self._ended = True

    async def look(self) -> list[Lane]:
        """Open the lanes of relays that neither rest nor are paused, and close those that do; return the new ones."""
        async with self._kit.store.read() as tx:
            known = {one.name: one for one in await relays.every(tx)}
        now, new = self._kit.clock.now(), []
        for relay in self._kit.require_relays():
            lane, standing = self._lanes.get(relay.name), known.get(relay.name)
            if standing is not None and not standing.is_open(now):
                if lane is not None:
                    lane.close()
            elif lane is None or lane.closed:
                self._lanes[relay.name] = lane = Lane(self._kit, relay, self)
                self.shares.join(lane.share)
                new.append(lane)
        return new

    async def watch(self, opened: Callable[[list[Lane]], None]) -> None:
        """Look again and again, and hand over the lanes that open; a database that is away is asked another time."""
        while not self.closed:
            await asyncio.sleep(_LOOK)
            try:
                opened(await self.look())
            except Exception as error:  # noqa: BLE001 -- what flies must land, and claims say that it is away, too
                _log.warning("relays_not_seen", error=str(error))
