"""Statements about whom a campaign is for: active on its lists, within its rules. It never puts anybody on a list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select

from campaign.domain.campaigns import Definition, Where
from campaign.domain.consent import SubscriptionState
from campaign.domain.errors import NotFound
from campaign.domain.segments import Rule
from campaign.store import segments
from campaign.store.campaigns import Campaign
from campaign.store.engine import Transaction
from campaign.store.schema.ledger import campaign_lists
from campaign.store.schema.people import lists, subscribers, subscriptions, suppressed_domains, suppressions


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a campaign is for: the people of its lists, narrowed by its own rule and by a segment's."""

    campaign_id: int
    where: Where
    segment: Rule | None = None

    def members(self, cutoff: datetime | None = None) -> ColumnElement[bool]:
        """Return the audience as a predicate on subscribers; with a cut-off, as the lists were at that instant."""
        s, c, p = subscriptions.c, campaign_lists.c, subscribers.c
        on_list = (
            select(s.id)
            .join(campaign_lists, and_(c.list_id == s.list_id, c.campaign_id == self.campaign_id))
            .join(lists, and_(lists.c.id == s.list_id, lists.c.retired_at.is_(None)))
            .where(s.subscriber_id == p.id, s.state == SubscriptionState.ACTIVE)
        )
        if cutoff is not None:
            on_list = on_list.where(or_(lists.c.ends_at.is_(None), lists.c.ends_at > cutoff))
            on_list = on_list.where(func.coalesce(s.confirmed_at, s.joined_at) <= cutoff)
        rules: list[ColumnElement[bool]] = [on_list.exists()]
        if self.where.country:
            rules.append(p.country.in_(self.where.country))
        if self.where.language:
            reads = func.lower(p.language)
            tags = self.where.language
            rules.append(or_(reads.in_(tags), *(reads.startswith(f"{tag}-") for tag in tags)))
        if self.segment is not None:
            rules.append(segments.predicate(self.segment))
        return and_(*rules)


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
