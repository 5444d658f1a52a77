"""Statements about the one row by which a database knows whose it is. It never holds a key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select, update

from campaign.store.dialects import insert_into
from campaign.store.engine import Transaction
from campaign.store.schema.ledger import instance
from campaign.store.schema.people import subscribers

_ROW: Final = 1


@dataclass(frozen=True, slots=True)
class Instance:
    """Which installation a database belongs to, and the fingerprint of the suppression key it was written with."""

    instance_id: str
    fingerprint: bytes


async def find(tx: Transaction) -> Instance | None:
    """Return whose database this is, or None before anybody claimed it."""
    found = await tx.execute(select(instance.c.instance_id, instance.c.fingerprint).where(instance.c.id == _ROW))
    row = found.one_or_none()
    return None if row is None else Instance(row.instance_id, row.fingerprint)


async def register(tx: Transaction, mine: Instance, now: datetime) -> None:
    """Write down whose database this is, unless somebody did."""
    values = {"id": _ROW, "instance_id": mine.instance_id, "fingerprint": mine.fingerprint, "created_at": now}
    await tx.execute(insert_into(tx, instance).values(values).on_conflict_do_nothing(index_elements=["id"]))


async def journal_to(tx: Transaction) -> int:
    """Return up to which byte of the journal this database was told what it says."""
    found = await tx.execute(select(instance.c.journal_to).where(instance.c.id == _ROW))
    return int(found.scalar_one_or_none() or 0)


async def set_journal_to(tx: Transaction, byte: int) -> None:
    """Write down up to which byte this database was told."""
    await tx.execute(update(instance).where(instance.c.id == _ROW).values(journal_to=byte))


async def sealed_sample(tx: Transaction) -> list[bytes]:
    """Return the oldest and the newest sealed address: if keys open these, they are the ones of this database."""
    addresses = select(subscribers.c.address_sealed).limit(1)
    ends = [addresses.order_by(subscribers.c.id), addresses.order_by(subscribers.c.id.desc())]
    return [sealed for one in ends for sealed in (await tx.execute(one)).scalars()]
