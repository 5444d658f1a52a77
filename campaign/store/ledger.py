"""The ledger's statements: enqueue, claim, token, settle, suppress, recover. Each takes an open transaction.

It never decides a policy and never talks to a relay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Integer, Select, and_, bindparam, case, delete, func, or_, select, tuple_, update

from campaign.domain.delivery import Event, Kind, State, advance
from campaign.domain.editions import EditionState
from campaign.store import straight, tokens
from campaign.store.brakes import brake_is_off
from campaign.store.dialects import EVERYTHING, gate, insert_into, is_sqlite, none_of, numbered, texts
from campaign.store.editions import reopen
from campaign.store.engine import Transaction
from campaign.store.moves import (
    Cause,
    Held,
    Only,
    Own,
    Step,
    append,
    append_from,
    edition_is_open,
    event_of,
    in_state,
    may_receive,
    move,
    move_held,
)
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


class Claimed(NamedTuple):
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
    domain: str
    address_sealed: bytes | None
    message_id: str | None
    date: datetime | None
    name_sealed: bytes | None
    """The name that the letter says, None where it names nobody."""
    language: str | None
    country: str | None


Position = tuple[datetime, int]
"""How far a walk through the letters that are due has come: the instant and the id of the last one."""


async def enqueue(tx: Transaction, letter: Letter, now: datetime) -> int | None:
    """Put a letter into the ledger; return its id, or None when its purpose key was there already."""
    values = {name: getattr(letter, name) for name in Letter.__dataclass_fields__}
    statement = insert_into(tx, deliveries).values(**values, state=State.QUEUED, moved_at=now)
    found = await tx.execute(statement.on_conflict_do_nothing(index_elements=["purpose_key"]).returning(_D.id))
    return found.scalar_one_or_none()


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker asks for: `limit` due letters of one edition (None: service mail), beyond a keyset position.

    Letters to the domains in `but` stay where they are: enough of those are in hand.
    """

    owner: str
    edition_id: int | None
    limit: int
    after: Position | None = None
    but: tuple[str, ...] = ()


async def claim(tx: Transaction, wanted: Claim, now: datetime) -> tuple[list[Claimed], Position | None]:
    """Take due letters in the order they fell due, none while the brake is on; return them and the position reached."""
    return claims(await take(tx, wanted, now))


async def take(tx: Transaction, wanted: Claim, now: datetime) -> list[Any]:
    """Do the same, and return rows for `claims`."""
    dialect, way = tx.dialect.name, (State.QUEUED, advance(State.QUEUED, Event.CLAIM))
    statement = _due(dialect, wanted.edition_id is None, wanted.after is not None, bool(wanted.but))
    given = {"new_owner": wanted.owner, "now": now, "most": wanted.limit, "edition": wanted.edition_id}
    given |= {} if wanted.after is None else {"beyond": wanted.after[0], "beyond_id": wanted.after[1]}
    given |= {"but": texts(tx, wanted.but)} if wanted.but else {}
    if not is_sqlite(tx):
        return await straight.ask(tx, _taken(statement), {**given, **event_of(way, Cause(now))})
    found = await straight.run(tx, statement, given, 1)
    given["numbers"] = found.rows[0][0]
    await straight.run(tx, _claim(), given)
    await straight.run(tx, append(dialect), {**event_of(way, Cause(now)), **given})
    return await straight.ask(tx, _with_person(), given)


def claims(rows: Sequence[Sequence[Any]]) -> tuple[list[Claimed], Position | None]:
    """Return the letters that were taken, and the position reached."""
    return [Claimed._make(row[:-1]) for row in rows], (rows[-1][-1], rows[-1][0]) if rows else None


async def before_first(tx: Transaction, wanted: Claim, now: datetime) -> Position | None:
    """Return the position right before the first letter that `wanted` asks for, None where none is due."""
    due = select(_D.due_at, _D.id).where(in_state(State.QUEUED), _D.due_at <= now, _D.domain.not_in(wanted.but))
    due = due.where(_D.edition_id.is_(None) if wanted.edition_id is None else _D.edition_id == wanted.edition_id)
    found = (await tx.execute(due.order_by(_D.due_at, _D.id).limit(1))).first()
    return None if found is None else (found.due_at, found.id - 1)


