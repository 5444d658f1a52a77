"""The ledger's statements: enqueue, token, settle, suppress, recover. Each takes an open transaction.

It never decides a policy and never talks to a relay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, bindparam, delete, or_, select, update

from campaign.domain.delivery import Event, Kind, State
from campaign.domain.editions import EditionState
from campaign.store import tokens
from campaign.store.brakes import brake_is_off
from campaign.store.dialects import EVERYTHING, gate, insert_into
from campaign.store.editions import reopen
from campaign.store.eligible import edition_is_open, may_receive
from campaign.store.engine import Transaction
from campaign.store.moves import Cause, Held, Only, Own, Step, move, move_held
from campaign.store.schema.ledger import deliveries, delivery_events, delivery_replies, editions
from campaign.store.schema.people import subscribers
from campaign.store.tokens import Token

_D: Final = deliveries.c


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter that is not part of an edition, before it is in the ledger."""

    kind: Kind
    purpose_key: str
    subscriber_id: int | None
    subscription_id: int | None
    address_key: bytes
    address_sealed: bytes
    domain: str
    due_at: datetime
    valid_until: datetime
    variant: str | None = None


async def enqueue(tx: Transaction, letter: Letter, now: datetime) -> int | None:
    """Put a letter into the ledger; return its id, or None when its purpose key was there already."""
    values = {name: getattr(letter, name) for name in Letter.__dataclass_fields__}
    statement = insert_into(tx, deliveries).values(**values, state=State.QUEUED, moved_at=now)
    found = await tx.execute(statement.on_conflict_do_nothing(index_elements=["purpose_key"]).returning(_D.id))
    return found.scalar_one_or_none()


async def offer(tx: Transaction, owner: str, asked: Sequence[Token], now: datetime) -> set[int]:
    """Grant the tokens of those letters that are still this owner's, still eligible, and that nothing holds.

    An edition that no longer sends holds its own; the brake holds all of them.

    What comes back is what may be dotted once this transaction has committed; for the rest no dot may be written.
    """
    await gate(tx, [EVERYTHING, *(token.edition_id or EVERYTHING for token in asked)], exclusive=False)
    held = [token[:-1] for token in asked]
    return set(await move_held(tx, _OFFERED, held, Cause(now), Only(_offerable, {"me": owner})))


_OFFERED: Final = Step(Event.OFFER, State.CLAIMED, Own(tokens.OWN, tokens.noted))


def _offerable() -> ColumnElement[bool]:
    return and_(_mine(), brake_is_off(), edition_is_open(), may_receive())


def _mine() -> ColumnElement[bool]:
    return _D.owner == bindparam("me")


async def settle(tx: Transaction, event: Event, held: Held, cause: Cause) -> list[int]:
    """Write down how the conversation about some letters ended; `held` names them as (id, claim number).

    A letter whose claim was lost meanwhile is left alone. One that a recovery called in doubt is settled by the late
    answer.
    """
    moved: list[int] = []
    for origin in _SETTLED_FROM[event]:
        if len(moved) == len(held):
            break
        moved += await move_held(tx, Step(event, origin), held, cause)
    if event is Event.DEFER and len(moved) < len(held):  # a 4xx that comes late is evidence that nothing was taken
        resent = await move_held(tx, Step(Event.RESEND, State.IN_DOUBT), held, cause)
        moved += resent
        if resent:
            await reopen(tx, cause.at)
    return moved


_SETTLED_FROM: Final[Mapping[Event, tuple[State, ...]]] = {
    Event.ACCEPT: (State.OFFERED, State.IN_DOUBT),
    Event.REFUSE: (State.CLAIMED, State.OFFERED, State.IN_DOUBT),
    Event.DEFER: (State.CLAIMED, State.OFFERED),
    Event.DOUBT: (State.OFFERED,),
    Event.EXPIRE: (State.CLAIMED,),
    Event.RELEASE: (State.CLAIMED,),
}
"""Where a letter whose conversation ended may stand; the likeliest first."""


