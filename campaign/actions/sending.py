"""Sends what is due: opens lanes to the relays, and keeps their connections supplied until nothing is left.

It never decides what becomes of a letter: `carrying` does, and `committing` writes it down.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from campaign.actions import braking
from campaign.actions.backlog import Backlog
from campaign.actions.breaking import Breakers
from campaign.actions.carrying import Carrier
from campaign.actions.committing import Committer
from campaign.actions.desk import Desk
from campaign.actions.feeding import LOW, Feeder
from campaign.actions.filling import Filling
from campaign.actions.kit import Kit
from campaign.actions.lanes import Drain, Lane
from campaign.logs import get_log
from campaign.store.brakes import Brake

_log = get_log()
_LAST_WORDS: Final = 5
"""Seconds that writing down the last outcomes may take at the end, even without any grace."""


class Sender:
    """One worker of the ledger: a committer, a number of connections, and an owner name that dies with the process."""

    def __init__(self, kit: Kit, owner: str, committer: Committer) -> None:
        """Send as `owner`; `committer` must be running."""
        self._kit, self._owner, self._committer = kit, owner, committer
        self._filling = Filling(kit)
        self.breakers = Breakers(kit)
        self._brake: Brake | None = None

    async def drain(self, stopping: asyncio.Event) -> int:
        """Send until nothing is due, no relay is open, the brake is pulled, or `stopping` is set.

        Return how many letters were taken.
        """
        if await self._is_held():
            return 0
        drain = Drain(self._kit, stopping, self._committer.writer)
        lanes = await drain.look()
        if drain.closed:
            return 0
        desk = Desk(self._kit, self._committer, self._filling, Backlog(LOW), self.breakers)
        async with asyncio.TaskGroup() as beside:
            beside.create_task(drain.pacer.run())
            noticing = beside.create_task(desk.hanging.watch(desk.step_back))
            async with asyncio.TaskGroup() as carriers:

                def opened(lanes: list[Lane]) -> None:
                    for lane in lanes:
                        for _ in range(lane.connections):
                            carriers.create_task(Carrier(desk, lane).run())

                opened(lanes)
                opening = beside.create_task(drain.watch(opened))
                taken = await Feeder(desk, drain, self._owner).run()
                opening.cancel()  # nobody feeds a lane any more that would open now
            noticing.cancel()
            drain.pacer.end()
        desk.let_go()
        await drain.pacer.give_back()
        await self._committer.written()
        return taken

    async def close(self) -> None:
        """End what was started to make letters."""
        await self._filling.close()

    async def _is_held(self) -> bool:
        """Say whether the brake is on; the log is told once when it was pulled, and once when it is off again."""
        before, self._brake = self._brake, await braking.look(self._kit)
        if self._brake is not None and self._brake != before:
            _log.warning("brake_is_on", by=self._brake.pulled_by, since=self._brake.pulled_at, why=self._brake.because)
        elif before is not None and self._brake is None:
            _log.warning("brake_is_off")
        return self._brake is not None


@asynccontextmanager
async def sender(kit: Kit, owner: str) -> AsyncIterator[Sender]:
    """Run a sender's committer for the length of the block, and give it time to write down the last outcomes."""
    committer = Committer(kit, owner)
    running = asyncio.create_task(committer.run())
    opened = Sender(kit, owner, committer)
    try:
        yield opened
    finally:
        await opened.close()
        committer.close()
        async with asyncio.timeout(max(kit.settings.grace_seconds, _LAST_WORDS)):
            await running
