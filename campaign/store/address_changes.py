"""Statements about people who are to be written to at another address. It never changes an address itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, delete, func, insert, select, update

from campaign.domain.delivery import Kind
from campaign.store.engine import Transaction
from campaign.store.schema.ledger import deliveries
from campaign.store.schema.people import address_changes

_C: Final = address_changes.c
_D: Final = deliveries.c


@dataclass(frozen=True, slots=True)
class Wish:
    """A change that was asked for: whose, by which letter to which mailbox (sealed), and when it was confirmed."""

    subscriber_id: int
    delivery_id: int
    address_key: bytes
    address_sealed: bytes | None
    domain: str
    due_at: datetime
    valid_until: datetime
    asked_by: str
    confirmed_at: datetime | None


async def find(tx: Transaction, delivery_id: int) -> Wish | None:
    """Return the wish that a letter asks about."""
    return await _wish(tx, _C.delivery_id == delivery_id)


async def open_of(tx: Transaction, subscriber_id: int) -> Wish | None:
    """Return what a person's new mailbox was asked and has not answered."""
    return await _wish(tx, (_C.subscriber_id == subscriber_id) & _C.confirmed_at.is_(None))


async def _wish(tx: Transaction, where: ColumnElement[bool]) -> Wish | None:
    names = Wish.__dataclass_fields__
    columns = [_C[name] if name in _C else _D[name] for name in names]
    found = select(*columns).join(deliveries, _D.id == _C.delivery_id).where(where).order_by(_C.id.desc()).limit(1)
    row = (await tx.execute(found)).one_or_none()
    return None if row is None else Wish(*row)


async def record(tx: Transaction, subscriber_id: int, delivery_id: int, now: datetime, asked_by: str) -> None:
    """Write down a wish; it takes the place of one that is still open."""
    await tx.execute(delete(address_changes).where(_C.subscriber_id == subscriber_id, _C.confirmed_at.is_(None)))
    values = {"subscriber_id": subscriber_id, "delivery_id": delivery_id, "asked_at": now, "asked_by": asked_by}
    await tx.execute(insert(address_changes).values(**values))


async def confirm(tx: Transaction, delivery_id: int, kept: int, now: datetime) -> None:
    """Write down that the new mailbox said yes; the wish is now the person's who has that mailbox."""
    mine = _C.delivery_id == delivery_id
    await tx.execute(update(address_changes).where(mine).values(subscriber_id=kept, confirmed_at=now))


async def last_asked(tx: Transaction, address_key: bytes) -> datetime | None:
    """Return when the last letter that asks this mailbox to confirm anything was due, whoever it belongs to."""
    mine = (_D.address_key == address_key, _D.edition_id.is_(None), _D.kind == Kind.CONFIRM)
    found: datetime | None = (await tx.execute(select(func.max(_D.due_at)).where(*mine))).scalar_one()
    return found
