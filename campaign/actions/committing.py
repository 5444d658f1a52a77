"""Shares commits.

While one is on its way to disk, the tokens and outcomes of all other connections gather for the next.
It never decides what a letter's outcome is; it only makes sure that it is on disk before anybody acts on it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple, TypeVar

from campaign.actions.kit import Kit
from campaign.domain.consent import Reason
from campaign.domain.delivery import Event
from campaign.logs import get_log
from campaign.store import ledger, suppressions
from campaign.store.engine import DatabaseAway, Transaction
from campaign.store.moves import Cause
from campaign.store.tokens import Token
from campaign.store.writer import Writer

_T = TypeVar("_T")
_log = get_log()
_IDLE: Final = 5
"""So many turns of the event loop without another token say that no more will come at once."""
_UNHURRIED: Final = 0.02
"""Seconds in which outcomes that nobody waits for may wait for a token to go with."""
_PATIENCE: Final = 1.0
"""Seconds between two tries to write outcomes down while the database is away."""


class Outcome(NamedTuple):
    """How the conversation about one letter ended, to be written down."""

    event: Event
    id: int
    claim_no: int
    cause: Cause
    bounced: bytes | None = None
    """The key of an address whose mailbox does not exist, to be suppressed in the same transaction."""

    @property
    def is_plain(self) -> bool:
        """Whether it changes its letter's row, and nothing beside."""
        return self.bounced is None and not self.cause.words

    @property
    def group(self) -> Hashable:
        """Outcomes that can be written in one statement: same event, same code, nothing of their own."""
        cause = self.cause
        alike = not cause.words and not cause.values
        return (
            (self.event, cause.code, cause.enhanced, cause.reason, cause.refund) if alike else (self.id, self.claim_no)
        )


@dataclass(slots=True)
class _Group:
    tokens: list[tuple[Token, asyncio.Future[bool]]] = field(default_factory=list)
    outcomes: list[tuple[Outcome, asyncio.Future[None] | None]] = field(default_factory=list)
    withheld: list[tuple[int, int]] = field(default_factory=list)
    meanwhile: list[tuple[asyncio.Future[bool], Callable[[], None]]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.tokens or self.outcomes or self.withheld)

    def pass_time(self) -> None:
        """Do what those who wait for their tokens have to do meanwhile, one after the other, and once."""
        waiting = list(self.meanwhile)
        self.meanwhile.clear()
        for answer, work in waiting:
            if not answer.done():
                try:
                    work()
                except Exception as error:  # noqa: BLE001 -- the tokens of all others are on their way
                    _log.exception("meanwhile_failed", error=str(error))

    def parted(self) -> tuple[_Group, _Group]:
        """Part what mostly comes as is foreseen from what nobody foresees: who left, and what a server said."""
        plain, odd = _Group(tokens=self.tokens, meanwhile=self.meanwhile), _Group(withheld=self.withheld)
        for outcome, done in self.outcomes:
            (plain if outcome.is_plain else odd).outcomes.append((outcome, done))
        return plain, odd


