"""What SQLite and PostgreSQL say differently. It never knows a noun."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import ColumnElement, String, Table, func, select
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
