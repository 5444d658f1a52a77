"""Claims letters a little ahead of the connections, from the service mail and from each sending edition in turn.

When what is in hand goes to few domains, or to domains that can take nothing now, it looks for others behind them, so
that no domain with a hundred thousand letters keeps the rest waiting. It never sends one.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Final

from campaign.actions.desk import Desk
from campaign.actions.lanes import Drain
from campaign.logs import get_log
from campaign.store import claims, ledger, waves
from campaign.store.claims import Claim, Claimed, Position
from campaign.store.engine import DatabaseAway, Transaction
from campaign.store.foreseen import Plan

_log = get_log()
BATCH: Final = 500
LOW: Final = 200
"""Letters in hand below which more are claimed."""
_MOST: Final = 1_000
"""Letters in hand above which none are claimed, however few domains they go to."""
_OTHERS: Final = 4 * _MOST
"""The same, where letters to other domains are looked for because those in hand can go nowhere."""
_LOOK: Final = 0.5
"""Seconds between two looks for letters that fell due while the last replies are awaited."""
_PAUSE: Final = 0.1
"""Seconds between two looks for letters to other domains while there are some."""
_PATIENCE: Final = 1.0, 60.0
"""The same where there are none: at first, and (doubling) at last. Such a look passes over all that is due."""


class Feeder:
    """One worker's claims during one drain."""

    def __init__(self, desk: Desk, drain: Drain, owner: str) -> None:
        """Claim for `owner` what `drain` has room for, and lay it on the desk."""
        self._kit, self._committer, self._backlog = desk.kit, desk.committer, desk.backlog
        self._desk, self._drain, self._owner = desk, drain, owner
        self._positions: dict[int | None, Position | None] = {}
        self._look_at = 0.0
        self._in_vain: frozenset[str] = frozenset()
        """The domains beside which the last look found none."""
        self._wait = _PATIENCE[0]
        self._failed = False
        """Whether the log was told that claims fail, and why."""

    async def run(self) -> int:
        """Feed until nothing is due and nothing flies, or no lane is open; return how many letters were claimed.

        What falls due while the last replies are awaited is claimed, too: a relay may take ten minutes for one.
        """
        taken = 0
        try:
            while not self._drain.closed and (found := await self._step()) is not None:
                taken += found
        finally:
            self._backlog.close()
        return taken

    async def _step(self) -> int | None:
        """Claim once, or wait a little; return how many letters came, None when nothing is due and none in hand.

        A database that is away keeps no letter in hand waiting: they go out or back, and the last ends the feeding.
        """
        self._desk.leave(self._drain.paused_domains)
        again_from_start = any(self._positions.values())
        try:
            if not self._hungry:
                others = await self._others()
                await self._moved()
                return others
            found = await self._round()
            if found is None or found or again_from_start:
                return found or 0
        except Exception as error:  # noqa: BLE001 -- a claim that fails must not end what is in hand
            self._tell(error)
            await asyncio.sleep(_LOOK)
        if not (self._backlog.aloft or len(self._backlog)):
            return None
        await self._moved()
        return 0

    def _tell(self, error: Exception) -> None:
        """Tell the log once why claims fail; of a database that is away it is told by the store."""
        if self._failed or isinstance(error, DatabaseAway):
            _log.debug("claim_failed", error=str(error))
        else:
            _log.error("claim_failed", error=str(error), exc_info=error)
            self._failed = True

    @property
    def _hungry(self) -> bool:
        """Whether more letters should be in hand: few are, or they go to fewer domains than there are connections."""
        held = len(self._backlog)
        return self._batch > 0 and (held < LOW or (held < _MOST and self._few))

    @property
    def _few(self) -> bool:
        return self._backlog.domains < self._drain.connections

    @property
    def _batch(self) -> int:
        """How many letters to claim at once: no more than may go within the next seconds."""
        room = self._drain.room
        return BATCH if room is None else min(BATCH, room - self._desk.held)

    async def _moved(self) -> None:
        """Wait until letters have left or landed; a short while at most, because others may have fallen due."""
        await self._backlog.moved(_LOOK)

    async def _round(self) -> int | None:
        """Claim once from each source; return how many letters came, None when late ones are still being expired."""
        found, but = 0, tuple(sorted(self._drain.paused_domains))
        sources = await self._sources()
        self._positions = {source: self._positions.get(source) for source in sources}  # none of a paused edition's
        for source in sources:
            if (batch := self._batch) <= 0:
                break
            wanted = Claim(self._owner, source, batch, self._positions[source], but)
            claimed = await self._claimed(wanted)
            if claimed is None:
                return None
            letters, self._positions[source] = claimed
            self._backlog.put(letters)
            found += len(letters)
        return found

    async def _others(self) -> int:
        """Claim letters to other domains than those of which enough are in hand, if any are due.

        It looks seldom where there are none: only a domain of which there are no longer enough makes it look at once.
        """
        stuck = self._drain.starving and len(self._backlog) < _OTHERS
        if self._batch <= 0 or not (stuck or self._few):
            return 0
        enough = self._backlog.crowded | self._drain.paused_domains
        now = self._kit.clock.monotonic()
        if now < self._look_at and enough >= self._in_vain:
            return 0
        found = 0
        for source in await self._sources():
            wanted = Claim(self._owner, source, self._batch, None, tuple(sorted(enough)))
            async with self._kit.store.read() as tx:
                before = await claims.before_first(tx, wanted, self._kit.clock.now())
            if before is None:
                continue
            claimed = await self._claimed(replace(wanted, after=before))
            if claimed is not None:
                self._backlog.put(claimed[0])
                found += len(claimed[0])
        self._in_vain = frozenset() if found else enough
        self._wait = _PATIENCE[0] if found else min(2 * self._wait, _PATIENCE[1])
        self._look_at = self._kit.clock.monotonic() + (_PAUSE if found else self._wait)
        return found

    async def _sources(self) -> list[int | None]:
        async with self._kit.store.read() as tx:
            return [None, *await ledger.sending_editions(tx)]

    async def _claimed(self, wanted: Claim) -> tuple[list[Claimed], Position | None] | None:
        """Claim the next batch of one source; None when its waves are still being opened."""
        writer = self._committer.writer
        if (foreseen := await writer.attempt(partial(self._foresee, wanted))) is not None:
            return claims.found(foreseen[1])
        return await writer.run(partial(self._claim, wanted))

    async def _foresee(self, wanted: Claim, plan: Plan) -> None:
        """Foresee that no wave waits to be opened; `_claim` would open it."""
        now = self._kit.clock.now()
        await waves.foresee_none_due(plan, now)
        await claims.take(plan, wanted, now)

    async def _claim(self, wanted: Claim, tx: Transaction) -> tuple[list[Claimed], Position | None] | None:
        """Claim the next batch of one source, opening its waves first; None when that is not done yet."""
        now = self._kit.clock.now()
        if wanted.edition_id is not None and not await waves.open_due(tx, now):
            return None
        return await claims.claim(tx, wanted, now)
