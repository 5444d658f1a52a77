"""What tokens write down: the first one, what the letter says to this person for good; each, by which relay it went.

One statement for many letters. Values come in rows of parameters, because only the drivers write bytes as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

from campaign.store.engine import Transaction
from campaign.store.schema.ledger import deliveries

NO_RELAY: Final = ""
"""What stands in a letter's row until a relay has taken it up."""

_COLUMNS: Final = ("variant", "message_id", "date", "name_sealed", "relay")
_MOST: Final = 128


class Token(NamedTuple):
    """The last question before the dot, and what is written down with it: the same at every attempt, but the relay."""

    id: int
    claim_no: int
    edition_id: int | None
    variant: str | None
    message_id: str
    date: datetime
    name_sealed: bytes | None
    relay: str


async def note_tokens(tx: Transaction, granted: Sequence[Token]) -> None:
    """Write down what goes with the tokens that were granted."""
    for start in range(0, len(granted), _MOST):
        some = granted[start : start + _MOST]
        rows = 1 << (len(some) - 1).bit_length()  # few lengths, so that the database knows each statement already
        sql, written = _statement(tx, rows)
        values: list[Any] = []
        dates = {t.date: written(t.date) for t in some}  # letters of one second have one date
        for t in some:
            values += (t.id, t.variant, t.message_id, dates[t.date], t.name_sealed, t.relay)
        values += [None] * (len(_COLUMNS) + 1) * (rows - len(some))
        await tx.exec_driver_sql(sql, tuple(values))


def _statement(tx: Transaction, rows: int) -> tuple[str, Any]:
    """Return the statement for so many rows, and what turns an instant into this database's own."""
    dialect = tx.dialect
    convert = deliveries.c.date.type.dialect_impl(dialect).bind_processor(dialect) or (lambda instant: instant)
    return _sql(dialect.name, rows), convert


@cache
def _sql(dialect: str, rows: int) -> str:
    marks = ["?"] * 6
    if dialect != "sqlite":
        types = ("bigint", "varchar", "varchar", "timestamptz", "bytea", "varchar")
        marks = [f"%s::{name}" for name in types]
    values = ", ".join([f"({', '.join(marks)})"] * rows)
    first = "CASE WHEN deliveries.message_id IS NULL THEN noted.{0} ELSE deliveries.{0} END"
    changes = ", ".join(f"{name} = {first.format(name)}" for name in _COLUMNS[:-1])
    return (
        f"WITH noted (id, {', '.join(_COLUMNS)}) AS (VALUES {values}) "  # noqa: S608 -- our own names and marks
        f"UPDATE deliveries SET {changes}, relay = noted.relay FROM noted WHERE deliveries.id = noted.id"
    )