@cache
def _due(dialect: str, service: bool, onwards: bool, but: bool) -> Any:  # noqa: FBT001 -- a statement for each way to ask
    """Look for the next letters; SQLite returns the numbers of all of them as one text."""
    due = select(_D.id, (_D.claim_no + 1).label("no")).where(in_state(State.QUEUED))
    due = due.where(_D.due_at <= bindparam("now", type_=_D.due_at.type), brake_is_off())
    due = due.where(_D.edition_id.is_(None) if service else _D.edition_id == bindparam("edition"))
    if onwards:
        position = tuple_(bindparam("beyond", type_=_D.due_at.type), bindparam("beyond_id", type_=_D.id.type))
        due = due.where(tuple_(_D.due_at, _D.id) > position)
    if but:
        due = due.where(none_of(dialect, _D.domain, "but"))
    due = due.order_by(_D.due_at, _D.id).limit(bindparam("most", type_=Integer()))
    if dialect != "sqlite":
        return due.with_for_update(skip_locked=True)
    found = due.subquery("due").c
    return select(func.json_group_array(func.json_array(found.id, found.no)))


def _changes() -> dict[str, Any]:
    """Return what a claim changes in a letter's row."""
    owner, at = bindparam("new_owner", type_=_D.owner.type), bindparam("now", type_=_D.moved_at.type)
    moved = {"state": advance(State.QUEUED, Event.CLAIM), "moved_at": at, "owner": owner}
    return {**moved, "claim_no": _D.claim_no + 1, "attempts": _D.attempts + 1, "name_sealed": _name()}


@cache
def _claim() -> Any:
    """Claim letters by their numbers, in the transaction that found them (SQLite has one writer)."""
    return update(deliveries).where(_D.id == numbered("sqlite").c.id).values(**_changes())


@cache
def _taken(due: Any) -> Any:
    """Claim the letters that are due, append their events and read them, all at once (PostgreSQL)."""
    mine = and_(in_state(State.QUEUED), _D.id.in_(select(due.cte("due").c.id)))
    columns = [_D[name] for name in Claimed._fields if name not in _OF_PERSON]
    claiming = update(deliveries).where(mine).values(**_changes())
    moved = claiming.returning(*columns, _D.subscriber_id, _D.due_at).cte("moved")
    told = append_from(select(moved.c.id, moved.c.claim_no)).cte("told")
    rows = moved.outerjoin(subscribers, subscribers.c.id == moved.c.subscriber_id)
    cells: list[Any] = [(subscribers if name in _OF_PERSON else moved).c[name] for name in Claimed._fields]
    found = select(*cells, moved.c.due_at).select_from(rows).order_by(moved.c.due_at, moved.c.id)
    return found.add_cte(told)


def _name() -> ColumnElement[bytes]:
    """The name that its letter says: the person's now, or what stood in it when its first token was granted.

    A letter that asks to confirm names nobody: the mailbox may be a stranger's, and the name a joker's words.
    """
    of_person = select(subscribers.c.name_sealed).where(subscribers.c.id == _D.subscriber_id).scalar_subquery()
    said = and_(_D.message_id.is_(None), _D.kind != Kind.CONFIRM)
    return case((said, of_person), else_=_D.name_sealed)


_OF_PERSON: Final = frozenset({"language", "country"})
"""What a claim reads of the person, not of the letter."""


@cache
def _with_person() -> Any:
    taken = numbered("sqlite")
    columns = [(subscribers if name in _OF_PERSON else deliveries).c[name] for name in Claimed._fields]
    rows = taken.join(deliveries, _D.id == taken.c.id)
    rows = rows.outerjoin(subscribers, subscribers.c.id == _D.subscriber_id)
    return select(*columns, _D.due_at).select_from(rows).order_by(_D.due_at, _D.id)


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
