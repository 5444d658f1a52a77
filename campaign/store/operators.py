"""Statements about operators: who may do what here. It never decides about a command."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, func, insert, select, true, update

from campaign.domain.operators import Role
from campaign.store.engine import Transaction
from campaign.store.schema.operators import operators

_O: Final = operators.c


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator."""

    id: int
    name: str
    role: Role
    title: str
    created_at: datetime
    retired_at: datetime | None


async def find(tx: Transaction, name: str) -> Operator | None:
    """Find an operator, also a retired one."""
    found = await _select(tx, _O.name == name)
    return found[0] if found else None


async def every(tx: Transaction, *, retired: bool = False) -> list[Operator]:
    """Return the operators by name, and on demand the retired ones too."""
    return await _select(tx, true() if retired else _O.retired_at.is_(None))


async def count_admins(tx: Transaction) -> int:
    """Count the admins who are not retired."""
    admins = select(func.count()).where(_O.role == Role.ADMIN, _O.retired_at.is_(None))
    return int((await tx.execute(admins)).scalar_one())


async def add(tx: Transaction, name: str, role: Role, title: str, now: datetime) -> None:
    """Store a new operator."""
    values = {"name": name, "role": role, "title": title, "created_at": now, "changed_at": now}
    await tx.execute(insert(operators).values(**values))


async def change(tx: Transaction, operator_id: int, values: dict[str, Any], now: datetime) -> None:
    """Change an operator."""
    await tx.execute(update(operators).where(_O.id == operator_id).values(**values, changed_at=now))


async def _select(tx: Transaction, where: ColumnElement[bool]) -> list[Operator]:
    columns = [_O[name] for name in Operator.__dataclass_fields__]
    return [Operator(*row) for row in await tx.execute(select(*columns).where(where).order_by(_O.name))]
