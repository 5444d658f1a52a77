"""Statements about people who are asked whether they still want letters, some thousand at a time. It mails nobody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, String, and_, cast, exists, func, literal, select, update

from campaign.domain.consent import SubscriptionEvent, SubscriptionState
from campaign.domain.delivery import Kind, State, purpose_key
from campaign.store import people
from campaign.store.audiences import not_suppressed
from campaign.store.dialects import insert_into
from campaign.store.engine import Transaction
from campaign.store.people import Asked
from campaign.store.schema.ledger import deliveries
from campaign.store.schema.people import consents, lists, renewals, subscribers, subscriptions, wordings

CHUNK: Final = 5_000
_R: Final = renewals.c
_S: Final = subscriptions.c
_P: Final = subscribers.c
_C: Final = consents.c
_D: Final = deliveries.c
_REACHED: Final = (State.ACCEPTED, State.BOUNCED)


@dataclass(frozen=True, slots=True)
class Renewal:
    """One time that the people of a list were asked, and how far that is."""

    id: int
    list_id: int
    list: str
    list_name: str
    wording_id: int
    wording: str
    before: datetime
    answer_by: datetime
    recorded_by: str
    started_at: datetime
    asked_to: int
    asked: int
    finished_at: datetime | None
    lapsed: int
    closed_at: datetime | None


def id_in(text: str) -> int:
    """Read a renewal's id from a purpose key or a variant of its letters: `renew:7:...`."""
    return int(text.split(":")[1])


async def find(tx: Transaction, renewal_id: int) -> Renewal | None:
    """Return one renewal."""
    found = await _renewals(tx, _R.id == renewal_id)
    return found[0] if found else None


async def open_for(tx: Transaction, list_id: int, wording_id: int) -> Renewal | None:
    """Return the renewal of a list in these words that still asks people, or waits for their answers."""
    found = await _renewals(tx, and_(_R.list_id == list_id, _R.wording_id == wording_id, _R.closed_at.is_(None)))
    return found[0] if found else None


async def of_letter(tx: Transaction, delivery_id: int) -> Renewal | None:
    """Return the renewal that a letter asks about."""
    key = (await tx.execute(select(_D.purpose_key).where(_D.id == delivery_id, _D.kind == Kind.RENEW))).scalar()
    return await find(tx, id_in(key)) if key else None


async def every(tx: Transaction) -> list[Renewal]:
    """Return all renewals, newest first."""
    return await _renewals(tx, _R.id.is_not(None))


async def _renewals(tx: Transaction, where: ColumnElement[bool]) -> list[Renewal]:
    named: dict[str, Any] = {"list": lists.c.slug, "list_name": lists.c.name, "wording": wordings.c.text}
    columns = [named[name] if name in named else _R[name] for name in Renewal.__dataclass_fields__]
    found = select(*columns).join(lists, lists.c.id == _R.list_id).join(wordings, wordings.c.id == _R.wording_id)
    return [Renewal(*row) for row in await tx.execute(found.where(where).order_by(_R.id.desc()))]


async def begin(tx: Transaction, values: dict[str, Any]) -> bool:
    """Store a renewal, unless one of the list in these words is open; return whether it was stored."""
    made = insert_into(tx, renewals).values(**values).on_conflict_do_nothing().returning(_R.id)
    return (await tx.execute(made)).scalar_one_or_none() is not None


async def advance(tx: Transaction, one: Renewal, to: int, asked: int) -> bool:
    """Write down how far a renewal is; return False when somebody else moved it."""
    mine = (_R.id == one.id, _R.asked_to == one.asked_to, _R.finished_at.is_(None))
    return bool((await tx.execute(update(renewals).where(*mine).values(asked_to=to, asked=asked))).rowcount)


async def finish(tx: Transaction, renewal_id: int, now: datetime) -> None:
    """Say that everybody was asked."""
    await tx.execute(update(renewals).where(_R.id == renewal_id, _R.finished_at.is_(None)).values(finished_at=now))


def _consented_since(moment: Any) -> ColumnElement[bool]:
    given = func.coalesce(_C.confirmed_at, _C.given_at)
    return exists().where(_C.subscription_id == _S.id, given >= moment)


