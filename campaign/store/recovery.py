"""Statements that bring back the letters of dead and frozen workers, and resolve doubts by policy. It never guesses.

Who is dead is for `store.presence` to say. A claimed letter is safe to send again (no dot was written), an offered one
is in doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from campaign.domain.delivery import MAX_ATTEMPTS, Event, Kind, Policy, State
from campaign.store.editions import reopen
from campaign.store.engine import Transaction
from campaign.store.moves import Cause, in_state, move
from campaign.store.schema.ledger import campaigns, deliveries, delivery_events, editions

_D: Final = deliveries.c
_HELD: Final = or_(in_state(State.CLAIMED), in_state(State.OFFERED))
"""Said again where one of the two states is asked for: SQLite then knows that the index of held letters will do."""

MOST_DOUBTS: Final = 3
"""How often a letter in doubt is sent again by policy: each time, a copy of it may have arrived."""
RESOLVED: Final = "operator"
"""The reason of a letter that was in doubt until somebody decided."""
_DOUBT_REST: Final = timedelta(minutes=15)
"""How long such a letter rests first: a relay that answers no dot now will not answer one at once."""


async def owners(tx: Transaction) -> list[str]:
    """Return every owner that holds a letter."""
    found = await tx.execute(select(_D.owner).distinct().where(_HELD, _D.owner.is_not(None)))
    return list(found.scalars())


async def recover_owner(tx: Transaction, owner: str, now: datetime) -> tuple[int, int]:
    """Bring back what a dead owner held; return how many went back to the queue and how many are in doubt."""
    mine = and_(_HELD, _D.owner == owner)
    released = await move(tx, Event.RELEASE, State.CLAIMED, mine, Cause(now, reason="worker died", refund=True))
    doubted = await move(tx, Event.DOUBT, State.OFFERED, mine, Cause(now, reason="worker died"))
    return len(released), len(doubted)


async def recover_frozen(
    tx: Transaction, *, claimed_before: datetime, offered_before: datetime, now: datetime
) -> tuple[int, int]:
    """Take letters from owners that live but do not move.

    Claimed ones after the lease, offered ones after the dot time-out.
    """
    lease = and_(_HELD, _D.owner.is_not(None), _D.moved_at < claimed_before)
    released = await move(tx, Event.RELEASE, State.CLAIMED, lease, Cause(now, reason="lease over", refund=True))
    late = and_(_HELD, _D.owner.is_not(None), _D.moved_at < offered_before)
    doubted = await move(tx, Event.DOUBT, State.OFFERED, late, Cause(now, reason="no reply"))
    return len(released), len(doubted)


async def resolve_by_policy(tx: Transaction, now: datetime, attempts: int = MAX_ATTEMPTS) -> int:
    """Send again what the policy says to send at least once, expire what it says to expire; return how many moved.

    A letter that has had its `attempts` stays in doubt: it could not be sent again.
    """
    service = _D.kind.in_([Kind.CONFIRM, Kind.RENEW, Kind.WELCOME, Kind.GOODBYE, Kind.ALERT])
    again = and_(
        _D.attempts < attempts,
        _doubts() <= MOST_DOUBTS,
        _D.valid_until > now + _DOUBT_REST,
        or_(service, _policy(Policy.RESEND)),
    )
    later = {"due_at": now + _DOUBT_REST}
    resent = await move(tx, Event.RESEND, State.IN_DOUBT, again, Cause(now, reason="policy", values=later))
    over = and_(_D.valid_until <= now, _policy(Policy.EXPIRE))
    expired = await move(tx, Event.EXPIRE, State.IN_DOUBT, over, Cause(now, reason="policy"))
    await reopen(tx, now)
    return len(resent) + len(expired)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What an operator decided about the letters of one edition that are in doubt, at most so many at once."""

    edition_id: int
    event: Event
    attempts: int
    most: int


async def resolve(tx: Transaction, asked: Resolution, now: datetime) -> int:
    """Settle letters in doubt as an operator decided; return how many.

    Only what has attempts and time left is sent again.
    """
    doubted = select(_D.id).where(in_state(State.IN_DOUBT), _D.edition_id == asked.edition_id)
    values: dict[str, Any] = {}
    if asked.event is Event.RESEND:
        doubted = doubted.where(_D.attempts < asked.attempts, _D.valid_until > now)
        values = {"due_at": now}
    some = doubted.order_by(_D.id).limit(asked.most).with_for_update()
    cause = Cause(now, reason=RESOLVED, values=values)
    moved = await move(tx, asked.event, State.IN_DOUBT, _D.id.in_(some), cause)
    if asked.event is Event.RESEND:
        await reopen(tx, now)
    return len(moved)


async def in_doubt(tx: Transaction, edition_id: int) -> int:
    """Return how many letters of an edition are in doubt."""
    found = select(func.count()).where(in_state(State.IN_DOUBT), _D.edition_id == edition_id)
    return int((await tx.execute(found)).scalar_one())


def _doubts() -> Any:
    """How often a letter was in doubt; each time a copy of it may have arrived."""
    e = delivery_events.c
    counted = select(func.count()).where(e.delivery_id == _D.id, e.to_state == State.IN_DOUBT)
    return counted.correlate(deliveries).scalar_subquery()


def _policy(policy: Policy) -> ColumnElement[bool]:
    e, c = editions.c, campaigns.c
    found = select(e.id).join(campaigns, c.id == e.campaign_id).where(e.id == _D.edition_id, c.policy == policy)
    return and_(_D.kind == Kind.EDITION, exists(found))
