"""Transactions that are written down first, and then run by a program of their own (`campaign.store.executor`).

A thread beside the event loop must have Python's lock between any two statements, and both wait for each other all the
time; a process need not. So what a worker does for every letter is written down as it will be if nothing came between:
which statements, and how many rows each of them touches. Mostly it is so. Where it is not, nothing was done, and the
same work runs again in the thread, where each statement is answered. It knows no noun.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy import Dialect, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

import campaign
from campaign.logs import get_log
from campaign.store import straight
from campaign.store.drivers import opening
from campaign.store.executor import LENGTH, Answer, Earlier, Foreseen, framed
from campaign.store.straight import Found

_log = get_log()
_PROGRAM: Final = "from campaign.store.executor import main; main()"
"""Not run as a module: its classes would be others then than those that come over the line."""
_PATIENCE: Final = 60.0
"""Seconds until the program is started again where it could not be; meanwhile all runs in the thread."""
_LAST_WORDS: Final = 5.0
"""Seconds that the program may take to end once the line to it is closed."""


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


class ExecutorGone(Exception):
    """The program ended in the middle: nobody knows whether the transaction is on disk."""

    def __str__(self) -> str:
        """Say so."""
        return "the program that writes the ledger has ended"


class Executor:
    """The program that runs plans, started with the first of them, and again where it has ended."""

    def __init__(self, engine: Engine) -> None:
        """Run plans on the database of `engine`, from which no connection is taken."""
        self._engine = engine
        self._line: _Line | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._starting = asyncio.Lock()
        self._not_before = float("-inf")

    def plan(self) -> Plan:
        """Return a plan without statements."""
        return Plan(self._engine.dialect)

    async def run(self, plan: Plan, sent: Callable[[], None] | None = None) -> list[Any] | None:
        """Run a plan, and return what its last statement found.

        None where it came otherwise, or the program cannot be started: then nothing was done. `sent` is called when the
        plan is on its way, before the answer can be here. Raises what SQLAlchemy would raise, and ExecutorGone. It must
        not be cancelled before the answer is here.
        """
        if (line := await self._living()) is None:
            return None
        asked = line.ask(plan.statements)
        if sent is not None:
            asyncio.get_running_loop().call_soon(sent)
        answer: Answer = await asked
        if isinstance(answer, BaseException):
            base = self._engine.dialect.loaded_dbapi.Error
            raise DBAPIError.instance("a transaction", None, answer, base, dialect=self._engine.dialect) from answer
        return answer

    async def close(self) -> None:
        """Hang up, and wait for the program's end."""
        line, self._line = self._line, None
        child, self._child = self._child, None
        if line is not None:
            line.hang_up()
        if child is not None:
            try:
                await asyncio.to_thread(child.wait, _LAST_WORDS)
            except subprocess.TimeoutExpired:  # it hangs in the database; what it was asked for is known to be unknown
                child.kill()
                await asyncio.to_thread(child.wait)

    async def _living(self) -> _Line | None:
        """Return the line to the program, started if need be; None where it does not start, for a while."""
        if self._line is not None and not self._line.ended:
            return self._line
        async with self._starting:  # whoever else would start one meanwhile takes it for the old one
            if (self._line is None or self._line.ended) and self._seconds() >= self._not_before:
                await self.close()
                try:
                    await self._start()
                except (OSError, ExecutorGone) as error:
                    self._not_before = self._seconds() + _PATIENCE
                    _log.warning("executor_not_started", error=str(error))
                    await self.close()
            return self._line

    async def _start(self) -> None:
        self._child, end = _program()
        _, line = await asyncio.get_running_loop().create_connection(_Line, sock=end)
        await line.ask(opening(self._engine))
        self._line = line

    @staticmethod
    def _seconds() -> float:
        return asyncio.get_running_loop().time()


def _program() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start the program; return it, and our end of the line to it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        command = [sys.executable, "-s", "-P", "-c", _PROGRAM, str(theirs.fileno())]
        places = os.pathsep.join([str(Path(campaign.__file__).parent.parent), *filter(None, sys.path)])
        try:
            child = subprocess.Popen(  # noqa: S603 -- our own words
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": places},
            )
        except OSError:
            ours.close()
            raise
    return child, ours


class _Line(asyncio.Protocol):
    """The line to the program: answers come in the order of the questions."""

    def __init__(self) -> None:
        self._unread = bytearray()
        self._asked: deque[asyncio.Future[Any]] = deque()
        self._transport: asyncio.Transport | None = None

    @property
    def ended(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def ask(self, what: Any) -> asyncio.Future[Any]:
        words = framed(what)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._transport is None:
            answer.set_exception(ExecutorGone())
        else:
            self._asked.append(answer)
            self._transport.write(words)
        return answer

    def hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while len(self._unread) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._unread)[0]
            if len(self._unread) < end:
                return
            answer = pickle.loads(self._unread[LENGTH.size : end])  # noqa: S301 -- the child's own words
            del self._unread[:end]
            asked = self._asked.popleft()
            if not asked.done():
                asked.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the protocol's signature
        self._transport = None
        while self._asked:
            if not (asked := self._asked.popleft()).done():
                asked.set_exception(ExecutorGone())
