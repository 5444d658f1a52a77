"""The ways to the relays: which are open, and what faults, pauses and weights do to each. They never touch a letter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from campaign.actions import alerting
from campaign.actions.kit import Kit, Relay
from campaign.actions.pacing import Pacer, Pool
from campaign.actions.sharing import Share, Shares
from campaign.actions.slowing import Manners
from campaign.domain.pace import MICRO, PATIENCE, Span, first, room
from campaign.domain.replies import Answer, Scope, judge
from campaign.logs import get_log, masked
from campaign.store import paces, permits, relays
from campaign.store.claims import Claimed
from campaign.store.engine import DatabaseAway, Transaction
from campaign.store.permits import Ask, micros
from campaign.store.writer import Writer

_log = get_log()
_LOOK: Final = 1.0
"""Seconds between two looks at which relays rest or are paused: so long may a pause take to be noticed."""
_OUTLOOK: Final = 5 * MICRO
"""No more letters are claimed than may go within so long."""
_ENOUGH: Final = 1_000
"""Letters within that time which are as good as no limit: no more are ever in hand."""
_STUCK: Final = 0.02
_ACCUSED: Final = 30.0
"""Seconds after which a domain counts again at whose recipients lines break off, while no letter goes through."""


class Lane:
    """One relay while it is open: what its connections share."""

    def __init__(self, kit: Kit, relay: Relay, drain: Drain) -> None:
        """Lead to `relay` as a part of `drain`."""
        self._kit, self._drain, self._relay = kit, drain, relay
        self.transport, self.name = relay.transport, relay.name
        self.connections = relay.connections or kit.settings.connections
        self.share = Share(relay.weight, self.connections, kit.clock.monotonic)
        self.faulty = True
        """Whether faults may be on record that the next good answer takes away."""
        self._accused: dict[str, float] = {}
        """Domains at whose recipients a line broke off since a letter went through, and when that counted last."""
        self._in_order = asyncio.Lock()
        """Faults, and the good answers that end them, are written down in the order in which they came."""
        self.room: int | None = None
        """How many letters may go within the next seconds; None is no limit."""
        self._pool: Pool | None = None
        self._permits: dict[int, int] = {}
        """For which instant a letter took its permit, until it comes to its end."""
        if relay.limits:
            self._pool = Pool(drain.pacer, (relay.name, ""), self.limits)
            self._pool.heard = self._heard
        self.manners = Manners(kit, relay.name, drain.pacer)
        self._stuck_until = self._starved_at = float("-inf")
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
            if self._pool is not None:
                self._pool.close()

    def end_drain(self) -> None:
        """Let nothing more go any way during this drain."""
        self._drain.end()

    def limits(self) -> dict[Span, int]:
        """Return the relay's limits as they are today."""
        return self._relay.limits.on(self._kit.clock.now().date())

    def ready(self) -> bool:
        """Say whether this lane may take a letter now: it has a permit, and it is its turn."""
        if self._pool is not None:
            self.share.limited = not self._pool.at_hand()
            if self.share.limited:
                return False
        return not self._drain.shares.several or self._drain.shares.may_take(self.share)

    @property
    def stock(self) -> int:
        """How many permits it has or will have at once, be it for a moment to come."""
        return 0 if self._pool is None else self._pool.stock

    async def glance(self) -> None:
        """Wait a little until this lane may be ready."""
        if self._pool is not None and self.share.limited:
            await self.share.glance(self._pool.seconds_until())
        else:
            await self.share.glance()

    @property
    def choosy(self) -> bool:
        """Whether some recipient domains may take letters this way and others not."""
        return self.manners.needed

    def allows(self, domain: str) -> bool:
        """Say whether a letter to this domain may go this way now."""
        return self.manners.allows(domain)

    @property
    def stuck(self) -> bool:
        """Whether no letter in hand could go this way a moment ago."""
        return self._kit.clock.monotonic() < self._stuck_until and not self.manners.changed.is_set()

    @property
    def starved(self) -> bool:
        """Whether there were letters in hand lately, and none of them could go this way."""
        return self._kit.clock.monotonic() - self._starved_at < _LOOK

    def stick(self, *, starving: bool) -> None:
        """Remember for a moment that no letter in hand may go this way, so that not every connection looks."""
        now = self._kit.clock.monotonic()
        self._stuck_until = now + _STUCK
        self.manners.changed.clear()
        if starving:
            self._starved_at = now

    def landed(self, letter: Claimed) -> None:
        """Note that a letter came to its end: another one to its domain may go."""
        self._permits.pop(letter.id, None)
        if self.manners.needed:
            self.manners.landed(letter.domain)
            self.manners.changed.set()
            self.share.wake()

    def unsent(self, letter: Claimed) -> None:
        """Note that a letter it took never set out: its permit is another letter's."""
        instant = self._permits.pop(letter.id, None)
        if self._pool is not None and instant is not None:
            self._pool.give_back(instant)

    def took(self, letter: Claimed) -> None:
        """Count a letter that this lane took."""
        if self.manners.needed:
            self.manners.took(letter.domain)
        if self._pool is not None:
            if (instant := self._pool.take()) is not None:
                self._permits[letter.id] = instant
            self.room = None if self.room is None else max(self.room - 1, 0)
        if self._drain.shares.several:
            self._drain.shares.took(self.share)

    def _heard(self, pool: Pool) -> None:
        """Let connections go on that wait for a permit; where the next one is far off, close."""
        if pool.seconds_until() * MICRO > PATIENCE:
            self.close()
        for _ in range(self.connections):
            self.share.wake()

    async def well(self) -> None:
        """Forget the faults of a relay that works."""
        self.faulty = False  # first, so that the other connections do not do it, too
        async with self._in_order:
            try:
                async with self._kit.store.begin() as tx:
                    await relays.well(tx, self.name)
                    await alerting.relay_well(self._kit, tx, self.name)
            except Exception:
                self.faulty = True  # the faults are still on record: the next good answer takes them away
                raise
            self._accused.clear()

    async def fault(self, answer: Answer, domain: str | None = None) -> None:
        """Count a fault of the relay; from the third in a row, or for wrong settings at once, the lane rests.

        Faults that may be the fault of a recipient `domain` count once in half a minute until a letter goes through.
        """
        self.faulty = True  # before its turn: a good answer that comes after it is to be written down after it
        async with self._in_order:
            now = self._kit.clock.monotonic()
            if domain is None:
                await self._count(answer)
            elif now - self._accused.get(domain, float("-inf")) >= _ACCUSED:
                await self._count(answer)
                self._accused[domain] = now

    async def _count(self, answer: Answer) -> None:
        verdict = judge(answer, first_attempt=True)
        said = masked(str(answer.reply) if answer.reply else answer.fault or "")
        async with self._kit.store.begin() as tx:
            stop = verdict.scope is Scope.CONFIGURATION
            until = await relays.fault(tx, self.name, f"{answer.phase}: {said}", self._kit.clock.now(), stop=stop)
        _log.warning(
            "relay_fault", relay=self.name, phase=answer.phase, said=said, resting_until=until and until.isoformat()
        )
        if until is not None:
            self.close()
            await alerting.relay_rests(self._kit, self.name, verdict.reason, f"{answer.phase}: {said}")


