"""Statements that read many people, page by page: who is on which list. It never changes a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, and_, func, select

from campaign.domain.consent import Reason, SubscriptionState
from campaign.store.engine import Transaction
from campaign.store.schema.people import lists, subscribers, subscriptions, suppressed_domains, suppressions

_P: Final = subscribers.c
_S: Final = subscriptions.c

PAGE: Final = 2_000
"""People read in one go: short enough that no writer waits for a reader."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One person on one list, sealed; `list` and `state` are None for somebody who is on no list."""

    subscriber_id: int
    address_sealed: bytes
    name_sealed: bytes | None
    country: str | None
    language: str | None
    timezone: str | None
    list: str | None
    state: SubscriptionState | None
    suppressed: Reason | None
    attributes: dict[str, Any] | None
    attributes_sealed: bytes | None
    topics: Sequence[str] | None


async def on_list(tx: Transaction, list_id: int, state: SubscriptionState, after: int) -> Sequence[Entry]:
    """Return the next people of a list in one state, beyond a subscriber id; an index gives exactly these rows."""
    mine = (_S.list_id == list_id, _S.state == state, _S.subscriber_id > after)
    page = _entries().where(*mine).order_by(_S.subscriber_id).limit(PAGE)
    return [Entry(*row) for row in await tx.execute(page)]


async def everybody(tx: Transaction, after: int) -> Sequence[Entry]:
    """Return the next people beyond a subscriber id with all their subscriptions."""
    some = select(_P.id).where(_P.id > after).order_by(_P.id).limit(PAGE)
    page = _entries().where(_P.id.in_(some)).order_by(_P.id, _S.list_id)
    return [Entry(*row) for row in await tx.execute(page)]


async def of_person(tx: Transaction, subscriber_id: int) -> Sequence[Entry]:
    """Return one person with all their subscriptions."""
    return [Entry(*row) for row in await tx.execute(_entries().where(_P.id == subscriber_id).order_by(_S.list_id))]


async def of_people(tx: Transaction, ids: Sequence[int]) -> Sequence[Entry]:
    """Return some people with all their subscriptions, in the order of their ids."""
    return [Entry(*row) for row in await tx.execute(_entries().where(_P.id.in_(ids)).order_by(_P.id, _S.list_id))]


def _entries() -> Select[Any]:
    columns = (_P.id, _P.address_sealed, _P.name_sealed, _P.country, _P.language, _P.timezone)
    reason = func.coalesce(suppressions.c.reason, suppressed_domains.c.reason, type_=suppressions.c.reason.type)
    whole = select(
        *columns, lists.c.slug, _S.state, reason, _P.attributes, _P.attributes_sealed, _P.topics
    ).select_from(subscribers)
    whole = whole.outerjoin(subscriptions, _S.subscriber_id == _P.id).outerjoin(lists, lists.c.id == _S.list_id)
    whole = whole.outerjoin(suppressions, and_(suppressions.c.address_key == _P.address_key))
    return whole.outerjoin(suppressed_domains, suppressed_domains.c.domain == _P.domain)
