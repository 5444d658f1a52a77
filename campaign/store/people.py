"""Statements about one person and their subscriptions. Addresses and names come and go sealed; it never opens them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, delete, func, select, update

from campaign.domain.addresses import CANONICAL_VERSION
from campaign.domain.consent import (
    SUBSCRIPTION_MOVES,
    SubscriptionEvent,
    SubscriptionState,
    subscription_origins,
)
from campaign.domain.delivery import Kind
from campaign.store.dialects import insert_into
from campaign.store.engine import Transaction
from campaign.store.schema.ledger import campaign_lists, deliveries, editions
from campaign.store.schema.people import consents, lists, subscribers, subscriptions

_P: Final = subscribers.c
_S: Final = subscriptions.c
_D: Final = deliveries.c


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One person as they are stored."""

    id: int
    address_key: bytes
    address_sealed: bytes
    domain: str
    name_sealed: bytes | None
    country: str | None
    language: str | None
    timezone: str | None
    created_at: datetime


class Sealed(NamedTuple):
    """One person before they are stored, address and name sealed. Attributes and topics are JSON.

    A tuple, because imports make millions of them.
    """

    address_key: bytes
    address_sealed: bytes
    domain: str
    name_sealed: bytes | None = None
    country: str | None = None
    language: str | None = None
    timezone: str | None = None
    attributes: str | None = None
    attributes_sealed: bytes | None = None
    topics: str | None = None
    import_id: int | None = None


CHANGEABLE: Final = ("name_sealed", "country", "language", "timezone", "attributes", "attributes_sealed", "topics")
"""What can be changed about somebody, by column."""


async def known_of(tx: Transaction, subscriber_id: int) -> dict[str, Any]:
    """Return what can be changed about one person, to be looked at."""
    found = select(*(_P[name] for name in CHANGEABLE)).where(_P.id == subscriber_id)
    row = (await tx.execute(found)).one_or_none()
    return {} if row is None else dict(zip(CHANGEABLE, row, strict=True))


