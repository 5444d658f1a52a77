"""Statements about declared attributes: name, kind, choices. The values stand with each person."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, select, update

from campaign.domain.attributes import Attribute
from campaign.store.dialects import insert_into
from campaign.store.engine import Transaction
from campaign.store.schema.people import attributes

_A: Final = attributes.c


async def every(tx: Transaction) -> dict[str, Attribute]:
    """Return the declared attributes by name."""
    rows = await tx.execute(select(_A.name, _A.kind, _A.choices, _A.description).order_by(_A.name))
    return {row.name: Attribute(row.name, row.kind, tuple(row.choices or ()), row.description) for row in rows}


async def add(tx: Transaction, attribute: Attribute, now: datetime) -> bool:
    """Declare an attribute; return False when the name is taken."""
    statement = insert_into(tx, attributes).values(**_values(attribute), created_at=now)
    added = await tx.execute(statement.on_conflict_do_nothing(index_elements=["name"]).returning(_A.id))
    return added.scalar_one_or_none() is not None


async def change(tx: Transaction, attribute: Attribute) -> None:
    """Give an attribute another description or other choices."""
    await tx.execute(update(attributes).where(_A.name == attribute.name).values(**_values(attribute)))


async def remove(tx: Transaction, name: str) -> bool:
    """Take a declaration away; return whether there was one."""
    return bool((await tx.execute(delete(attributes).where(_A.name == name))).rowcount)


def _values(attribute: Attribute) -> dict[str, Any]:
    choices = list(attribute.choices) or None
    return {
        "name": attribute.name,
        "kind": attribute.kind,
        "choices": choices,
        "description": attribute.description,
    }
