"""What SQLite and PostgreSQL say differently. It never knows a noun."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Integer,
    Subquery,
    Table,
    Text,
    all_,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite

from campaign.store import straight
from campaign.store.engine import Transaction
from campaign.store.schema import Instant

_GATE: Final = 0x43414D50
"""The class of our advisory locks ("CAMP"), so that they never meet those of another program on the same server."""

EVERYTHING: Final = 0
"""The gate that every token shares, whatever its letter is for. No edition has this number."""


def insert_into(tx: Transaction, table: Table) -> Any:
    """Return the dialect's own INSERT, which knows ON CONFLICT."""
    return sqlite.insert(table) if is_sqlite(tx) else postgresql.insert(table)


def is_sqlite(tx: Transaction) -> bool:
    """Say whether this transaction runs on SQLite."""
    return tx.dialect.name == "sqlite"


async def look_up_by_index(tx: Transaction) -> None:
    """Have PostgreSQL find the rows of this transaction by index, however little it knows about tables that grow fast.

    Without figures it would read whole tables for each chunk of a long work. SQLite does so by itself.
    """
    if not is_sqlite(tx):
        await tx.execute(select(*(func.set_config(f"enable_{way}", "off", true()) for way in _WHOLE)))


_WHOLE: Final = ("seqscan", "hashjoin", "mergejoin")


async def gate(tx: Transaction, editions: Iterable[int], *, exclusive: bool) -> None:
    """Hold the gates of `editions` until the transaction ends: tokens share them, pause and cancel take them alone.

    A fair queue on PostgreSQL (advisory locks, always taken in one order); on SQLite the single writer is the gate.
    """
    numbers = sorted({edition % 2**31 for edition in editions})
    if is_sqlite(tx) or not numbers:
        return
    await straight.run(tx, _gates(len(numbers), exclusive), {f"gate_{at}": number for at, number in enumerate(numbers)})


@cache
def _gates(count: int, exclusive: bool) -> Any:  # noqa: FBT001 -- a statement for each
    lock = func.pg_advisory_xact_lock if exclusive else func.pg_advisory_xact_lock_shared
    marks = [bindparam(f"gate_{at}", type_=Integer()) for at in range(count)]
    return select(*(cast(lock(_GATE, mark), Text).label(mark.key) for mark in marks))


def none_of(dialect: str, column: Any, name: str) -> Any:
    """Say that a column has none of the texts in the parameter `name`, however many they are; see `texts`."""
    if dialect == "sqlite":
        return column.not_in(select(func.json_each(bindparam(name, type_=Text)).table_valued("value").c.value))
    return column != all_(bindparam(name, type_=postgresql.ARRAY(Text)))


def texts(tx: Transaction, given: Iterable[str]) -> Any:
    """Return the value of a parameter that is a number of texts."""
    return json.dumps(list(given)) if is_sqlite(tx) else list(given)


Own = tuple[tuple[str, Any], ...]
"""Names and types of the columns that letters bring along behind their id and number."""


@cache
def numbered(dialect: str, own: Own = ()) -> Subquery:
    """Return a table of two columns, `id` and `no`, and those of `own`, that `numbers` fills with any number of rows.

    A list of parameters would be a statement of its own for each length, to be planned and checked anew.
    """
    columns: Own = (("id", BigInteger()), ("no", BigInteger()), *own)
    if dialect == "sqlite":
        given = func.json_each(bindparam("numbers", type_=Text)).table_valued("value", name="given").c.value
        cells = [func.json_extract(given, literal_column(f"'$[{at}]'", Text)) for at in range(len(columns))]
    else:
        marks = [bindparam(f"numbers_{name}", type_=postgresql.ARRAY(kind)) for name, kind in columns]
        cells = [func.unnest(mark, type_=kind) for mark, (_, kind) in zip(marks, columns, strict=True)]
    return select(*(cell.label(name) for cell, (name, _) in zip(cells, columns, strict=True))).subquery("numbered")


def numbers(tx: Transaction, rows: Sequence[tuple[Any, ...]], own: Own = ()) -> dict[str, Any]:
    """Return the parameters of a statement over `numbered` with the same `own`."""
    if not is_sqlite(tx):
        names = ("id", "no", *(name for name, _ in own))
        columns = zip(*rows, strict=True) if rows else [()] * len(names)
        return {f"numbers_{name}": list(column) for name, column in zip(names, columns, strict=True)}
    for at, (_, kind) in enumerate(own, start=2):
        if isinstance(kind, Instant):
            rows = [(*row[:at], straight.written(row[at], tx.dialect), *row[at + 1 :]) for row in rows]
    return {"numbers": json.dumps(rows)}
