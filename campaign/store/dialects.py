"""What SQLite and PostgreSQL say differently. It never knows a noun."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, String, Subquery, Table, Text, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from campaign.store.engine import Transaction

_GATE: Final = 0x43414D50
"""The class of our advisory locks ("CAMP"), so that they never meet those of another program on the same server."""


def insert_into(tx: Transaction, table: Table) -> Any:
    """Return the dialect's own INSERT, which knows ON CONFLICT."""
    return sqlite.insert(table) if is_sqlite(tx) else postgresql.insert(table)


def hex_of(tx: Transaction, column: ColumnElement[bytes]) -> ColumnElement[str]:
    """Return SQL for bytes in lower-case hexadecimal."""
    return func.lower(func.hex(column), type_=String) if is_sqlite(tx) else func.encode(column, "hex", type_=String)


def is_sqlite(tx: Transaction) -> bool:
    """Say whether this transaction runs on SQLite."""
    return tx.dialect.name == "sqlite"


async def gate(tx: Transaction, editions: Iterable[int], *, exclusive: bool) -> None:
    """Hold the gates of `editions` until the transaction ends: tokens share them, pause and cancel take them alone.

    A fair queue on PostgreSQL (advisory locks, always taken in one order); on SQLite the single writer is the gate.
    """
    if is_sqlite(tx):
        return
    lock = func.pg_advisory_xact_lock if exclusive else func.pg_advisory_xact_lock_shared
    for edition in sorted(set(editions)):
        await tx.execute(select(lock(_GATE, edition % 2**31)))


@cache
def numbered(dialect: str) -> Subquery:
    """Return a table of two columns, `id` and `no`, that `numbers` fills: however many rows, it is one statement.

    A list of parameters would be a statement of its own for each length, to be planned and checked anew.
    """
    if dialect == "sqlite":
        given = func.json_each(bindparam("numbers", type_=Text)).table_valued("value", name="given").c.value
        return select(
            func.json_extract(given, "$[0]").label("id"), func.json_extract(given, "$[1]").label("no")
        ).subquery("numbered")
    whole = postgresql.ARRAY(BigInteger)
    ids, numbers = (func.unnest(bindparam(name, type_=whole), type_=BigInteger) for name in ("numbered_ids", "numbers"))
    return select(ids.label("id"), numbers.label("no")).subquery("numbered")


def numbers(tx: Transaction, rows: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Return the parameters of a statement over `numbered`."""
    if is_sqlite(tx):
        return {"numbers": json.dumps(rows)}
    return {"numbered_ids": [id_ for id_, _ in rows], "numbers": [number for _, number in rows]}
