"""Statements that go to the driver as they are, compiled once: what a worker runs for every letter.

To run a statement that it has seen before, SQLAlchemy takes a hundred microseconds, the driver ten. Only the writer's
connection, which answers where it stands, can be asked so; on any other a statement runs as usual. It knows no noun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError

from campaign.store.engine import Transaction
from campaign.store.schema import Instant, Word

_Straight = Callable[[Any, Mapping[str, Any], int | None], "Found"]
_FEW: Final = 16
"""So many values are kept as the driver wants them: those of one transaction."""
_KEPT: Final = 256
"""So many compiled statements are kept; there are a few dozen."""


class Found(NamedTuple):
    """What a statement did: how many rows it touched, and those that it returned, as the driver has them."""

    touched: int
    rows: list[Any]
    foreseen: bool = False
    """Whether nothing was done yet: then only a later statement can know what the rows are."""


async def run(tx: Transaction, statement: Any, given: Mapping[str, Any], rows: int | None = None) -> Found:
    """Run a statement whose results, if any, are whole numbers and text (else `ask`); the same object each time.

    `rows` is how many it touches if nothing came between: all that a transaction goes by that is only foreseen.
    """
    straight: _Straight | None = getattr(tx, "straight", None)
    if straight is not None:
        return straight(statement, given, rows)
    found = await tx.execute(statement, given, execution_options={"preserve_rowcount": True})
    return Found(found.rowcount, list(found) if found.returns_rows else [])


async def ask(tx: Transaction, statement: Any, given: Mapping[str, Any]) -> list[Any]:
    """Run a statement, and return the rows it finds in the types of its columns."""
    straight: _Straight | None = getattr(tx, "straight", None)
    if straight is None:
        return list(await tx.execute(statement, given))
    found = straight(statement, given, None)
    return found.rows if found.foreseen else read(statement, tx.dialect, found.rows)


def run_on(connection: Connection, statement: Any, given: Mapping[str, Any]) -> Found:
    """Run it on the driver's own connection; raise what SQLAlchemy would raise."""
    dialect = connection.dialect
    known = _compiled(statement, dialect)
    cursor = connection.connection.cursor()
    try:
        cursor.execute(known.text, known.bound(given))
        return Found(cursor.rowcount, list(cursor.fetchall()) if cursor.description else [])
    except dialect.loaded_dbapi.Error as error:
        raise DBAPIError.instance(known.text, None, error, dialect.loaded_dbapi.Error, dialect=dialect) from error
    finally:
        cursor.close()


def spelled(statement: Any, dialect: Dialect, given: Mapping[str, Any]) -> tuple[str, Any]:
    """Return a statement in the driver's words, and its values as the driver wants them."""
    known = _compiled(statement, dialect)
    return known.text, known.bound(given)


def read(statement: Any, dialect: Dialect, rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Return rows that the driver found in the types of the statement's columns."""
    columns = zip(*rows, strict=True)
    turned = [_turned(column, turn) for column, turn in zip(columns, _readers(statement, dialect), strict=False)]
    return list(zip(*turned, strict=True))


def _turned(column: tuple[Any, ...], turn: Callable[[Any], Any] | None) -> Iterable[Any]:
    """Turn a column's values; most have few different ones, and those are turned once."""
    if turn is None:
        return column
    known = {value: turn(value) for value in set(column)}
    return [known[value] for value in column]


@lru_cache(maxsize=_KEPT)
def _readers(statement: Any, dialect: Dialect) -> list[Callable[[Any], Any] | None]:
    kinds = [column.type.dialect_impl(dialect) for column in statement.selected_columns]
    return [kind.result_processor(dialect, None) for kind in kinds]


class _Compiled(NamedTuple):
    """A statement in the driver's words, and of each parameter: its name, its fixed value, its way to the driver."""

    text: str
    parameters: tuple[tuple[str, Any, Callable[[Any], Any] | None], ...]
    positional: bool
    fixed: frozenset[str]

    def bound(self, given: Mapping[str, Any]) -> Any:
        """Return the parameters as the driver wants them."""
        values = [
            value if name in self.fixed else (given[name] if turn is None else turn(given[name]))
            for name, value, turn in self.parameters
        ]
        return values if self.positional else dict(zip([one[0] for one in self.parameters], values, strict=True))


def _turn(kind: Any, dialect: Dialect) -> Callable[[Any], Any] | None:
    """Return how values of a type are made the driver's; instants and words come again and again."""
    if isinstance(kind, Instant):
        return _instants(dialect)
    turn: Callable[[Any], Any] | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return lru_cache(maxsize=_FEW)(turn) if isinstance(kind, Word) and turn is not None else turn


@cache
def _instants(dialect: Dialect) -> Callable[[Any], Any]:
    turn: Any = Instant().dialect_impl(dialect).bind_processor(dialect)
    return lru_cache(maxsize=_FEW)(turn)


def written(instant: datetime, dialect: Dialect) -> Any:
    """Return an instant as the driver wants it."""
    return _instants(dialect)(instant)


@lru_cache(maxsize=_KEPT)
def _compiled(statement: Any, dialect: Dialect) -> _Compiled:
    made = statement.compile(dialect=dialect)
    positional = made.positiontup is not None
    parameters, fixed = [], set()
    for name in made.positiontup if positional else made.params:
        bind = made.binds[name]
        turn = _turn(bind.type, dialect)
        if bind.required:
            parameters.append((name, None, turn))
        else:  # a value that stands in the statement itself
            fixed.add(name)
            parameters.append((name, bind.value if turn is None else turn(bind.value), None))
    return _Compiled(str(made), tuple(parameters), positional, frozenset(fixed))