async def changeable(tx: Transaction, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return what can be changed about people, by id, and hold it so while this transaction writes."""
    found = select(_P.id, *(_P[name] for name in CHANGEABLE)).where(_P.id.in_(ids))
    return {row[0]: dict(zip(CHANGEABLE, row[1:], strict=True)) for row in await tx.execute(found.with_for_update())}


@dataclass(frozen=True, slots=True)
class Subscription:
    """One person on one list."""

    id: int
    subscriber_id: int
    list_id: int
    list: str
    list_name: str
    list_language: str | None
    state: SubscriptionState
    joined_at: datetime
    confirmed_at: datetime | None
    left_at: datetime | None
    asked: int


async def find(tx: Transaction, address_key: bytes) -> Subscriber | None:
    """Find a person by the keyed hash of their mailbox."""
    return await _person(tx, _P.address_key == address_key)


async def by_id(tx: Transaction, subscriber_id: int) -> Subscriber | None:
    """Find a person by their id."""
    return await _person(tx, _P.id == subscriber_id)


async def _person(tx: Transaction, where: ColumnElement[bool]) -> Subscriber | None:
    columns = [_P[name] for name in Subscriber.__dataclass_fields__]
    row = (await tx.execute(select(*columns).where(where))).one_or_none()
    return None if row is None else Subscriber(*row)


async def add(tx: Transaction, person: Sealed, now: datetime) -> None:
    """Store a person unless the mailbox is known."""
    values = person._asdict()
    values |= {name: json.loads(values[name]) if values[name] else None for name in ("attributes", "topics")}
    statement = insert_into(tx, subscribers).values(
        **values, key_version=CANONICAL_VERSION, created_at=now, changed_at=now
    )
    await tx.execute(statement.on_conflict_do_nothing(index_elements=["address_key"]))


async def change(tx: Transaction, subscriber_id: int, values: Mapping[str, Any], now: datetime) -> None:
    """Change what is known about a person."""
    await tx.execute(update(subscribers).where(_P.id == subscriber_id).values(**values, changed_at=now))


async def forget(tx: Transaction, address_key: bytes) -> int:
    """Delete a person with their subscriptions and consents; return how many people that was (0 or 1)."""
    who = select(_P.id).where(_P.address_key == address_key)
    theirs = select(_S.id).where(_S.subscriber_id.in_(who))
    await tx.execute(delete(consents).where(consents.c.subscription_id.in_(theirs)))
    await tx.execute(delete(subscriptions).where(_S.subscriber_id.in_(who)))
    return int((await tx.execute(delete(subscribers).where(_P.address_key == address_key))).rowcount)


async def subscription(tx: Transaction, subscriber_id: int, list_id: int) -> Subscription | None:
    """Return where a person stands on one list."""
    found = await _subscriptions(tx, (_S.subscriber_id == subscriber_id) & (_S.list_id == list_id))
    return found[0] if found else None


async def subscription_by_id(tx: Transaction, subscription_id: int) -> Subscription | None:
    """Return one subscription."""
    found = await _subscriptions(tx, _S.id == subscription_id)
    return found[0] if found else None


async def subscriptions_of(tx: Transaction, subscriber_id: int) -> list[Subscription]:
    """Return all of a person's subscriptions, oldest first."""
    return await _subscriptions(tx, _S.subscriber_id == subscriber_id)


async def _subscriptions(tx: Transaction, where: ColumnElement[bool]) -> list[Subscription]:
    named = {"list": lists.c.slug, "list_name": lists.c.name, "list_language": lists.c.language}
    columns = [named[name] if name in named else _S[name] for name in Subscription.__dataclass_fields__]
    rows = await tx.execute(select(*columns).join(lists, lists.c.id == _S.list_id).where(where).order_by(_S.id))
    return [Subscription(*row) for row in rows]


async def subscribe(
    tx: Transaction, subscriber_id: int, list_id: int, state: SubscriptionState, now: datetime
) -> Subscription:
    """Put a person on a list in a first state, unless they are or were on it; return where they stand now."""
    values = {"subscriber_id": subscriber_id, "list_id": list_id, "state": state, "joined_at": now}
    statement = insert_into(tx, subscriptions).values(**values)
    await tx.execute(statement.on_conflict_do_nothing(index_elements=["subscriber_id", "list_id"]))
    return (await _subscriptions(tx, (_S.subscriber_id == subscriber_id) & (_S.list_id == list_id)))[0]


async def move(tx: Transaction, event: SubscriptionEvent, where: ColumnElement[bool], now: datetime) -> list[int]:
    """Move the subscriptions that match and may move; return their ids. The legal moves stand in the domain's table."""
    (target,) = {to for (_, e), to in SUBSCRIPTION_MOVES.items() if e is event}
    facts: dict[SubscriptionEvent, dict[str, Any]] = {
        SubscriptionEvent.CONFIRM: {"confirmed_at": now, "left_at": None},
        SubscriptionEvent.LEAVE: {"left_at": now},
        SubscriptionEvent.REJOIN: {"joined_at": now, "confirmed_at": None},
        SubscriptionEvent.WITHDRAW: {"confirmed_at": None},
        SubscriptionEvent.LAPSE: {"left_at": now},
    }
    statement = update(subscriptions).where(_S.state.in_(subscription_origins(event)), where)
    moved = await tx.execute(statement.values(state=target, **facts[event]).returning(_S.id))
    return list(moved.scalars())


async def confirm(tx: Transaction, subscription_ids: Sequence[int], now: datetime) -> int:
    """Make pending subscriptions active; return how many were pending."""
    if not subscription_ids:
        return 0
    return len(await move(tx, SubscriptionEvent.CONFIRM, _S.id.in_(subscription_ids), now))


async def rejoin(tx: Transaction, subscription_id: int, now: datetime) -> bool:
    """Make the subscription of somebody who left pending again; it still says when they left."""
    return bool(await move(tx, SubscriptionEvent.REJOIN, _S.id == subscription_id, now))


async def leave(
    tx: Transaction,
    subscriber_id: int,
    list_ids: Sequence[int] | None,
    now: datetime,
    *,
    before: datetime | None = None,
) -> list[int]:
    """Let a person leave some lists, or (None) every list; return the ids of the subscriptions that ended.

    With `before` only those that were joined and confirmed by then.
    """
    mine = _S.subscriber_id == subscriber_id
    if before is not None:
        mine &= func.coalesce(_S.confirmed_at, _S.joined_at) <= before
        mine &= _S.joined_at <= before
    return await move(tx, SubscriptionEvent.LEAVE, mine if list_ids is None else mine & _S.list_id.in_(list_ids), now)


async def count_asking(tx: Transaction, subscription_id: int) -> int:
    """Count one more letter that asks for confirmation; return how many that makes."""
    counted = update(subscriptions).where(_S.id == subscription_id).values(asked=_S.asked + 1)
    return int((await tx.execute(counted.returning(_S.asked))).scalar_one())


async def last_asked(tx: Transaction, subscriber_id: int, subscription_id: int | None = None) -> datetime | None:
    """Return when the last letter asking this person (about one subscription) was due, or None."""
    mine = [_D.subscriber_id == subscriber_id, _D.kind == Kind.CONFIRM]
    if subscription_id is not None:
        mine.append(_D.subscription_id == subscription_id)
    found: datetime | None = (await tx.execute(select(func.max(_D.due_at)).where(*mine))).scalar_one()
    return found


class Asked(NamedTuple):
    """Somebody pending who is to be asked by letter: what the letter needs, and when they were asked last."""

    subscriber_id: int
    subscription_id: int
    address_key: bytes
    address_sealed: bytes
    domain: str
    language: str | None
    before: datetime | None


@dataclass(frozen=True, slots=True)
class Carrier:
    """The letter that carried a link: whose it was, about which subscription, how long its link is good."""

    kind: Kind
    subscriber_id: int | None
    subscription_id: int | None
    address_key: bytes
    valid_until: datetime


async def carrier(tx: Transaction, delivery_id: int) -> Carrier | None:
    """Return what a link needs to know about the letter that carried it."""
    columns = [_D[name] for name in Carrier.__dataclass_fields__]
    row = (await tx.execute(select(*columns).where(_D.id == delivery_id))).one_or_none()
    return None if row is None else Carrier(*row)


async def audience_lists(tx: Transaction, delivery_id: int) -> list[int]:
    """Return the lists of the audience that a letter went to; none for a letter that belongs to no edition."""
    c = campaign_lists.c
    found = select(c.list_id).join(editions, editions.c.campaign_id == c.campaign_id)
    found = found.join(deliveries, _D.edition_id == editions.c.id).where(_D.id == delivery_id)
    return list((await tx.execute(found)).scalars())


@dataclass(frozen=True, slots=True)
class Post:
    """One letter of a person, as their page shows it."""

    id: int
    kind: Kind
    edition: str | None
    state: str
    due_at: datetime
    moved_at: datetime


async def letters_of(tx: Transaction, subscriber_id: int) -> list[Post]:
    """Return the letters of a person, newest first."""
    columns = (_D.id, _D.kind, editions.c.name, _D.state, _D.due_at, _D.moved_at)
    mine = select(*columns).outerjoin(editions, editions.c.id == _D.edition_id)
    rows = await tx.execute(mine.where(_D.subscriber_id == subscriber_id).order_by(_D.id.desc()))
    return [Post(id_, kind, edition, state.value, due, moved) for id_, kind, edition, state, due, moved in rows]
