"""Statements about lists: what people join. It never decides who may join one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BindParameter, ColumnElement, Row, Select, and_, func, select, true, union, update

from campaign.domain.consent import OptIn, SubscriptionState, Visibility
from campaign.domain.editions import CampaignState
from campaign.domain.lists import Terms
from campaign.store.dialects import insert_into
from campaign.store.engine import Transaction
from campaign.store.schema.ledger import campaign_lists, campaigns
from campaign.store.schema.people import lists, subscribers, subscriptions, suppressed_domains, suppressions

_L: Final = lists.c
_S: Final = subscriptions.c


@dataclass(frozen=True, slots=True)
class MailingList:
    """One list as it is stored."""

    id: int
    slug: str
    name: str
    description: str
    opt_in: OptIn
    visibility: Visibility
    language: str | None
    timezone: str | None
    created_at: datetime
    ends_at: datetime | None
    retired_at: datetime | None

    @property
    def ended(self) -> bool:
        """Whether its own end closed it, and not a person."""
        return self.retired_at is not None and self.retired_at == self.ends_at

    @property
    def terms(self) -> Terms:
        """What an organiser decided about it."""
        return Terms(
            self.name, self.description, self.opt_in, self.visibility, self.language, self.timezone, self.ends_at
        )


async def add(tx: Transaction, slug: str, terms: Terms, now: datetime) -> bool:
    """Store a new list; return False when the slug is taken."""
    statement = insert_into(tx, lists).values(slug=slug, created_at=now, **_values(terms))
    added = await tx.execute(statement.on_conflict_do_nothing(index_elements=["slug"]).returning(_L.id))
    return added.scalar_one_or_none() is not None


async def change(tx: Transaction, list_id: int, terms: Terms) -> None:
    """Give a list other terms."""
    await tx.execute(update(lists).where(_L.id == list_id).values(**_values(terms)))


async def ids_of(tx: Transaction, slugs: Sequence[str]) -> list[int]:
    """Return the ids of those of the lists that there are."""
    return list((await tx.execute(select(_L.id).where(_L.slug.in_(slugs)))).scalars())


async def reopen(tx: Transaction, list_id: int) -> None:
    """Open a list again whose end came, because it has a later one now."""
    await tx.execute(update(lists).where(_L.id == list_id).values(retired_at=None))


async def close_ended(tx: Transaction, now: datetime) -> None:
    """Close the lists whose end has come."""
    await tx.execute(update(lists).where(_ended(now)).values(retired_at=_L.ends_at))


def ended(now: BindParameter[Any]) -> Select[tuple[int]]:
    """Return the lists that `close_ended` would close then."""
    return select(_L.id).where(_ended(now))


def _ended(now: datetime | BindParameter[Any]) -> ColumnElement[bool]:
    return and_(_L.ends_at <= now, _L.retired_at.is_(None))


async def retire(tx: Transaction, list_id: int, now: datetime) -> bool:
    """Close a list for good; return False when it was closed already."""
    closed = await tx.execute(update(lists).where(_L.id == list_id, _L.retired_at.is_(None)).values(retired_at=now))
    return bool(closed.rowcount == 1)


async def find(tx: Transaction, key: str | int) -> MailingList | None:
    """Find a list, also a retired one, by its slug or its id."""
    found = await _select(tx, _L.id == key if isinstance(key, int) else _L.slug == key)
    return found[0] if found else None


async def every(tx: Transaction, *, retired: bool = False) -> list[MailingList]:
    """Return the lists in use by slug, and on demand the retired ones too."""
    return await _select(tx, true() if retired else _L.retired_at.is_(None))


async def counts(tx: Transaction) -> dict[int, dict[str, int]]:
    """Count the people of every list by the state of their subscription, in one pass over the index."""
    groups = await tx.execute(select(_S.list_id, _S.state, func.count()).group_by(_S.list_id, _S.state))
    found: dict[int, dict[str, int]] = {}
    for list_id, state, count in groups:
        found.setdefault(list_id, {})[SubscriptionState(state).value] = count
    return found


async def count_suppressed(tx: Transaction, list_id: int) -> int:
    """Count the active people of a list whose address must not be mailed."""
    p = subscribers.c
    mine = select(p.id).join(subscriptions, _S.subscriber_id == p.id)
    mine = mine.where(_S.list_id == list_id, _S.state == SubscriptionState.ACTIVE)
    mailboxes = mine.join(suppressions, suppressions.c.address_key == p.address_key)
    domains = mine.join(suppressed_domains, suppressed_domains.c.domain == p.domain)
    both = union(mailboxes, domains).subquery()
    return int((await tx.execute(select(func.count()).select_from(both))).scalar_one())


async def campaigns_of(tx: Transaction, list_id: int) -> Sequence[str]:
    """Return the slugs of the campaigns that still use a list."""
    c = campaigns.c
    using = select(c.slug).join(campaign_lists, campaign_lists.c.campaign_id == c.id)
    using = using.where(campaign_lists.c.list_id == list_id, c.state != CampaignState.RETIRED)
    return (await tx.execute(using.order_by(c.slug))).scalars().all()


async def _select(tx: Transaction, where: ColumnElement[bool]) -> list[MailingList]:
    return [_list(row) for row in await tx.execute(select(lists).where(where).order_by(_L.slug))]


def _list(row: Row[Any]) -> MailingList:
    return MailingList(**{name: getattr(row, name) for name in MailingList.__dataclass_fields__})


def _values(terms: Terms) -> dict[str, Any]:
    return {name: getattr(terms, name) for name in Terms.__dataclass_fields__}
