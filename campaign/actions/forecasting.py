"""Travels in time without sending: every edition to come, its instants, its people, and for one person the reasons.

It never writes a row: what is planned already and what an unapproved draft would plan are shown side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from campaign.actions import publishing, subscribing, wording
from campaign.actions.kit import Kit
from campaign.domain.calendar import KeyDate, Step, parse_zone
from campaign.domain.editions import CampaignState, EditionState, edition_name
from campaign.domain.errors import NotFound
from campaign.domain.schedule import Plan, plans, waves, zone_error, zone_of
from campaign.store import audiences, campaigns, editions
from campaign.store.campaigns import Campaign
from campaign.store.engine import Transaction


@dataclass(frozen=True, slots=True)
class Forecast:
    """One edition to come."""

    campaign: Campaign
    plan: Plan
    state: str
    people: int
    wrong_day: int
    """How many people would get it on another local day than its own (only with one zone for all)."""
    zone: str
    due_at: datetime | None = None
    """For one person: their own instant, in UTC."""
    person_zone: str | None = None
    reasons: tuple[str, ...] = ()
    """For one person: why they are out; empty when they are in."""

    def row(self) -> dict[str, Any]:
        """Return the forecast as a JSON row; the person's fields only where one was asked for."""
        name = edition_name(self.campaign.slug, self.plan.step, self.plan.occurrence)
        row: dict[str, Any] = {
            "edition": name,
            "campaign": self.campaign.slug,
            "campaign_state": self.campaign.state.value,
            "step": self.plan.step,
            "occurrence": self.plan.occurrence,
            "state": self.state,
            "day": self.plan.day,
            "at": self.campaign.definition.at,
            "zone": self.zone,
            "first_utc": self.plan.starts_at,
            "last_utc": self.plan.ends_at,
            "people": self.people,
            "wrong_day": self.wrong_day,
        }
        if self.person_zone is not None:
            due = self.due_at
            row["due_utc"] = due
            row["due_local"] = due.astimezone(parse_zone(self.person_zone)).isoformat() if due else None
            row["in"] = not self.reasons
            row["reasons"] = list(self.reasons)
        return row


async def forecast(
    kit: Kit, slug: str | None = None, until: date | None = None, person: str | None = None
) -> list[Forecast]:
    """Return every edition from now until the end of a local day (default: a year ahead), earliest first."""
    now = kit.clock.now()
    last = until or (now + timedelta(days=365)).date()
    someone = await subscribing.standing(kit, person) if person else None
    key_dates = {one.slug: one for one in await publishing.key_dates(kit)}
    found: list[Forecast] = []
    async with kit.store.read() as tx:
        for campaign in await _campaigns(tx, slug):
            key_date = key_dates.get(campaign.definition.key_date or "")
            found += await _of_campaign(kit, tx, campaign, key_date, last)
    if someone is not None:
        async with kit.store.read() as tx:
            found = [await _for_person(kit, tx, one, someone) for one in found]
    return sorted(found, key=lambda one: (one.due_at or one.plan.starts_at, one.campaign.slug))


async def _campaigns(tx: Transaction, slug: str | None) -> list[Campaign]:
    if slug is None:
        return [one for one in await campaigns.every(tx) if one.state is not CampaignState.RETIRED]
    found = await campaigns.find(tx, slug)
    if found is None:
        msg = f"There is no campaign {slug!r}."
        raise NotFound(msg, remedy="campaign status shows them all.")
    return [found]


async def _of_campaign(
    kit: Kit, tx: Transaction, campaign: Campaign, key_date: KeyDate | None, last: date
) -> list[Forecast]:
    definition, now = campaign.definition, kit.clock.now()
    if definition.key_date and key_date is None:
        return []
    wanted = plans(definition, key_date, (now - timedelta(days=2)).date(), last)
    rows = {(one.step, one.occurrence): one for one in await editions.of_campaign(tx, campaign.id)}
    fallback = await wording.fallback_zone(kit, tx, campaign)
    groups = await audiences.groups(tx, campaign)
    people = sum(count for *_, count in groups)
    zones = [(zone_of(timezone, fallback), count) for _, _, timezone, count in groups]
    found = []
    for plan in wanted:
        row = rows.get((plan.step, plan.occurrence))
        state = row.state.value if row else ("over" if plan.latest_start <= now else "not approved")
        if plan.latest_start <= now and (row is None or row.state is not EditionState.SENDING):
            continue
        wrong = zone_error(definition, date.fromisoformat(plan.day), zones)
        own = waves(definition, plan, {zone for zone, _ in zones}, fallback)
        exact = Plan(
            plan.step,
            plan.occurrence,
            plan.day,
            min(wave.due_at for wave in own),
            max(wave.due_at for wave in own),
            plan.latest_start,
        )
        zone = "each person's own" if definition.local else definition.zone
        found.append(Forecast(campaign, exact, state, people, wrong, zone))
    return found


async def hours(kit: Kit, one: Forecast) -> list[tuple[datetime, str, int]]:
    """Return the instants of one edition with their time zones and people, earliest first."""
    definition = one.campaign.definition
    async with kit.store.read() as tx:
        fallback = await wording.fallback_zone(kit, tx, one.campaign)
        groups = await audiences.groups(tx, one.campaign)
    people: dict[str, int] = {}
    for _, _, timezone, count in groups:
        zone = zone_of(timezone, fallback)
        people[zone] = people.get(zone, 0) + count
    own = waves(definition, one.plan, people, fallback)
    return sorted(
        (wave.due_at, wave.timezone, people.get(wave.timezone, 0) if definition.local else one.people) for wave in own
    )


async def _for_person(kit: Kit, tx: Transaction, one: Forecast, someone: subscribing.Standing) -> Forecast:
    definition = one.campaign.definition
    fallback = await wording.fallback_zone(kit, tx, one.campaign)
    zone = zone_of(someone.timezone, fallback)
    own = waves(definition, one.plan, {zone}, fallback)
    due = next((wave.due_at for wave in own if wave.timezone == zone), own[0].due_at)
    reasons = list(someone.reasons(definition.lists))
    where = definition.where
    if not replace(where, language=()).admits(someone.country, None):
        reasons.append(f"country {someone.country or 'not known'} is not in the rule ({where})")
    if not replace(where, country=()).admits(None, someone.language):
        reasons.append(f"language {someone.language or 'not known'} is not in the rule ({where})")
    if not await audiences.in_segment(tx, definition, kit.keys.address_key(someone.address)):
        reasons.append(f"does not fit the segment {definition.segment}")
    return Forecast(one.campaign, one.plan, one.state, one.people, one.wrong_day, one.zone, due, zone, tuple(reasons))


def step_words(step: str) -> str:
    """Return a step in plain words: `30 days before`, `on the day`."""
    offset = Step.parse(step).offset_days
    if offset == 0:
        return step.replace("-", " ")
    return f"{abs(offset)} {'day' if abs(offset) == 1 else 'days'} {'before' if offset < 0 else 'after'}"
