"""Statements about the audit log: who did what to whom, before and after. It only adds, and never opens a seal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert

from campaign.store.engine import Transaction
from campaign.store.schema.operators import audit


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


async def add(tx: Transaction, entry: Entry) -> None:
    """Write one entry down, in the transaction of what it tells."""
    await tx.execute(insert(audit).values(**asdict(entry)))