def _active_on(list_id: int) -> ColumnElement[bool]:
    return and_(_S.list_id == list_id, _S.state == SubscriptionState.ACTIVE)


async def count(tx: Transaction, list_id: int, before: datetime) -> int:
    """Count the active people of a list who have not consented since `before` and may be mailed."""
    asked = select(func.count()).select_from(subscriptions.join(subscribers, _P.id == _S.subscriber_id))
    old = ~_consented_since(literal(before, _C.given_at.type))
    return int((await tx.execute(asked.where(_active_on(list_id), old, not_suppressed()))).scalar_one())


async def to_ask(tx: Transaction, one: Renewal) -> tuple[list[Asked], int | None]:
    """Return the next people to ask, and the last subscriber that was looked at for it: None when that is all."""
    last = await _last(tx, one, one.asked_to)
    if last is None:
        return [], None
    before = select(func.max(_D.due_at)).where(_D.subscriber_id == _P.id, _D.kind == Kind.RENEW).scalar_subquery()
    columns = (_P.id, _S.id, _P.address_key, _P.address_sealed, _P.domain, _P.language, before)
    found = select(*columns).join_from(subscribers, subscriptions, _S.subscriber_id == _P.id)
    old = ~_consented_since(literal(one.before, _C.given_at.type))
    near = and_(_S.subscriber_id > one.asked_to, _S.subscriber_id <= last)
    rows = await tx.execute(found.where(_active_on(one.list_id), near, old, not_suppressed()).order_by(_P.id))
    return [Asked(*row) for row in rows], last


async def _last(tx: Transaction, one: Renewal, after: int) -> int | None:
    some = select(_S.subscriber_id).where(_active_on(one.list_id), _S.subscriber_id > after)
    ids = some.order_by(_S.subscriber_id).limit(CHUNK).subquery()
    last: int | None = (await tx.execute(select(func.max(ids.c.subscriber_id)))).scalar_one()
    return last


def _asked(one: Renewal) -> ColumnElement[bool]:
    """A letter of this renewal went to the subscription's person."""
    key = literal(purpose_key(Kind.RENEW, one.id, "")) + cast(_S.id, String)
    return exists().where(_D.purpose_key == key, _D.state.in_(_REACHED))


@dataclass(frozen=True, slots=True)
class Answers:
    """Of those whose letter arrived and who are on the list: how many said yes, and how many said nothing."""

    yes: int
    silent: int


async def answers(tx: Transaction, one: Renewal) -> Answers:
    """Count how the active people of a list answered."""
    fresh = _consented_since(literal(one.started_at, _C.given_at.type))
    both = select(fresh, func.count()).where(_active_on(one.list_id), _asked(one)).group_by(fresh)
    found = {bool(said): number for said, number in await tx.execute(both)}
    return Answers(found.get(True, 0), found.get(False, 0))


async def lapse(tx: Transaction, one: Renewal, after: int, now: datetime) -> tuple[int | None, list[bytes]]:
    """Let the next people who were asked and did not answer leave; return the last one looked at, and who they were."""
    last = await _last(tx, one, after)
    if last is None:
        return None, []
    silent = and_(_asked(one), ~_consented_since(literal(one.started_at, _C.given_at.type)))
    near = and_(_S.list_id == one.list_id, _S.subscriber_id > after, _S.subscriber_id <= last)
    ids = await people.move(tx, SubscriptionEvent.LAPSE, and_(near, silent), now)
    keys = select(_P.address_key).join(subscriptions, _S.subscriber_id == _P.id).where(_S.id.in_(ids))
    await tx.execute(update(renewals).where(_R.id == one.id).values(lapsed=_R.lapsed + len(ids)))
    return last, list((await tx.execute(keys)).scalars())


async def close(tx: Transaction, renewal_id: int, now: datetime) -> None:
    """Say that those who did not answer have left: a late yes is no longer taken."""
    await tx.execute(update(renewals).where(_R.id == renewal_id, _R.closed_at.is_(None)).values(closed_at=now))
