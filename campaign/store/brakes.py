"""Statements about the brake: the one row that holds every letter, whatever it is for. It never asks why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final

from sqlalchemy import ColumnElement, delete, exists, select

from campaign.store.dialects import EVERYTHING, gate, insert_into
from campaign.store.engine import Transaction
from campaign.store.schema.ledger import brakes

_ROW: Final = 1


@dataclass(frozen=True, slots=True)
class Brake:
    """Who holds every letter, since when, and the words they gave for it."""

    pulled_at: datetime
    pulled_by: str
    because: str


async def find(tx: Transaction) -> Brake | None:
    """Return the brake that is on, or None."""
    b = brakes.c
    row = (await tx.execute(select(b.pulled_at, b.pulled_by, b.because))).one_or_none()
    return None if row is None else Brake(*row)


async def pull(tx: Transaction, brake: Brake) -> bool:
    """Put the brake on; return False when it was on.

    It waits for the tokens that are on their way to disk, and once it commits, no other one does.
    """
    await gate(tx, [EVERYTHING], exclusive=True)
    values = {"id": _ROW, "pulled_at": brake.pulled_at, "pulled_by": brake.pulled_by, "because": brake.because}
    put = insert_into(tx, brakes).values(values).on_conflict_do_nothing(index_elements=["id"])
    return (await tx.execute(put.returning(brakes.c.id))).scalar_one_or_none() is not None


async def release(tx: Transaction) -> bool:
    """Take the brake off; return False when it was off."""
    return bool((await tx.execute(delete(brakes))).rowcount)


@cache
def brake_is_off() -> ColumnElement[bool]:
    """The predicate of every claim and every token; the databases look at an empty table once for a whole statement."""
    return ~exists(select(brakes.c.id).where(brakes.c.id == _ROW))
