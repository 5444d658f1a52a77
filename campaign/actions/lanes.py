"""The way to one relay: whether it is open, and what its faults do to it. It never touches a letter."""

from __future__ import annotations

import asyncio

from campaign.actions.kit import Kit
from campaign.domain.replies import Answer, Scope, judge
from campaign.logs import get_log, masked
from campaign.mail.transport import Transport
from campaign.store import relays

_log = get_log()


class Lane:
    """One relay during one drain: what its connections share."""

    def __init__(self, kit: Kit, transport: Transport, stopping: asyncio.Event) -> None:
        """Lead to `transport` until `stopping` is set."""
        self._kit, self._stopping = kit, stopping
        self.transport = transport
        self.faulty = True
        """Whether faults may be on record that the next good answer takes away."""
        self._closed = False

    @property
    def name(self) -> str:
        """What the ledger calls the relay."""
        return self.transport.name

    @property
    def closed(self) -> bool:
        """Whether nothing more may go this way for now."""
        return self._closed or self._stopping.is_set()

    def close(self) -> None:
        """Let nothing more go this way during this drain."""
        self._closed = True

    async def is_resting(self) -> bool:
        """Say whether the relay rests after faults."""
        async with self._kit.store.read() as tx:
            until = await relays.paused_until(tx, self.name)
        return until is not None and until > self._kit.clock.now()

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
        _log.warning("relay_fault", phase=answer.phase, said=said, resting_until=until and until.isoformat())
        if until is not None:
            self.close()