class Committer:
    """The one writer of a worker's tokens and outcomes."""

    def __init__(self, kit: Kit, owner: str) -> None:
        """Write for `owner`."""
        self._kit, self._owner = kit, owner
        self.writer = Writer(kit.store)
        self._next = _Group()
        self._stuck: deque[tuple[Outcome, asyncio.Future[None] | None]] = deque()
        self._unwritten = 0
        self._written = asyncio.Event()
        self._wanted, self._urgent = asyncio.Event(), asyncio.Event()
        self._closing = False

    def token(self, token: Token, meanwhile: Callable[[], None] | None = None) -> asyncio.Future[bool]:
        """Ask whether the dot may follow: True, once the token is durable. It raises when that cannot be written.

        `meanwhile` is called once the question is on its way to disk, unless that fails. What it raises is logged.
        """
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._next.tokens.append((token, answer))
        if meanwhile is not None:
            self._next.meanwhile.append((answer, meanwhile))
        self._hurry()
        return answer

    def settle(self, outcome: Outcome) -> asyncio.Future[None]:
        """Have an outcome written down; the future is done when it is durable, however long the database is away.

        No later token is on disk before it, unless it alone cannot be written: whoever asks for one need not wait.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.note(outcome, done)
        self._hurry()
        return done

    def note(self, outcome: Outcome, done: asyncio.Future[None] | None = None) -> None:
        """Do the same where nobody waits for this one letter; see `written`."""
        self._next.outcomes.append((outcome, done))
        self._unwritten += 1
        self._wanted.set()

    async def written(self) -> None:
        """Wait until every outcome that was handed in is on disk."""
        while self._unwritten:
            self._written.clear()
            await self._written.wait()

    def let_go(self, id_: int, claim_no: int) -> None:
        """Hand back a letter whose token was withheld, or that was never tried."""
        self._next.withheld.append((id_, claim_no))
        self._hurry()

    def close(self) -> None:
        """Write what is still asked for, then let `run` return."""
        self._closing = True
        self._hurry()

    def _hurry(self) -> None:
        self._wanted.set()
        self._urgent.set()

    async def run(self) -> None:
        """Write group after group until closed and nothing is left to write."""
        try:
            await self._groups()
        finally:
            await self.writer.close()

    async def _groups(self) -> None:
        while self._next or self._stuck or not self._closing:
            if not self._wanted.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_PATIENCE if self._next or self._stuck else None):
                        await self._wanted.wait()
            await self._gather()
            self._wanted.clear()
            self._urgent.clear()
            group, self._next = self._next, _Group()
            await self._catch_up()  # first, so that no token is on disk before an outcome that is older
            if group:
                await self._write(group)
                await self._catch_up()
            if self._stuck or self._next.withheld:
                await asyncio.sleep(_PATIENCE)

    async def _gather(self) -> None:
        """Let others join the group: those whose answers are being read, and a while where nobody waits for it at all.

        A commit costs nearly the same for one letter and for fifty, and what is done for many letters at once is done
        in half the time. So a group goes when the connections have come to rest; they all rest until it is on disk, and
        their next letters are made meanwhile.
        """
        if not self._urgent.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_UNHURRIED):
                    await self._urgent.wait()
        idle = 0
        while idle < _IDLE:
            before = len(self._next.tokens)
            await asyncio.sleep(0)
            idle = 0 if len(self._next.tokens) > before else idle + 1

    async def _catch_up(self) -> None:
        """Write what could not be written before, each alone; while the database is away, the first try is enough."""
        for _ in range(len(self._stuck)):
            if not await self._write(_Group(outcomes=[self._stuck.popleft()])):
                return

    async def _write(self, group: _Group) -> bool:
        """Write one group; what cannot be written now is tried again alone, so that no outcome holds up the others.

        Return whether the database was there at all.
        """
        try:
            granted = await self._granted(group)
        except Exception as error:  # noqa: BLE001 -- the one place that must outlive a database that is away
            away = isinstance(error, DatabaseAway)
            told = _log.info if away else _log.error  # of a database that is away, the store has told it once for all
            told("commit_failed", error=str(error), tokens=len(group.tokens), outcomes=len(group.outcomes))
            for _, answer in group.tokens:
                _resolve(answer, error)
            self._stuck.extend(group.outcomes)
            self._next.withheld[:0] = group.withheld
            return not away
        group.pass_time()
        for token, answer in group.tokens:
            _resolve(answer, token.id in granted)
        for _, done in group.outcomes:
            if done is not None:
                _resolve(done, None)
        self._unwritten -= len(group.outcomes)
        self._written.set()
        return True

    async def _granted(self, group: _Group) -> set[int]:
        """Write a group: first what must be asked about, then the rest, which mostly comes as is foreseen."""
        plain, odd = group.parted()
        if odd:
            await self.writer.run(partial(self._in_one, odd))
        if not plain:
            return set()
        foreseen = await self.writer.attempt(partial(self._in_one, plain), plain.pass_time)
        return foreseen[0] if foreseen is not None else await self.writer.run(partial(self._in_one, plain))

    async def _in_one(self, group: _Group, tx: Transaction) -> set[int]:
        now = self._kit.clock.now()
        alike: dict[Hashable, list[Outcome]] = {}
        for outcome, _ in group.outcomes:
            alike.setdefault(outcome.group, []).append(outcome)
        for outcomes in alike.values():
            held = [(outcome.id, outcome.claim_no) for outcome in outcomes]
            await ledger.settle(tx, outcomes[0].event, held, outcomes[0].cause)
        for outcome, _ in group.outcomes:
            if outcome.bounced is not None:
                await suppressions.add(
                    tx, outcome.bounced, Reason.BOUNCED, now=now, recorded_by=f"relay reply {outcome.cause.code}"
                )
                await ledger.suppress_person(tx, outcome.bounced, now=now, reason=Reason.BOUNCED)
        if group.withheld:
            await ledger.let_go(tx, self._owner, group.withheld, now)
        return await ledger.offer(tx, self._owner, [token for token, _ in group.tokens], now) if group.tokens else set()


def _resolve(future: asyncio.Future[_T], result: _T | Exception) -> None:
    """Answer whoever still waits; a connection that was cancelled meanwhile does not."""
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
