"""Sends what is due: claims letters ahead, and keeps the connections of all relays supplied until nothing is left.

It never decides what becomes of a letter: `carrying` does, and `committing` writes it down.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

from campaign.actions.backlog import Backlog
from campaign.actions.carrying import Carrier
from campaign.actions.committing import Committer
from campaign.actions.desk import Desk
from campaign.actions.filling import Filling
from campaign.actions.kit import Kit
from campaign.actions.lanes import Drain, Lane
from campaign.logs import get_log
from campaign.store import ledger, waves
from campaign.store.engine import Transaction
from campaign.store.ledger import Claim, Claimed, Position

_log = get_log()
BATCH: Final = 500
_LOW: Final = 200
"""Letters in hand below which more are claimed."""
_MOST: Final = 1_000
"""Letters in hand above which none are claimed, however few domains they go to."""
_LAST_WORDS: Final = 5
"""Seconds that writing down the last outcomes may take at the end, even without any grace."""
_LOOK: Final = 0.5
"""Seconds between two looks for letters that fell due while the last replies are awaited."""


class Sender:
    """One worker of the ledger: a committer, a number of connections, and an owner name that dies with the process."""

    def __init__(self, kit: Kit, owner: str, committer: Committer) -> None:
        """Send as `owner`; `committer` must be running."""
        self._kit, self._owner, self._committer = kit, owner, committer
        self._filling = Filling(kit)

    async def drain(self, stopping: asyncio.Event) -> int:
        """Send until nothing is due, no relay is open, or `stopping` is set; return how many letters were taken."""
        drain = Drain(self._kit, stopping, self._committer.writer)
        lanes = await drain.look()
        if drain.closed:
            return 0
        desk = Desk(self._kit, self._committer, self._filling, Backlog(_LOW))
        async with asyncio.TaskGroup() as group:

            def opened(lanes: list[Lane]) -> None:
                for lane in lanes:
                    for _ in range(lane.connections):
                        group.create_task(Carrier(desk, lane).run())

            opened(lanes)
            beside = [group.create_task(drain.watch(opened)), group.create_task(drain.pacer.run())]
            taken = await _Feeder(desk, drain, self._owner).run()
            for task in beside:
                task.cancel()
        desk.let_go()
        await drain.pacer.give_back()
        await self._committer.written()
        return taken


class _Feeder:
    """Claims in turn from the service mail and from each sending edition, a little ahead of the connections."""

    def __init__(self, desk: Desk, drain: Drain, owner: str) -> None:
        self._kit, self._committer, self._backlog = desk.kit, desk.committer, desk.backlog
        self._desk, self._drain, self._owner = desk, drain, owner
        self._positions: dict[int | None, Position | None] = {}

    async def run(self) -> int:
        """Feed until nothing is due and nothing flies, or no lane is open; return how many letters were claimed.

        What falls due while the last replies are awaited is claimed, too: a relay may take ten minutes for one.
        A database that is away ends the feeding, never the letters that fly: the next tick goes on.
        """
        taken = 0
        try:
            while not self._drain.closed:
                if not self._hungry:
                    await self._moved()
                    continue
                again_from_start = any(self._positions.values())
                found = await self._round()
                taken += found or 0
                if found is None or found or again_from_start:
                    continue
                if not (self._backlog.aloft or len(self._backlog)):
                    break
                await self._moved()
        except Exception as error:  # noqa: BLE001 -- see above
            _log.exception("claim_failed", error=str(error))
        finally:
            self._backlog.close()
        return taken

    @property
    def _hungry(self) -> bool:
        """Whether more letters should be in hand: few are, or they go to fewer domains than there are connections."""
        held = len(self._backlog)
        if self._batch <= 0:
            return False
        return held < _LOW or (held < _MOST and self._backlog.domains < self._drain.connections)

    @property
    def _batch(self) -> int:
        """How many letters to claim at once: no more than may go within the next seconds."""
        room = self._drain.room
        return BATCH if room is None else min(BATCH, room - self._desk.held)

    async def _moved(self) -> None:
        """Wait until letters have left or landed; a short while at most, because others may have fallen due."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._backlog.moved(), _LOOK)

    async def _round(self) -> int | None:
        """Claim once from each source; return how many letters came, None when late ones are still being expired."""
        async with self._kit.store.read() as tx:
            sources = [None, *await ledger.sending_editions(tx)]
        found = 0
        for source in sources:
            if (batch := self._batch) <= 0:
                break
            letters = await self._committer.writer.run(partial(self._claim, source, batch))
            if letters is None:
                return None
            self._backlog.put(letters)
            found += len(letters)
        return found

    async def _claim(self, source: int | None, batch: int, tx: Transaction) -> list[Claimed] | None:
        """Claim the next batch of one source, opening its waves first; None when that is not done yet."""
        now = self._kit.clock.now()
        if source is not None and not await waves.open_due(tx, now):
            return None
        wanted = Claim(self._owner, source, batch, self._positions.get(source))
        letters, self._positions[source] = await ledger.claim(tx, wanted, now)
        return letters


@asynccontextmanager
async def sender(kit: Kit, owner: str) -> AsyncIterator[Sender]:
    """Run a sender's committer for the length of the block, and give it time to write down the last outcomes."""
    committer = Committer(kit, owner)
    running = asyncio.create_task(committer.run())
    try:
        yield Sender(kit, owner, committer)
    finally:
        committer.close()
        await asyncio.wait_for(running, timeout=max(kit.settings.grace_seconds, _LAST_WORDS))
