"""Statements that read the ledger for people: deliveries with their addresses sealed, and counts.

It never moves a row.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, func, select, true

from campaign.domain.delivery import State
from campaign.store.engine import Transaction
from campaign.store.recovery import RESOLVED
from campaign.store.schema.ledger import deliveries, delivery_events, delivery_replies, editions

_D: Final = deliveries.c
_PAGE: Final = 2_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row of the ledger, for a list."""

    id: int
    kind: str
    address_sealed: bytes | None
    domain: str
    state: State
    relay: str
    attempts: int
    message_id: str | None
    code: int | None
    enhanced: str | None
    reason: str | None
    edition: str | None
    due_at: datetime
    moved_at: datetime


@dataclass(frozen=True, slots=True)
class Move:
    """One event in the life of a letter, with the relay's words while they are kept."""

    from_state: State
    to_state: State
    at: datetime
    claim_no: int
    code: int | None
    enhanced: str | None
    reason: str | None
    words: str | None


async def letters(tx: Transaction, edition_ids: list[int], state: State | None) -> AsyncIterator[Delivery]:
    """Yield the letters of some editions, all or in one state, by id; never more than a page in memory."""
    wanted: ColumnElement[bool] = _D.edition_id.in_(edition_ids)
    statement = (
        select(
            _D.id,
            _D.kind,
            _D.address_sealed,
            _D.domain,
            _D.state,
            _D.relay,
            _D.attempts,
            _D.message_id,
            _D.last_code,
            _D.last_enhanced,
            _D.reason,
            editions.c.name,
            _D.due_at,
            _D.moved_at,
        )
        .join(editions, editions.c.id == _D.edition_id)
        .where(wanted, _D.state == state if state is not None else true())
        .order_by(_D.id)
        .limit(_PAGE)
    )
    last = 0
    while rows := (await tx.execute(statement.where(_D.id > last))).all():
        for row in rows:
            yield Delivery(**dict(zip(Delivery.__dataclass_fields__, row, strict=True)))
        last = rows[-1].id


async def accepted_by_word(tx: Transaction, edition_id: int) -> int:
    """Return how many letters of an edition count as accepted because an operator said so."""
    found = select(func.count()).where(_D.edition_id == edition_id, _D.state == State.ACCEPTED, _D.reason == RESOLVED)
    return int((await tx.execute(found)).scalar_one())


async def life(tx: Transaction, delivery_id: int) -> list[Move]:
    """Return what happened to one letter, first to last."""
    e = delivery_events.c
    words = delivery_replies.c.text
    columns = (e.from_state, e.to_state, e.at, e.claim_no, e.code, e.enhanced, e.reason, words)
    found = select(*columns).outerjoin(delivery_replies, delivery_replies.c.event_id == e.id)
    rows = await tx.execute(found.where(e.delivery_id == delivery_id).order_by(e.id))
    return [Move(*row) for row in rows]
