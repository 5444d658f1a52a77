"""Opens databases and hands out transactions. It never writes a statement about any noun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from campaign.domain.errors import CampaignError
from campaign.store.door import Door
from campaign.store.drivers import SQLITE_WRITES, async_engine, async_url
from campaign.store.outages import Outage, remedy_for

Transaction = AsyncConnection
"""An open transaction: `actions` open it, `store` functions take it."""

P = ParamSpec("P")
T = TypeVar("T")

_TRIES: Final = 3
_COURTESY: Final = 0.1
"""Seconds that a long work lets others write between two of its transactions, if so many wait."""
_GLANCE: Final = 0.005
"""Seconds between two looks whether anybody still waits."""
_READ_ONLY: Final = "25006"
"""What PostgreSQL says to a writer while it only reads: after a failover, or with its disk nearly full."""
_OVERDUE: Final = """
SELECT c.relname FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.relname = ANY(:tables) AND pg_table_is_visible(c.oid)
AND (c.reltuples < 0 OR s.n_mod_since_analyze > 50 + c.reltuples / 10) ORDER BY c.relname
"""


class DatabaseAway(CampaignError):
    """The database cannot be reached."""

    code = "database_away"


class Store:
    """One database: SQLite beside the settings, or PostgreSQL."""

    def __init__(self, url: str) -> None:
        """Take a SQLAlchemy URL: `sqlite:///path`, `postgresql://…`. Nothing is opened yet."""
        self.url: Final[URL] = async_url(url)
        self.sqlite: Final = self.url.get_backend_name() == "sqlite"
        self.engine: Final[AsyncEngine] = async_engine(self.url)
        self._door = Door(self.file) if self.file else None
        self.outage: Final = Outage()
        self._turn = asyncio.Lock()
        self._waiting = 0

    @property
    def file(self) -> Path | None:
        """The SQLite file, or None."""
        return Path(self.url.database) if self.sqlite and self.url.database else None

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """Open a writing transaction; it commits at the end of the block, durably, and rolls back on any error.

        On SQLite writers of one process queue here, fairly, and those of all processes at the door (`store.door`),
        instead of polling for the file's lock. Whoever is first waits on `BEGIN IMMEDIATE`, because a plain BEGIN fails
        at once when a reader wants to become a writer.
        Raises DatabaseAway when the database is locked for too long, or goes away in the middle.
        """
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.turn())
            stack.enter_context(self.outage.watched())
            connection = await stack.enter_async_context(self._connected())
            if self.sqlite:
                await connection.execution_options(campaign_begin=SQLITE_WRITES)
            with away():
                async with connection.begin():
                    yield connection

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for the turn to write: on SQLite one after the other, on PostgreSQL at once."""
        if not self.sqlite:
            yield
            return
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()

    async def give_way(self) -> None:
        """Between two of many transactions in a row: let those who wait write first, for a tenth of a second at most.

        A long work and many short ones then share the file about evenly; where nobody waits, nothing is waited for.
        """
        waited = 0.0
        while waited < _COURTESY and self._is_wanted():
            await asyncio.sleep(_GLANCE)
            waited += _GLANCE

    def _is_wanted(self) -> bool:
        """Whether somebody waits to write, here or in another process; on PostgreSQL nobody waits for another."""
        return self._waiting > 0 or self._turn.locked() or (self._door is not None and self._door.busy())

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """Open a transaction that only reads: one consistent look, however many statements it takes.

        On SQLite it never waits for a writer. Raises DatabaseAway when the database goes away in the middle.
        """
        with away():
            async with self._connected() as connection:
                if self.sqlite:
                    await connection.execution_options(campaign_begin="BEGIN")
                else:
                    await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                async with connection.begin():
                    yield connection

    async def vacuum(self, table: str) -> None:
        """Have PostgreSQL look over a table that just grew much, so that it counts and plans by what is in it now.

        Until its autovacuum comes by, it would count a filled table row by row, and plan as if it were empty. It blocks
        neither readers nor writers, and passes when another look is under way. SQLite needs none.
        """
        await self._look(f"VACUUM (ANALYZE, SKIP_LOCKED) {table}")

    async def analyze(self, table: str) -> None:
        """Have PostgreSQL take a sample of a table, no larger for a larger one, so that it plans by what is in it now.

        As for `vacuum`, it keeps nobody waiting, and SQLite needs none.
        """
        await self._look(f"ANALYZE (SKIP_LOCKED) {table}")

    async def _look(self, words: str) -> None:
        if self.sqlite:
            return
        async with self._connected() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            with away():
                await connection.execute(text(words))

    async def overdue(self, *tables: str) -> list[str]:
        """Return which of these tables changed so much that PostgreSQL plans by a wrong picture of them.

        It is the rule of its autovacuum, which comes by within a minute, or never where it is turned off; a table that
        it never looked at counts, too. SQLite has none.
        """
        if self.sqlite:
            return []
        async with self.read() as tx:
            return list((await tx.execute(text(_OVERDUE), {"tables": list(tables)})).scalars())

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        with away():
            connection = await self.engine.connect()
        try:
            yield connection
        finally:
            await connection.close()

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def repeated(verb: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Run a verb again where PostgreSQL ended its transaction to break a deadlock; the verb must be idempotent."""

    @wraps(verb)
    async def tried(*args: P.args, **named: P.kwargs) -> T:
        for _ in range(_TRIES - 1):
            try:
                return await verb(*args, **named)
            except DBAPIError as error:
                if not _is_conflict(error):
                    raise
        return await verb(*args, **named)

    return tried


@contextmanager
def away() -> Iterator[None]:
    """Say in our words that the database cannot be reached or is locked; a deadlock is left to `repeated`."""
    try:
        yield
    except PoolExhausted as error:
        msg = "The database cannot be used: all of this program's connections to it are busy."
        raise DatabaseAway(msg, remedy="Wait a moment; if it stays so, something holds them.") from error
    except DBAPIError as error:
        if not _is_away(error):
            raise
        words = " ".join(str(error.orig).split())
        raise DatabaseAway(f"The database cannot be used: {words}", remedy=remedy_for(words)) from error


def _is_away(error: DBAPIError) -> bool:
    """Whether an error is about the database as a whole, and will be over without a change of ours."""
    if _is_conflict(error) or str(error.orig).startswith("no such"):  # SQLite's word for a table that is missing
        return False
    return isinstance(error, OperationalError) or error.connection_invalidated or _sqlstate(error) == _READ_ONLY


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _is_conflict(error: DBAPIError) -> bool:
    """Whether PostgreSQL ended a transaction for the sake of another (serialization_failure, deadlock_detected)."""
    return _sqlstate(error) in {"40001", "40P01"}
