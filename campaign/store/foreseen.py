"""Transactions that are written down first, and then run by a program of their own (`campaign.store.executor`).

A thread beside the event loop must have Python's lock between any two statements, and both wait for each other all the
time; a process need not. So what a worker does for every letter is written down as it will be if nothing came between:
which statements, and how many rows each of them touches. Mostly it is so. Where it is not, nothing was done, and the
same work runs again in the thread, where each statement is answered. It knows no noun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from sqlalchemy import Dialect, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from campaign.beside.program import Program
from campaign.store import straight
from campaign.store.drivers import opening
from campaign.store.executor import Answer, Cut, Earlier, Foreseen
from campaign.store.straight import Found

_PATIENCE: Final = 90.0
"""Seconds until a program that does not answer is given up: longer than either database lets anybody wait (60). One
that is stopped would keep SQLite's file locked, and a shutdown waiting, for ever."""


class Plan(AsyncConnection):
    """A transaction as the store's statements know it, that only writes them down."""

    def __init__(self, dialect: Dialect) -> None:  # it is connected to nothing
        """Begin without statements, in the words of `dialect`."""
        self._dialect = dialect
        self.statements: list[Foreseen] = []
        self._last: Any = None

    @property  # type: ignore[misc]  # SQLAlchemy's can be set
    def dialect(self) -> Dialect:
        """What the statements are written in."""
        return self._dialect

    def straight(self, statement: Any, given: Mapping[str, Any], rows: int | None = None) -> Found:
        """Write a statement down, and answer as is foreseen; what it finds can only be handed to a later one."""
        words, values = straight.spelled(statement, self._dialect, given)
        self.statements.append(Foreseen(words, values, rows))
        self._last = statement
        return Found(rows or 0, [(Earlier(len(self.statements) - 1),)], foreseen=True)

    def read(self, rows: list[Any]) -> list[Any]:
        """Return the rows that the last statement found, in the types of its columns."""
        return straight.read(self._last, self._dialect, rows) if rows else []

    async def execute(self, *_: Any, **__: Any) -> Any:
        """Refuse a statement whose answer is not foreseen."""
        msg = "What runs elsewhere cannot wait for an answer."
        raise NotForeseen(msg)


class NotForeseen(Exception):
    """Some work asks for what only a transaction that runs here can answer."""


class Executor:
    """The program that runs plans."""

    def __init__(self, engine: Engine) -> None:
        """Run plans on the database of `engine`, from which no connection is taken."""
        self._engine = engine
        self.program: Final = Program("campaign.store.executor", partial(opening, engine))

    def plan(self) -> Plan:
        """Return a plan without statements."""
        return Plan(self._engine.dialect)

    async def run(self, plan: Plan, sent: Callable[[], None] | None = None) -> list[Any] | None:
        """Run a plan, and return what its last statement found.

        None where it came otherwise, or the program cannot be started: then nothing was done. `sent` is called when the
        plan is on its way, before the answer can be here. Raises what SQLAlchemy would raise; and ProgramGone, where
        nobody knows whether the transaction is on disk. It must not be cancelled before the answer is here.
        """
        if (line := await self.program.line()) is None:
            return None
        asked = line.ask(plan.statements)
        if sent is not None:
            asyncio.get_running_loop().call_soon(sent)
        answer: Answer | Exception = await line.heard(asked, _PATIENCE)
        if isinstance(answer, Exception):
            raise self._as_raised_here(answer)
        return answer

    def _as_raised_here(self, error: Exception) -> BaseException:
        """Return an error of the driver as SQLAlchemy would raise it; it wants to know whether the session is over."""
        cut = isinstance(error, Cut)
        cause = error.why if isinstance(error, Cut) else error
        dialect = self._engine.dialect
        raised = DBAPIError.instance(
            "a transaction", None, cause, dialect.loaded_dbapi.Error, connection_invalidated=cut, dialect=dialect
        )
        raised.__cause__ = cause
        return raised
