"""Statements that claim letters: the next that are due, in the order they fell due. They never send one.

SQLite finds, claims and reads in turn, in the transaction that has the file; PostgreSQL does it all in one statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Integer, and_, bindparam, case, func, select, tuple_, update

from campaign.domain.delivery import Event, Kind, State, advance
from campaign.store import straight
from campaign.store.brakes import brake_is_off
from campaign.store.dialects import is_sqlite, none_of, numbered, texts
from campaign.store.engine import Transaction
from campaign.store.moves import Cause, append, append_from, event_of, in_state
from campaign.store.schema.ledger import deliveries
from campaign.store.schema.people import subscribers

_D: Final = deliveries.c


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
    return found(await take(tx, wanted, now))


async def take(tx: Transaction, wanted: Claim, now: datetime) -> list[Any]:
    """Do the same, and return rows for `found`."""
    dialect, way = tx.dialect.name, (State.QUEUED, advance(State.QUEUED, Event.CLAIM))
    statement = _due(dialect, wanted.edition_id is None, wanted.after is not None, bool(wanted.but))
    given = {"new_owner": wanted.owner, "now": now, "most": wanted.limit, "edition": wanted.edition_id}
    given |= {} if wanted.after is None else {"beyond": wanted.after[0], "beyond_id": wanted.after[1]}
    given |= {"but": texts(tx, wanted.but)} if wanted.but else {}
    if not is_sqlite(tx):
        return await straight.ask(tx, _taken(statement), {**given, **event_of(way, Cause(now))})
    due = await straight.run(tx, statement, given, 1)
    given["numbers"] = due.rows[0][0]
    await straight.run(tx, _claim(), given)
    await straight.run(tx, append(dialect), {**event_of(way, Cause(now)), **given})
    return await straight.ask(tx, _with_person(), given)


def found(rows: Sequence[Sequence[Any]]) -> tuple[list[Claimed], Position | None]:
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
