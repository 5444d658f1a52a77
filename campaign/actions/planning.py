"""Plans editions ahead, and travels in time without sending: every edition to come, its instant and its people.

It never freezes or sends, and planning twice plans once.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from campaign.actions import auditing, covering, publishing
from campaign.actions.auditing import Deed
from campaign.actions.kit import Kit
from campaign.actions.reporting import find_edition
from campaign.domain.addresses import printable
from campaign.domain.calendar import KeyDate
from campaign.domain.campaigns import Definition
from campaign.domain.editions import (
    PLAN_AHEAD,
    CampaignState,
    EditionEvent,
    EditionState,
    edition_name,
)
from campaign.domain.errors import BadInput, CampaignError, Conflict, NotFound, NotReady
from campaign.domain.schedule import Plan, everybody_at, extra_plan, plans
from campaign.domain.shapes import is_slug
from campaign.logs import get_log
from campaign.store import campaigns, editions
from campaign.store import waves as stored_waves
from campaign.store.campaigns import Campaign
from campaign.store.editions import Edition
from campaign.store.engine import Transaction

_log = get_log()
_LONGEST_KEY: Final = 40
_YESTERDAY: Final = timedelta(days=2)
"""How far back planning looks: a local day may have begun 14 hours ago, and lateness allows some more."""


async def plan(kit: Kit) -> int:
    """Give every active campaign its edition rows for the next 400 days; return how many are new. Safe to repeat."""
    key_dates = {one.slug: one for one in await publishing.key_dates(kit)}
    async with kit.store.read() as tx:
        active = await campaigns.every(tx, CampaignState.ACTIVE)
    new = 0
    for one in active:
        try:
            async with kit.store.begin() as tx:
                campaign = await campaigns.hold(tx, one.id)
                if campaign is not None and campaign.state is CampaignState.ACTIVE:
                    new += await _plan(kit, tx, campaign, key_dates)
        except CampaignError as error:  # one campaign that cannot be planned must not hold the others
            _log.error("plan_failed", campaign=one.slug, error=str(error))
    return new


async def _plan(kit: Kit, tx: Transaction, campaign: Campaign, key_dates: dict[str, KeyDate]) -> int:
    """Add what is missing, move what moved, and drop what no longer has a step; extra editions have none and stay.

    Where the key date itself is gone, nothing is dropped: its editions stay, to be seen and not to vanish silently.
    """
    if campaign.definition.key_date and campaign.definition.key_date not in key_dates:
        raise NotFound(f"There is no key date {campaign.definition.key_date!r} any more.")
    now = kit.clock.now()
    wanted = _wanted(campaign.definition, key_dates, now, (now + PLAN_AHEAD).date())
    known = {(e.step, e.occurrence): e for e in await editions.of_campaign(tx, campaign.id)}
    fresh = [one for one in wanted if (one.step, one.occurrence) not in known]
    new = await editions.plan(tx, (campaign.id, campaign.slug), fresh, now)
    for one in wanted:
        found = known.get((one.step, one.occurrence))
        if found is not None and found.state is EditionState.PLANNED and _moved(found, one):
            await editions.replan(tx, found.id, one)
    kept = {(one.step, one.occurrence) for one in wanted}
    waiting = [e for e in known.values() if e.state is EditionState.PLANNED and e.starts_at > now and not e.at_once]
    await editions.drop_planned(tx, [e.id for e in waiting if (e.step, e.occurrence) not in kept])
    return len(new)


def _wanted(definition: Definition, key_dates: dict[str, KeyDate], now: datetime, until: date) -> list[Plan]:
    """The editions whose time is not over yet."""
    key_date = key_dates.get(definition.key_date or "")
    if definition.key_date and key_date is None:
        return []
    return [one for one in plans(definition, key_date, (now - _YESTERDAY).date(), until) if one.latest_start > now]


def _moved(edition: Edition, wanted: Plan) -> bool:
    return (edition.day, edition.starts_at, edition.ends_at) != (wanted.day, wanted.starts_at, wanted.ends_at)


async def send_now(kit: Kit, slug: str, key: str | None = None) -> Edition:
    """Plan an extra edition of an approved campaign, for now, outside its dates.

    With a `key`, asking twice plans once.
    """
    if key is not None and not (is_slug(key) and len(key) <= _LONGEST_KEY):
        msg = f"{printable(key)} cannot be a key."
        raise BadInput(msg, remedy=f"Use small letters, digits and hyphens, at most {_LONGEST_KEY} of them.")
    async with kit.store.begin() as tx:
        campaign = await campaigns.find(tx, slug)
        if campaign is None:
            msg = f"There is no campaign {slug!r}."
            raise NotFound(msg, remedy="campaign status shows them all.")
        require_active(campaign)
        now = kit.clock.now()
        wanted = extra_plan(key, now)
        await editions.plan(tx, (campaign.id, slug), [wanted], now)
        found = await editions.find(tx, edition_name(slug, wanted.step, wanted.occurrence))
        if found is not None:
            await auditing.note(kit, tx, Deed("edition.add", found.name, after={"campaign": slug}))
    kit.doorbell.ring()
    if found is None:
        raise Conflict("The extra edition could not be planned.")
    return found


def require_active(campaign: Campaign) -> None:
    """Raise NotReady, with what to do first, unless the campaign is one that sends."""
    if campaign.state is not CampaignState.ACTIVE:
        msg = f"{campaign.slug} is {campaign.state}."
        raise NotReady(msg, remedy=_BEFORE_SENDING[campaign.state].format(slug=campaign.slug))


_BEFORE_SENDING: Final = {
    CampaignState.DRAFT: "First: campaign approve {slug}",
    CampaignState.PAUSED: "First: campaign resume {slug}",
    CampaignState.RETIRED: "It sends nothing any more; make a new one: campaign new SLUG",
}


async def send_missed(kit: Kit, key: str | int) -> Edition:
    """Send an edition that was missed: to everybody at once, now, because a person decided so.

    Raises NotReady when it was not missed, or when its campaign is not one that sends.
    """
    edition = await find_edition(kit, key)
    if edition.state is not EditionState.MISSED:
        msg = f"{edition.name} is {edition.state}; only a missed edition is sent by hand."
        raise NotReady(msg, remedy=f"For an edition outside its dates: campaign send {edition.campaign} --now.")
    await _require_approval(kit, edition)
    now = kit.clock.now()
    wave = everybody_at(now)
    values = {
        "starts_at": now,
        "ends_at": now,
        "latest_start": wave.latest_start,
        "at_once": True,
        "cutoff": edition.cutoff or now,
        "note": "",
    }
    async with kit.store.begin() as tx:
        campaign = await campaigns.hold(tx, edition.campaign_id)
        if campaign is not None:
            require_active(campaign)
        if await editions.advance(tx, edition.id, EditionEvent.FREEZE, now, **values):
            await stored_waves.send_at_once(tx, edition.id, wave)
            await auditing.note(kit, tx, Deed("edition.send", edition.name))
    kit.doorbell.ring()
    return await find_edition(kit, edition.id)


async def _require_approval(kit: Kit, edition: Edition) -> None:
    async with kit.store.read() as tx:
        campaign = await campaigns.find(tx, edition.campaign_id)
    if campaign is not None and not await covering.stands(kit, campaign, edition):
        again = edition.id if campaign.definition.each_edition else campaign.slug
        msg = f"{edition.name} is not approved as it would go out now."
        raise NotReady(msg, remedy=f"Look at it, then: campaign approve {again}")


async def skip(kit: Kit, key: str | int, why: str = "skipped by hand") -> Edition:
    """Skip an edition that has not started."""
    edition = await find_edition(kit, key)
    async with kit.store.begin() as tx:
        if not await editions.advance(tx, edition.id, EditionEvent.SKIP, kit.clock.now(), note=why):
            msg = f"{edition.name} is {edition.state}, so it cannot be skipped."
            raise NotReady(msg, remedy=f"campaign cancel {edition.id} stops one that is on its way.")
        await auditing.note(kit, tx, Deed("edition.skip", edition.name, after={"why": why}))
    return await find_edition(kit, edition.id)
