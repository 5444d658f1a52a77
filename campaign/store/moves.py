"""The one way a letter changes its state: a conditional UPDATE made from the transition table, and its event beside it.

It never decides which move is due; the ledger's statements and the verbs do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, exists, insert, literal, literal_column, or_, select, update

from campaign.domain.consent import Reason, SubscriptionState
from campaign.domain.delivery import Event, Kind, State, advance
from campaign.domain.editions import EditionState
from campaign.store.engine import Transaction
from campaign.store.schema.ledger import campaign_lists, deliveries, delivery_events, delivery_replies, editions
from campaign.store.schema.people import address_changes, lists, subscriptions, suppressed_domains, suppressions

_D: Final = deliveries.c
_CHUNK: Final = 5_000


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a letter moves: the instant, and what the relay said (its words apart, because servers quote addresses)."""

    at: datetime
    code: int | None = None
    enhanced: str | None = None
    reason: str | None = None
    words: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Further columns of the row that change with the move."""


@cache
def in_state(state: State) -> ColumnElement[bool]:
    """Compare with a literal, not a parameter: only so can the databases use the partial indexes."""
    return _D.state == literal_column(f"'{state.value}'")


async def move(tx: Transaction, event: Event, origin: State, where: ColumnElement[bool], cause: Cause) -> list[int]:
    """Move the letters in `origin` that match `where`; append an event for each; return their ids."""
    target = advance(origin, event)
    values: dict[str, Any] = {"state": target, "moved_at": cause.at}
    if cause.code is not None:
        values |= {"last_code": cause.code, "last_enhanced": cause.enhanced}
    if cause.reason is not None:
        values["reason"] = cause.reason
    statement = update(deliveries).where(in_state(origin), where).values(**values, **cause.values)
    rows = (await tx.execute(statement.returning(_D.id, _D.claim_no))).all()
    await _append(tx, [(row.id, origin, target, row.claim_no) for row in rows], cause)
    return [row.id for row in rows]


async def _append(tx: Transaction, moves: Sequence[tuple[int, State, State, int]], cause: Cause) -> None:
    shared = {"at": cause.at, "code": cause.code, "enhanced": cause.enhanced, "reason": cause.reason}
    events = [
        {"delivery_id": id_, "from_state": before, "to_state": after, "claim_no": claim_no, **shared}
        for id_, before, after, claim_no in moves
    ]
    if not cause.words:
        for start in range(0, len(events), _CHUNK):
            await tx.execute(insert(delivery_events), events[start : start + _CHUNK])
        return
    for event in events:
        event_id = (
            await tx.execute(insert(delivery_events).values(**event).returning(delivery_events.c.id))
        ).scalar_one()
        kept = select(literal(event_id), literal(cause.words))
        kept = kept.where(exists(select(_D.id).where(_D.id == event["delivery_id"], _D.address_sealed.is_not(None))))
        await tx.execute(insert(delivery_replies).from_select(["event_id", "text"], kept))


def _suppressed(*reasons: Reason) -> ColumnElement[bool]:
    """Say whether the mailbox is suppressed (for one of these reasons), or all of its domain, always a block."""
    s = suppressions.c
    found = select(s.id).where(s.address_key == _D.address_key)
    mailbox = exists(found.where(s.reason.in_(reasons)) if reasons else found)
    return or_(mailbox, exists(select(suppressed_domains.c.id).where(suppressed_domains.c.domain == _D.domain)))


def _subscription_is(*states: SubscriptionState) -> ColumnElement[bool]:
    s = subscriptions.c
    return exists(
        select(s.id).where(s.id == _D.subscription_id, s.subscriber_id == _D.subscriber_id, s.state.in_(states))
    )


def _moves_there() -> ColumnElement[bool]:
    """Somebody asked to be written to at this letter's address, and nobody has answered yet."""
    c = address_changes.c
    return exists(select(c.id).where(c.delivery_id == _D.id, c.confirmed_at.is_(None)))


def _on_audience() -> ColumnElement[bool]:
    """The person is active on at least one list, that has not ended, of the edition's campaign."""
    s, c, e = subscriptions.c, campaign_lists.c, editions.c
    return exists(
        select(s.id)
        .join(campaign_lists, c.list_id == s.list_id)
        .join(editions, e.campaign_id == c.campaign_id)
        .join(lists, and_(lists.c.id == s.list_id, lists.c.retired_at.is_(None)))
        .where(s.subscriber_id == _D.subscriber_id, s.state == SubscriptionState.ACTIVE, e.id == _D.edition_id),
    )


@cache
def may_receive() -> ColumnElement[bool]:
    """The predicate of who may get a letter, per kind (design: Eligible). It looks at the rows as they are now."""
    never = _suppressed(Reason.COMPLAINED, Reason.BLOCKED)
    active, pending, left = SubscriptionState.ACTIVE, SubscriptionState.PENDING, SubscriptionState.LEFT
    return or_(
        and_(_D.kind == Kind.EDITION, _on_audience(), ~_suppressed()),
        and_(_D.kind == Kind.CONFIRM, or_(_subscription_is(pending), _moves_there()), ~never),
        and_(_D.kind == Kind.RENEW, _subscription_is(active), ~_suppressed()),
        and_(_D.kind == Kind.WELCOME, _subscription_is(active), ~_suppressed()),
        and_(_D.kind == Kind.GOODBYE, _subscription_is(left), ~never),
        and_(_D.kind == Kind.TEST, ~_suppressed()),
        _D.kind == Kind.ALERT,
    )


@cache
def edition_is_open() -> ColumnElement[bool]:
    """The letter belongs to no edition, or to one that is sending: pause and cancel close it."""
    e = editions.c
    return or_(
        _D.edition_id.is_(None),
        exists(select(e.id).where(e.id == _D.edition_id, e.state == EditionState.SENDING)),
    )