async def let_go(tx: Transaction, owner: str, held: Held, now: datetime) -> None:
    """After tokens were withheld: suppress those whose person may not receive any more, release the rest uncharged."""
    me = {"me": owner}
    await move_held(tx, Step(Event.SUPPRESS, State.CLAIMED), held, Cause(now, reason="left"), Only(_left, me))
    await move_held(tx, Step(Event.RELEASE, State.CLAIMED), held, Cause(now, refund=True), Only(_mine, me))


def _left() -> ColumnElement[bool]:
    return and_(_mine(), ~may_receive())


async def suppress_person(tx: Transaction, address_key: bytes, *, now: datetime, reason: str) -> int:
    """Take that person's waiting letters out, except those they may still receive.

    Call it with every leave and erasure.
    It runs in the transaction of the leave itself, so that a leave and a token meet on the row (design: the fence).
    """
    who = select(subscribers.c.id).where(subscribers.c.address_key == address_key).scalar_subquery()
    lost = and_(_D.subscriber_id == who, ~may_receive())
    moved = 0
    for origin in (State.QUEUED, State.CLAIMED):
        moved += len(await move(tx, Event.SUPPRESS, origin, lost, Cause(now, reason=reason)))
    return moved


async def suppress_people(tx: Transaction, keys: Sequence[bytes], *, now: datetime, reason: str) -> int:
    """Take the waiting letters of some thousand people out, except those they may still receive."""
    who = select(subscribers.c.id).where(subscribers.c.address_key.in_(keys))
    lost = and_(_D.subscriber_id.in_(who), ~may_receive())
    moved = 0
    for origin in (State.QUEUED, State.CLAIMED):
        moved += len(await move(tx, Event.SUPPRESS, origin, lost, Cause(now, reason=reason)))
    return moved


async def suppress_domain(tx: Transaction, domain: str, *, now: datetime, most: int | None = None) -> int:
    """Take waiting letters to a domain out: all that belong to no edition, or (`most`) the next so many of all."""
    mine = and_(_D.domain == domain, ~may_receive())
    moved = 0
    for origin in (State.QUEUED, State.CLAIMED):
        some = select(_D.id).where(mine, _D.state == origin)
        some = some.where(_D.edition_id.is_(None)) if most is None else some.limit(most)
        moved += len(await move(tx, Event.SUPPRESS, origin, _D.id.in_(some), Cause(now, reason="blocked")))
    return moved


async def forget_person(tx: Transaction, address_key: bytes) -> None:
    """Erase what names a person from their letters: address, slot values and the relays' words.

    The keyed hash stays.
    """
    who = select(subscribers.c.id).where(subscribers.c.address_key == address_key).scalar_subquery()
    await _blank(tx, or_(_D.subscriber_id == who, and_(_D.edition_id.is_(None), _D.address_key == address_key)))


async def forget_letters_of(tx: Transaction, people: Select[tuple[int]]) -> None:
    """Do the same for the letters of people who are about to be deleted."""
    await _blank(tx, _D.subscriber_id.in_(people))


async def _blank(tx: Transaction, theirs: ColumnElement[bool]) -> None:
    mine = select(_D.id).where(theirs)
    events = select(delivery_events.c.id).where(delivery_events.c.delivery_id.in_(mine))
    await tx.execute(delete(delivery_replies).where(delivery_replies.c.event_id.in_(events)))
    blank = {"address_sealed": None, "name_sealed": None, "subscriber_id": None, "subscription_id": None}
    await tx.execute(update(deliveries).where(theirs).values(blank))


async def sending_editions(tx: Transaction) -> list[int]:
    """Return the editions whose letters may be claimed now."""
    e = editions.c
    return list((await tx.execute(select(e.id).where(e.state == EditionState.SENDING).order_by(e.starts_at))).scalars())
