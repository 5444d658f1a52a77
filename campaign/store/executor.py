"""A program of its own that runs foreseen transactions, one after the other, on a connection of its own.

`campaign.store.foreseen` starts it and talks to it. A transaction is a list of statements in the driver's words, each
with its values and the number of rows that it is foreseen to touch: where one touches another number, nothing is done
at all. It knows no noun, and imports no more than a driver, so that it is small; it ends when the line to it does.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from campaign.beside.line import serve
from campaign.store.door import Door


class Earlier(NamedTuple):
    """A value that is known only when the transaction runs: the first that an earlier statement of it found."""

    statement: int


class Foreseen(NamedTuple):
    """One statement: the driver's words, its values, and how many rows it will touch or find; None: that is all one."""

    words: str
    values: Any
    rows: int | None


class Opening(NamedTuple):
    """How to come to the database, and what to say there first."""

    sqlite: bool
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    prepare: tuple[str, ...]


class Cut(Exception):
    """The database ended the session: all is as if this transaction had never been, or nobody knows."""

    def __init__(self, why: Exception) -> None:
        """Take what the driver said."""
        super().__init__(why)
        self.why = why


Answer = list[Any] | None
"""The rows that the last statement found; None where something came otherwise."""

_PARENT: Final = os.getppid()


class _Connection(Protocol):
    @property
    def cut(self) -> bool:
        """Whether the database ended the session."""
        ...

    def run(self, statements: list[Foreseen]) -> Answer:
        """Run a transaction."""
        ...

    def close(self) -> None:
        """Let go of all that is open."""
        ...


class _Sqlite:
    """A connection to a SQLite file."""

    cut: Final = False

    def __init__(self, opening: Opening) -> None:
        import sqlite3  # noqa: PLC0415 -- no more than one driver is loaded

        self._door = Door(Path(opening.arguments[0]))
        self._connection = sqlite3.connect(*opening.arguments, **opening.options)
        self._connection.isolation_level = None
        for words in opening.prepare:
            self._connection.execute(words)

    def run(self, statements: list[Foreseen]) -> Answer:
        """Run a transaction."""
        execute = self._connection.execute
        with self._door.first(time.sleep):
            execute("BEGIN IMMEDIATE")
        rows: list[Any] = []
        found: list[list[Any]] = []
        for one in statements:
            cursor = execute(one.words, tuple(_known(value, found) for value in one.values))
            rows = cursor.fetchall() if cursor.description else []
            if one.rows not in {None, len(rows) if cursor.description else cursor.rowcount}:
                execute("ROLLBACK")
                return None
            found.append(rows)
        execute("COMMIT" if _is_wanted() else "ROLLBACK")
        return rows

    def close(self) -> None:
        """Let go of all that is open."""
        self._connection.close()


class _Postgresql:
    """A session of PostgreSQL."""

    def __init__(self, opening: Opening) -> None:
        import psycopg  # noqa: PLC0415 -- see above

        self._connection = psycopg.connect(*opening.arguments, **opening.options, autocommit=True)
        for words in opening.prepare:
            self._connection.execute(words)
        # To leave a pipeline psycopg sends a Flush after the Sync, and a server that has heard it no longer looks how
        # long the session stands still (idle_in_transaction_session_timeout): so it is never left.
        self._kept_open = ExitStack()
        self._pipeline = self._kept_open.enter_context(self._connection.pipeline())

    @property
    def cut(self) -> bool:
        """Whether the server ended the session."""
        return bool(self._connection.closed)

    def run(self, statements: list[Foreseen]) -> Answer:
        """Run a transaction; its statements go to the server in one breath."""
        execute = self._connection.execute
        execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        found = [execute(one.words, one.values) for one in statements]
        self._pipeline.sync()
        if any(one.rows not in {None, cursor.rowcount} for one, cursor in zip(statements, found, strict=True)):
            self._end("ROLLBACK")
            return None
        rows = found[-1].fetchall() if found[-1].description else []
        self._end("COMMIT" if _is_wanted() else "ROLLBACK")
        return rows

    def _end(self, words: str) -> None:
        self._connection.execute(words)
        self._pipeline.sync()

    def close(self) -> None:
        """Let go of all that is open."""
        self._connection.close()


def _is_wanted() -> bool:
    """Say whether whoever asked still lives: nothing is written for a daemon that was killed meanwhile."""
    return os.getppid() == _PARENT


def _known(value: Any, found: list[list[Any]]) -> Any:
    return found[value.statement][0][0] if isinstance(value, Earlier) else value


class _Ledger:
    """The database; after an error it is opened anew."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._connection: _Connection | None = None

    def run(self, statements: list[Foreseen]) -> Answer:
        """Run a transaction."""
        try:
            if self._connection is None:
                self._connection = (_Sqlite if self._opening.sqlite else _Postgresql)(self._opening)
            return self._connection.run(statements)
        except Exception as error:
            connection, self._connection = self._connection, None
            if connection is None:
                raise
            cut = connection.cut
            with suppress(Exception):
                connection.close()
            if cut:
                raise Cut(error) from error
            raise


def main() -> None:
    """Answer first how to come to the database, then each transaction."""
    serve(lambda opening: _Ledger(opening).run)
