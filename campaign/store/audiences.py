"""Statements about whom a campaign is for: active on its lists, within its rules. It never puts anybody on a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Subquery, and_, func, or_, select

from campaign.domain.campaigns import Definition, Where
from campaign.domain.consent import SubscriptionState
from campaign.domain.errors import NotFound
from campaign.domain.segments import Rule
from campaign.store import segments
from campaign.store.campaigns import Campaign
from campaign.store.engine import Store, Transaction
from campaign.store.schema.ledger import campaign_lists
from campaign.store.schema.people import lists, subscribers, subscriptions, suppressed_domains, suppressions

_ASKED: Final = subscribers, subscriptions, suppressions, suppressed_domains
"""What is asked about a reader before each letter."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a campaign is for: the people of its lists, narrowed by its own rule and by a segment's."""

    campaign_id: int
    where: Where
    segment: Rule | None = None

    def members(self) -> ColumnElement[bool]:
        """Return the audience as a predicate on subscribers, as the lists are now."""
        s, c, p = subscriptions.c, campaign_lists.c, subscribers.c
        on_list = (
            select(s.id)
            .join(campaign_lists, and_(c.list_id == s.list_id, c.campaign_id == self.campaign_id))
            .join(lists, and_(lists.c.id == s.list_id, lists.c.retired_at.is_(None)))
            .where(s.subscriber_id == p.id, s.state == SubscriptionState.ACTIVE)
        )
        return and_(on_list.exists(), *self.rules())

    def rules(self) -> list[ColumnElement[bool]]:
        """Return what narrows the audience, whoever is on its lists, as predicates on subscribers."""
        p = subscribers.c
        rules: list[ColumnElement[bool]] = []
        if self.where.country:
            rules.append(p.country.in_(self.where.country))
        if self.where.language:
            reads = func.lower(p.language)
            tags = self.where.language
            rules.append(or_(reads.in_(tags), *(reads.startswith(f"{tag}-") for tag in tags)))
        if self.segment is not None:
            rules.append(segments.predicate(self.segment))
        return rules


@dataclass(frozen=True, slots=True)
class Span:
    """Some people in the order of their ids: beyond the first of these two, as far as the last."""

    first: int
    last: int


async def look_over(store: Store) -> None:
    """Before an audience is frozen: have the database look at people who came since it last did (see `Store.analyze`).

    Every token asks whether its reader is still active and not suppressed. Without figures about them, PostgreSQL reads
    all subscriptions for each small group of tokens.
    """
    for table in await store.overdue(*(table.name for table in _ASKED)):
        await store.analyze(table)


async def open_lists(tx: Transaction, campaign_id: int, at: datetime) -> list[int]:
    """Return the lists of a campaign that were in use at an instant; the lists of one campaign are few."""
    mine = select(lists.c.id).join(campaign_lists, campaign_lists.c.list_id == lists.c.id)
    mine = mine.where(campaign_lists.c.campaign_id == campaign_id, lists.c.retired_at.is_(None))
    return list((await tx.execute(mine.where(or_(lists.c.ends_at.is_(None), lists.c.ends_at > at)))).scalars())


def members_of(list_ids: Sequence[int], span: Span, cutoff: datetime) -> Subquery:
    """Return who in a span was active on one of these lists at an instant, each with the oldest such subscription.

    Lists by their ids and people by a span: so both databases read no more than the span, however large the lists are.
    """
    s = subscriptions.c
    active = and_(s.list_id.in_(list_ids), s.state == SubscriptionState.ACTIVE)
    then = func.coalesce(s.confirmed_at, s.joined_at) <= cutoff
    mine = select(s.subscriber_id, func.min(s.id).label("subscription_id")).where(active, then)
    mine = mine.where(s.subscriber_id > span.first, s.subscriber_id <= span.last)
    return mine.group_by(s.subscriber_id).subquery("members")


async def of_campaign(tx: Transaction, campaign: Campaign) -> Audience:
    """Return whom a campaign is for, with its segment's rule as it is now; raise NotFound for a lost one."""
    definition = campaign.definition
    return Audience(campaign.id, definition.where, await segment_rule(tx, definition))


async def segment_rule(tx: Transaction, definition: Definition) -> Rule | None:
    """Return the rule of a definition's segment, if it has one."""
    if definition.segment is None:
        return None
    found = await segments.find(tx, definition.segment)
    if found is None:
        raise NotFound(f"There is no segment {definition.segment!r}.", remedy="campaign segments list shows them.")
    return await segments.read(tx, found.rule)


def not_suppressed() -> ColumnElement[bool]:
    """Nobody whose address must not be mailed."""
    p = subscribers.c
    mailbox = select(suppressions.c.id).where(suppressions.c.address_key == p.address_key).exists()
    domain = select(suppressed_domains.c.id).where(suppressed_domains.c.domain == p.domain).exists()
    return and_(~mailbox, ~domain)


async def count(tx: Transaction, campaign: Campaign) -> tuple[int, int]:
    """Return how many people an audience has now, and how many more are left out because they are suppressed."""
    people = (await of_campaign(tx, campaign)).members()
    everybody = (await tx.execute(select(func.count()).select_from(subscribers).where(people))).scalar_one()
    reachable = select(func.count()).select_from(subscribers).where(people, not_suppressed())
    may = (await tx.execute(reachable)).scalar_one()
    return may, everybody - may


async def kinds(tx: Transaction, campaign: Campaign) -> set[tuple[str | None, str | None, str | None]]:
    """Return each (language, country, time zone) that somebody of the audience has, without counting them."""
    p, s = subscribers.c, subscriptions.c
    in_use = lists.c.id == campaign_lists.c.list_id, lists.c.retired_at.is_(None)
    mine = select(lists.c.id).join(campaign_lists, and_(*in_use)).where(campaign_lists.c.campaign_id == campaign.id)
    ids = list((await tx.execute(mine)).scalars())
    on_list = select(s.id).where(s.subscriber_id == p.id, s.state == SubscriptionState.ACTIVE, s.list_id.in_(ids))
    narrowed = (await of_campaign(tx, campaign)).rules()
    people = select(p.language, p.country, p.timezone).distinct().where(on_list.exists(), *narrowed, not_suppressed())
    return {(row[0], row[1], row[2]) for row in await tx.execute(people)}


async def groups(tx: Transaction, campaign: Campaign) -> list[tuple[str | None, str | None, str | None, int]]:
    """Return how many people of the audience share each (language, country, time zone)."""
    p = subscribers.c
    shared = (p.language, p.country, p.timezone)
    people = (await of_campaign(tx, campaign)).members()
    counted = select(*shared, func.count()).where(people, not_suppressed()).group_by(*shared)
    return [(row[0], row[1], row[2], row[3]) for row in await tx.execute(counted)]


async def in_segment(tx: Transaction, definition: Definition, address_key: bytes) -> bool:
    """Say whether a person fits a definition's segment; everybody does where it names none."""
    rule = await segment_rule(tx, definition)
    return rule is None or bool(await segments.count(tx, rule, within=subscribers.c.address_key == address_key))
