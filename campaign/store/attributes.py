"""Statements about declared attributes: name, kind, choices. The values stand with each person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, delete, func, or_, select, update

from campaign.domain.attributes import Attribute
from campaign.store.dialects import insert_into
from campaign.store.engine import Transaction
from campaign.store.schema.people import attributes, subscribers

_P: Final = subscribers.c
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


async def count_values(tx: Transaction, name: str) -> int:
    """Count the people of whom the value of an attribute that is not sealed is known."""
    known = select(func.count()).select_from(subscribers).where(_P.attributes[name].as_string().is_not(None))
    return int((await tx.execute(known)).scalar_one())


class Held(NamedTuple):
    """What a person has besides the usual: values by attribute, and the sealed free text."""

    id: int
    attributes: dict[str, Any] | None
    attributes_sealed: bytes | None


async def held(tx: Transaction, after: int, most: int) -> list[Held]:
    """Return the next people who have any attribute, beyond an id."""
    some = or_(_P.attributes.is_not(None), _P.attributes_sealed.is_not(None))
    page = select(_P.id, _P.attributes, _P.attributes_sealed).where(_P.id > after, some).order_by(_P.id).limit(most)
    return [Held(*row) for row in await tx.execute(page)]


async def rewrite(tx: Transaction, people: Sequence[Held]) -> None:
    """Give people other attributes."""
    if people:
        columns: dict[str, Any] = {"attributes": bindparam("new_values"), "attributes_sealed": bindparam("new_sealed")}
        rows = [{"person": one.id, "new_values": one.attributes, "new_sealed": one.attributes_sealed} for one in people]
        await tx.execute(update(subscribers).where(_P.id == bindparam("person")).values(columns), rows)


def _values(attribute: Attribute) -> dict[str, Any]:
    choices = list(attribute.choices) or None
    return {
        "name": attribute.name,
        "kind": attribute.kind,
        "choices": choices,
        "description": attribute.description,
    }
