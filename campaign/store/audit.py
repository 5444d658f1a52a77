"""Statements about the audit log: who did what to whom, before and after. It only adds, and never opens a seal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import insert, or_, select

from campaign.store.engine import Transaction
from campaign.store.schema.operators import audit

_A: Final = audit.c


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done; addresses in it are masked."""

    at: datetime
    operator: str
    action: str
    subject: str
    subject_key: bytes | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Which entries are wanted; None asks for all."""

    operator: str | None = None
    action: str | None = None
    subject_key: bytes | None = None
    since: datetime | None = None


async def entries(tx: Transaction, asked: Asked, before: int | None, most: int) -> list[tuple[int, Entry]]:
    """Return the next entries with their ids, newest first, before an id."""
    wanted = [] if before is None else [_A.id < before]
    if asked.operator is not None:
        wanted.append(_A.operator.in_((asked.operator, f"local:{asked.operator}")))
    if asked.action is not None:
        wanted.append(or_(_A.action == asked.action, _A.action.startswith(f"{asked.action}.", autoescape=True)))
    if asked.subject_key is not None:
        wanted.append(_A.subject_key == asked.subject_key)
    if asked.since is not None:
        wanted.append(_A.at >= asked.since)
    columns = [_A[name] for name in Entry.__dataclass_fields__]
    rows = await tx.execute(select(_A.id, *columns).where(*wanted).order_by(_A.id.desc()).limit(most))
    return [(row[0], Entry(*row[1:])) for row in rows]


async def add(tx: Transaction, entry: Entry) -> None:
    """Write one entry down, in the transaction of what it tells."""
    await tx.execute(insert(audit).values(**asdict(entry)))
