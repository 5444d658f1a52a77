"""The ledger's statements: enqueue, claim, token, settle, suppress, recover. Each takes an open transaction.

It never decides a policy and never talks to a relay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, bindparam, delete, or_, select, true, tuple_, update

from campaign.domain.delivery import Event, Kind, State
from campaign.domain.editions import EditionState
from campaign.store.dialects import gate, insert_into
from campaign.store.editions import reopen
from campaign.store.engine import Transaction
from campaign.store.moves import Cause, edition_is_open, in_state, may_receive, move
from campaign.store.schema.ledger import deliveries, delivery_events, delivery_replies, editions
from campaign.store.schema.people import subscribers

_D: Final = deliveries.c
MAIN_RELAY: Final = "main"


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
    relay: str = MAIN_RELAY
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """One letter in a worker's hands, with what its person chose as of the claim."""

    id: int
    kind: Kind
    edition_id: int | None
    subscription_id: int | None
    claim_no: int
    attempts: int
    drops: int
    variant: str | None
    valid_until: datetime
    address_sealed: bytes | None
    message_id: str | None
    date: datetime | None
    slots_sealed: bytes | None
    name_sealed: bytes | None
    language: str | None
    country: str | None


@dataclass(frozen=True, slots=True)
class Token:
    """The last question before the dot, and what is written down with a first token."""

    id: int
    claim_no: int
    edition_id: int | None
    variant: str | None
    message_id: str
    date: datetime
    slots_sealed: bytes


async def enqueue(tx: Transaction, letter: Letter, now: datetime) -> int | None:
    """Put a letter into the ledger; return its id, or None when its purpose key was there already."""
    values = {name: getattr(letter, name) for name in Letter.__dataclass_fields__}
    statement = insert_into(tx, deliveries).values(**values, state=State.QUEUED, moved_at=now)
    found = await tx.execute(statement.on_conflict_do_nothing(index_elements=["purpose_key"]).returning(_D.id))
    return found.scalar_one_or_none()


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker asks for: `limit` due letters of one edition (None: service mail), beyond a keyset position."""

    owner: str
    relay: str
    edition_id: int | None
    limit: int
    after: tuple[datetime, int] | None = None


async def claim(tx: Transaction, wanted: Claim, now: datetime) -> tuple[list[Claimed], tuple[datetime, int] | None]:
    """Take due letters in the order they fell due; return them and the position to go on from."""
    due = (
        select(_D.id)
        .where(in_state(State.QUEUED), _D.relay == wanted.relay, _D.due_at <= now)
        .where(_D.edition_id.is_(None) if wanted.edition_id is None else _D.edition_id == wanted.edition_id)
        .where(tuple_(_D.due_at, _D.id) > tuple_(*wanted.after) if wanted.after else true())
        .order_by(_D.due_at, _D.id)
        .limit(wanted.limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    values = {"owner": wanted.owner, "claim_no": _D.claim_no + 1, "attempts": _D.attempts + 1}
    ids = await move(tx, Event.CLAIM, State.QUEUED, _D.id.in_(select(due.c.id)), Cause(now, values=values))
    if not ids:
        return [], None
    rows = (await tx.execute(_WITH_PERSON.where(_D.id.in_(ids)).order_by(_D.due_at, _D.id))).all()
    return [_claimed(row) for row in rows], (rows[-1].due_at, rows[-1].id)


_WITH_PERSON: Final = select(
    *(_D[name] for name in Claimed.__dataclass_fields__ if name not in {"name_sealed", "language", "country"}),
    _D.due_at,
    subscribers.c.name_sealed,
    subscribers.c.language,
    subscribers.c.country,
).select_from(deliveries.outerjoin(subscribers, subscribers.c.id == _D.subscriber_id))


def _claimed(row: Any) -> Claimed:
    return Claimed(**{name: getattr(row, name) for name in Claimed.__dataclass_fields__})


async def offer(tx: Transaction, owner: str, tokens: Sequence[Token], now: datetime) -> set[int]:
    """Grant the tokens of those letters that are still this owner's, still eligible, and whose edition still sends.

    What comes back is what may be dotted once this transaction has committed; for the rest no dot may be written.
    """
    await gate(tx, (token.edition_id for token in tokens if token.edition_id is not None), exclusive=False)
    asked = _claims([(token.id, token.claim_no) for token in tokens])
    still = and_(asked, _D.owner == owner, edition_is_open(), may_receive())
    granted = set(await move(tx, Event.OFFER, State.CLAIMED, still, Cause(now)))
    first = [
        {"row": t.id, "variant": t.variant, "message_id": t.message_id, "date": t.date, "slots_sealed": t.slots_sealed}
        for t in tokens
        if t.id in granted
    ]
    if first:
        await tx.execute(_FIRST_TOKEN, first)
    return granted


_FIRST_TOKEN: Final = (
    update(deliveries)
    .where(_D.id == bindparam("row"), _D.message_id.is_(None))
    .values({name: bindparam(name) for name in ("variant", "message_id", "date", "slots_sealed")})
)


async def settle(tx: Transaction, event: Event, held: Sequence[tuple[int, int]], cause: Cause) -> list[int]:
    """Write down how the conversation about some letters ended; `held` names them as (id, claim number).

    A letter whose claim was lost meanwhile is left alone. One that a recovery called in doubt is settled by the late
    answer.
    """
    ids = _claims(held)
    moved: list[int] = []
    for origin in _SETTLED_FROM[event]:
        if len(moved) == len(held):
            break
        moved += await move(tx, event, origin, ids, cause)
    if event is Event.DEFER and len(moved) < len(held):  # a 4xx that comes late is evidence that nothing was taken
        resent = await move(tx, Event.RESEND, State.IN_DOUBT, ids, cause)
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


def _claims(held: Sequence[tuple[int, int]]) -> ColumnElement[bool]:
    """Find letters by id, which has an index; the pair alone would make SQLite read the whole table each time."""
    return and_(_D.id.in_([id_ for id_, _ in held]), tuple_(_D.id, _D.claim_no).in_(list(held)))


async def let_go(tx: Transaction, owner: str, held: Sequence[tuple[int, int]], now: datetime) -> None:
    """After tokens were withheld: suppress those whose person may not receive any more, release the rest uncharged."""
    mine = and_(_claims(held), _D.owner == owner)
    await move(tx, Event.SUPPRESS, State.CLAIMED, and_(mine, ~may_receive()), Cause(now, reason="left"))
    await move(tx, Event.RELEASE, State.CLAIMED, mine, Cause(now, values=REFUND))


REFUND: Final = {"attempts": _D.attempts - 1}
"""What goes with a release that is nobody's fault: the attempt is not charged."""


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
    blank = {"address_sealed": None, "slots_sealed": None, "subscriber_id": None, "subscription_id": None}
    await tx.execute(update(deliveries).where(theirs).values(blank))


async def sending_editions(tx: Transaction) -> list[int]:
    """Return the editions whose letters may be claimed now."""
    e = editions.c
    return list((await tx.execute(select(e.id).where(e.state == EditionState.SENDING).order_by(e.starts_at))).scalars())