class Drain:
    """All lanes of one drain: opens them, looks again while it lasts, and ends with the last of them."""

    def __init__(self, kit: Kit, stopping: asyncio.Event, writer: Writer) -> None:
        """End when `stopping` is set; ask for permits through `writer`. No lane is open before the first look."""
        self._kit, self._stopping = kit, stopping
        self.pacer = Pacer(kit, writer)
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

    @property
    def room(self) -> int | None:
        """How many letters may go within the next seconds, over all open lanes; None is no limit."""
        rooms = [lane.room for lane in self._lanes.values() if not lane.closed]
        return None if None in rooms else sum(found for found in rooms if found is not None)

    @property
    def paused_domains(self) -> frozenset[str]:
        """The domains to which no open lane may hand anything."""
        found = [lane.manners.paused for lane in self._lanes.values() if not lane.closed]
        return frozenset.intersection(*found) if found else frozenset()

    @property
    def starving(self) -> bool:
        """Whether some lane found no letter in hand that may go its way."""
        return any(lane.starved for lane in self._lanes.values() if not lane.closed)

    def end(self) -> None:
        """Let nothing more go any way."""
        self._ended = True

    async def look(self) -> list[Lane]:
        """Open the lanes of relays that may be handed letters, and close those that may not; return the new ones.

        A relay may not while it rests, is paused, or has used up a limit for longer than a few seconds.
        """
        began, new = self._kit.clock.monotonic(), []
        async with self._kit.store.read() as tx:
            known = {one.name: one for one in await relays.every(tx)}
            slowed = await paces.every(tx)
            rooms = {relay.name: await self._room(tx, relay) for relay in self._kit.require_relays()}
        for relay in self._kit.relays:
            lane, standing = self._lanes.get(relay.name), known.get(relay.name)
            if rooms[relay.name] == 0 or (standing is not None and not standing.is_open(self._kit.clock.now())):
                if lane is not None:
                    lane.close()
                continue
            if lane is None or lane.closed:
                self._lanes[relay.name] = lane = Lane(self._kit, relay, self)
                self.shares.join(lane.share)
                new.append(lane)
            lane.room = rooms[relay.name]
            lane.manners.learn(slowed, began)
        return new

    async def _room(self, tx: Transaction, relay: Relay) -> int | None:
        """Return how many letters a relay may be handed in the next seconds; 0 where the first of them is far off.

        What its lane has permits for already is among them. None says that they are no fewer than are ever in hand.
        """
        if not relay.limits:
            return None
        instant = self._kit.clock.now()
        now = micros(instant)
        bounds = await permits.bounds(tx, Ask(relay.name, "", relay.limits.on(instant.date()), 0))
        for bound in bounds:
            bound.settle(now)
        found = 0 if first(bounds, now) > now + PATIENCE else room(bounds, now, _ENOUGH, _OUTLOOK)
        if (lane := self._lanes.get(relay.name)) is not None and not lane.closed:
            found += lane.stock
        return found if found < _ENOUGH else None

    async def watch(self, opened: Callable[[list[Lane]], None]) -> None:
        """Look again and again, and hand over the lanes that open; a database that is away is asked another time."""
        while not self.closed:
            await asyncio.sleep(_LOOK)
            try:
                opened(await self.look())
            except DatabaseAway as error:
                _log.debug("relays_wait", error=str(error))
            except Exception as error:  # noqa: BLE001 -- what flies must land, and claims say that it is away, too
                _log.warning("relays_not_seen", error=str(error))
