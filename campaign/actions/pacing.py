"""Permits at hand: fetches them ahead for the lanes and domains that have limits, a few for each in one transaction.

What has no limit never comes here. It never holds a letter, and never decides a limit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from campaign.actions.kit import Kit
from campaign.domain.pace import AHEAD, MICRO, SPACED, Bound, Span, first, supply
from campaign.logs import get_log
from campaign.store import permits
from campaign.store.engine import DatabaseAway, Transaction
from campaign.store.permits import Ask, micros
from campaign.store.writer import Writer

_log = get_log()
_MOST: Final = 100
"""So many permits are fetched at once, at most."""
_STALE: Final = MICRO
"""A permit that lay unused for so long is thrown away: used with the next ones it would make a crowd on the wire."""
_GATHER: Final = 0.005
"""Seconds in which the wishes of several lanes and domains may gather for one transaction."""
_AGAIN: Final = 0.5
"""Seconds until the next try while the database is away."""


class Pool:
    """The permits of one relay, or of one domain at it, that this worker has at hand."""

    def __init__(self, pacer: Pacer, place: tuple[str, str], limits: Callable[[], Mapping[Span, int]]) -> None:
        """Begin with none; `place` is the relay and the domain (empty: all), `limits` tells them as they are now."""
        self._pacer, self.place, self._limits = pacer, place, limits
        self._stock: deque[int] = deque()
        self._left: list[int] = []
        self._ask_at = 0
        self._supply = 1
        self._closed = False
        self.free_at = 0
        """When more can be had, as far as is known; in microseconds."""
        self.heard: Callable[[Pool], None] = lambda _: None
        """Called after each answer of the database."""

    def at_hand(self) -> bool:
        """Say whether a letter may go now; see to it that permits are fetched."""
        now = self._pacer.now()
        while self._stock and self._stock[0] < now - _STALE:
            self.give_back(self._stock.popleft())
        self._drop_useless(now)
        self._ask_at = min(self._ask_at, now + AHEAD)
        if len(self._stock) * 2 <= self._supply and now >= self._ask_at:
            self._pacer.want(self)
        return bool(self._stock) and self._stock[0] <= now

    @property
    def stock(self) -> int:
        """How many there are, be it for a moment to come; while more are asked for, there may be one more."""
        return len(self._stock) + self._pacer.wants(self)

    def give_back(self, instant: int) -> None:
        """Have one taken back that was not used: its letter never set out, or it lay here for too long."""
        if not self._limits().keys() <= SPACED:
            self._left.append(instant)
            self._pacer.want_back(self)

    def close(self) -> None:
        """Have all taken back, and what is being granted, too: nothing more goes this way."""
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        while self._stock:
            self.give_back(self._stock.popleft())

    def _drop_useless(self, now: int) -> None:
        """Have all taken back once it is closed, and where one is too far ahead: the clock was set back since."""
        if self._stock and (self._closed or max(self._stock[0], self._stock[-1]) > now + AHEAD):
            self._drop()

    def unused(self, *, all_of_them: bool = True) -> list[int]:
        """Hand out those to be taken back; at the end, that is all."""
        left, self._left = self._left, []
        if all_of_them:
            left += self._stock
            self._stock.clear()
        return left

    def take(self) -> int | None:
        """Use one, and return the instant it is for; None for a letter that went without."""
        return self._stock.popleft() if self._stock else None

    @property
    def ask(self) -> Ask:
        """What to ask for."""
        return Ask(*self.place, self._limits(), self._supply)

    def seconds_until(self) -> float:
        """Return how long to wait for the next one, as far as is known."""
        instant = self._stock[0] if self._stock else self.free_at
        return max(instant - self._pacer.now(), 0) / MICRO

    def answered(self, instants: list[int], bounds: list[Bound]) -> None:
        """Take what was granted; the clock may have been set back since it was asked for."""
        self._stock.extend(instants)
        now = self._pacer.now()
        self._drop_useless(now)
        for bound in bounds:
            bound.settle(now)
        self.free_at = first(bounds, now)
        self._ask_at = now if instants else max(self.free_at - AHEAD, now + 1)
        self._supply = supply(bounds, _MOST)
        self.heard(self)


class Pacer:
    """Asks for the permits of all pools of one drain."""

    def __init__(self, kit: Kit, writer: Writer) -> None:
        """Ask through `writer`."""
        self._kit, self._writer = kit, writer
        self._wanting: dict[tuple[str, str], Pool] = {}
        self._answered: dict[int, Pool] = {}
        self._returning: dict[int, Pool] = {}
        self._wanted = asyncio.Event()
        self._ended = asyncio.Event()

    def now(self) -> int:
        """Return the present instant in microseconds."""
        return micros(self._kit.clock.now())

    def want(self, pool: Pool) -> None:
        """Have permits fetched for a pool; once is enough."""
        if pool.place not in self._wanting:
            self._wanting[pool.place] = pool
            self._wanted.set()

    def wants(self, pool: Pool) -> bool:
        """Whether permits for a pool are wanted, or granted already and on their way here."""
        return pool.place in self._wanting

    def want_back(self, pool: Pool) -> None:
        """Have permits of a pool taken back, so that others can use them."""
        self._returning[id(pool)] = pool
        self._wanted.set()

    async def run(self) -> None:
        """Fetch whenever somebody wants permits, until the end; while the database is away nothing limited goes out."""
        while not self._ended.is_set():
            await self._wanted.wait()
            await asyncio.sleep(_GATHER)
            returning, self._returning = list(self._returning.values()), {}
            await self._hand_back(returning, all_of_them=False)
            if self._ended.is_set() or not self._wanting:
                self._clear()
                continue
            pools = list(self._wanting.values())
            asks = [pool.ask for pool in pools]
            try:
                answers = await self._writer.run(partial(self._take, asks))
            except Exception as error:  # noqa: BLE001 -- the database is away: nothing was granted, so nothing goes
                told = _log.debug if isinstance(error, DatabaseAway) else _log.warning
                told("permits_not_fetched", error=str(error))
                await asyncio.sleep(_AGAIN)
                continue
            for pool, (instants, bounds) in zip(pools, answers, strict=True):
                del self._wanting[pool.place]
                self._answered[id(pool)] = pool
                pool.answered(instants, bounds)
            self._clear()

    def _clear(self) -> None:
        if not self._wanting and not self._returning:
            self._wanted.clear()

    def end(self) -> None:
        """Fetch no more. What is being fetched still comes: cancelled, it would be granted and nobody's."""
        self._ended.set()
        self._wanted.set()

    async def give_back(self) -> None:
        """Hand back what nobody used, after the end."""
        await self._hand_back(list(self._answered.values()), all_of_them=True)

    async def _hand_back(self, pools: list[Pool], *, all_of_them: bool) -> None:
        """Hand back what is left; what cannot be written is lost until its time is over, and never granted twice."""
        left = [(pool.ask, unused) for pool in pools if (unused := pool.unused(all_of_them=all_of_them))]
        if not left:
            return
        try:
            await self._writer.run(partial(self._return, left))
        except Exception as error:  # noqa: BLE001 -- see above, in `run`
            _log.warning("permits_lost", error=str(error))

    async def _return(self, left: list[tuple[Ask, list[int]]], tx: Transaction) -> None:
        for ask, unused in sorted(left, key=lambda one: (one[0].relay, one[0].domain)):
            await permits.give_back(tx, ask, unused)

    async def _take(self, asks: list[Ask], tx: Transaction) -> list[tuple[list[int], list[Bound]]]:
        return await permits.take(tx, asks, self._kit.clock.now())
