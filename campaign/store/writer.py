"""Whole transactions that a worker writes for every letter it sends: in one thread, or as foreseen by a program.

The store's own connections go to and fro between threads for each statement. Here the statements of a transaction run
one after the other where the connection is; the way there and back is taken once. It never decides what is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from campaign.beside.program import ProgramGone
from campaign.store import straight
from campaign.store.drivers import blocking_engine
from campaign.store.engine import DatabaseAway, Store, Transaction, away
from campaign.store.foreseen import Executor, NotForeseen, Plan
from campaign.store.straight import Found

T = TypeVar("T")
_LOST: Final = (DBAPIError, OSError)


class _Direct(AsyncConnection):
    """A connection as the store's statements know it, that answers where it stands."""

    async def execute(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        """Run a statement at once."""
        return self._at_once.execute(statement, parameters, execution_options=execution_options)

    def straight(self, statement: Any, given: Mapping[str, Any], _rows: int | None = None) -> Found:
        """Run a statement without SQLAlchemy's ceremony; see `campaign.store.straight`."""
        return straight.run_on(self._at_once, statement, given)

    async def exec_driver_sql(self, statement: str, parameters: Any = None, execution_options: Any = None) -> Any:
        """Run a statement in the driver's own words at once."""
        return self._at_once.exec_driver_sql(statement, parameters, execution_options)

    @property
    def _at_once(self) -> Connection:
        assert self.sync_connection is not None  # noqa: S101 -- it is made with one
        return self.sync_connection


class Writer:
    """Runs one transaction after the other, each durable before its answer comes back."""

    def __init__(self, store: Store) -> None:
        """Write to the database of `store`, in turn with what else this process writes. Nothing is opened yet."""
        self._store = store
        self._engine: Engine = blocking_engine(store.url)
        self._connection: Connection | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._executor = Executor(self._engine)

    async def run(self, work: Callable[[Transaction], Coroutine[Any, Any, T]]) -> T:
        """Run `work` in a transaction of its own; it may await nothing but statements of the transaction it is given.

        Raises DatabaseAway as `Store.begin` does. A cancellation waits for the transaction's end.
        """
        async with self._store.turn():
            with self._store.outage.watched():
                return await self._run(work)

    async def attempt(
        self, work: Callable[[Plan], Coroutine[Any, Any, T]], sent: Callable[[], None] | None = None
    ) -> tuple[T, list[Any]] | None:
        """Have a transaction run as `work` foresees it; return its answer, and the rows that its last statement found.

        `sent` is called when it is on its way. None where something came between, and nothing was done: `run` does the
        same work whatever comes. Raises DatabaseAway as `run` does, also where nobody knows whether it is on disk. A
        cancellation waits for the end.
        """
        plan = self._executor.plan()
        async with self._store.turn():
            try:
                answer = _driven(work(plan))
            except NotForeseen:
                return None
            with self._store.outage.watched(), away():
                rows = await self._ended(asyncio.ensure_future(self._executed(plan, sent)))
        return None if rows is None else (answer, plan.read(rows))

    async def _executed(self, plan: Plan, sent: Callable[[], None] | None) -> list[Any] | None:
        try:
            return await self._executor.run(plan, sent)
        except ProgramGone as error:
            raise DatabaseAway(f"The database was not heard: {error}.", remedy="Nothing: it starts anew.") from error

    async def _run(self, work: Callable[[Transaction], Coroutine[Any, Any, T]]) -> T:
        return await self._ended(asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, work))

    async def _ended(self, running: asyncio.Future[T]) -> T:
        """Wait for the end of a transaction, also where whoever wants it is cancelled meanwhile."""
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            with suppress(Exception):
                await running
            raise

    async def close(self) -> None:
        """Close the connections and end the thread."""
        try:
            await self._executor.program.close()
        finally:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
            self._thread.shutdown()

    def _transaction(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        try:
            with away():
                if self._connection is None:
                    self._connection = self._engine.connect()
                with self._connection.begin():
                    return _driven(work(_Direct(self._store.engine, self._connection)))
        except BaseException:
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        """Drop the connection: after a fault the next transaction begins with a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*_LOST):
                connection.close()
        self._engine.dispose()


def _driven(work: Awaitable[T]) -> T:
    """Run a coroutine that never has to wait, because its connection answers at once."""
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as end:
        answer: T = end.value
        return answer
    msg = "A transaction of the writer waited for something that is no statement."
    raise RuntimeError(msg)
