"""Statements about suppressions: mailboxes that must not be mailed, known by their keyed hash alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete, select, update

from campaign.domain.addresses import CANONICAL_VERSION
from campaign.domain.consent import LIFTED_BY_CONFIRMING, Reason
from campaign.domain.joining import weaker_than
from campaign.store.dialects import insert_into
from campaign.store.engine import Transaction
from campaign.store.schema.people import suppressions

_S: Final = suppressions.c


@dataclass(frozen=True, slots=True)
class Suppression:
    """Why a mailbox must not be mailed, since when, and who recorded it."""

    reason: Reason
    since: datetime
    recorded_by: str


async def add(tx: Transaction, address_key: bytes, reason: Reason, *, now: datetime, recorded_by: str) -> bool:
    """Suppress a mailbox; return False when nothing changed. A weaker reason gives way, a stronger one stays."""
    values = {"reason": reason, "since": now, "recorded_by": recorded_by}
    statement = insert_into(tx, suppressions).values(address_key=address_key, key_version=CANONICAL_VERSION, **values)
    added = await tx.execute(statement.on_conflict_do_nothing(index_elements=["address_key"]).returning(_S.id))
    if added.scalar_one_or_none() is not None:
        return True
    weaker = _S.reason.in_(weaker_than(reason))
    made = await tx.execute(update(suppressions).where(_S.address_key == address_key, weaker).values(**values))
    return bool(made.rowcount == 1)


async def find(tx: Transaction, address_key: bytes) -> Suppression | None:
    """Return why a mailbox is suppressed, or None."""
    found = await tx.execute(select(_S.reason, _S.since, _S.recorded_by).where(_S.address_key == address_key))
    row = found.one_or_none()
    return None if row is None else Suppression(row.reason, row.since, row.recorded_by)


async def lift(tx: Transaction, address_key: bytes) -> bool:
    """Take a suppression away that the person's own confirmation lifts; return whether there was one."""
    mine = (_S.address_key == address_key, _S.reason.in_(sorted(LIFTED_BY_CONFIRMING)))
    lifted = await tx.execute(delete(suppressions).where(*mine))
    return bool(lifted.rowcount == 1)
