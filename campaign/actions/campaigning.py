"""What an organiser does with a campaign: make, change, approve, pause, resume, cancel. It never sends.

An approval is bound to everything it covers; any change of that revokes it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from campaign.actions import auditing, covering, planning, publishing, reporting, segmenting
from campaign.actions.auditing import Deed
from campaign.actions.kit import Kit
from campaign.domain.calendar import Recurrence, parse_zone
from campaign.domain.campaigns import Definition, checked
from campaign.domain.editions import CampaignEvent, CampaignState, EditionEvent, EditionState, check_slug
from campaign.domain.errors import Conflict, NotFound, NotReady
from campaign.store import audiences, campaigns, editions, lists, waves
from campaign.store.campaigns import Approval, Campaign
from campaign.store.editions import Edition
from campaign.store.engine import Transaction, repeated

_FROZEN: Final = frozenset({EditionState.FREEZING, EditionState.READY, EditionState.SENDING, EditionState.PAUSED})


@dataclass(frozen=True, slots=True)
class Approved:
    """What an approval did."""

    campaign: Campaign
    approval: Approval
    planned: int
    """How many editions it planned anew."""


async def find(kit: Kit, slug: str) -> Campaign:
    """Return a campaign; raise NotFound with the names there are."""
    async with kit.store.read() as tx:
        return await _find(tx, slug)


async def _find(tx: Transaction, slug: str, *, hold: bool = False) -> Campaign:
    found = await (campaigns.hold if hold else campaigns.find)(tx, slug)
    if found is None:
        known = ", ".join(one.slug for one in await campaigns.every(tx)) or "none yet"
        msg = f"There is no campaign {slug!r}."
        raise NotFound(msg, remedy=f"Known: {known}. A new one: campaign new {slug} --help.")
    return found


async def create(kit: Kit, slug: str, definition: Definition) -> Campaign:
    """Make a draft; raise Conflict when the name is taken, BadInput or NotFound when something in it is not right."""
    check_slug(slug)
    await _check(kit, checked(definition))
    async with kit.store.begin() as tx:
        list_ids = await _list_ids(tx, definition.lists)
        added = await campaigns.add(tx, slug, definition, list_ids, kit.clock.now())
        if added is None:
            msg = f"There is a campaign {slug!r} already."
            raise Conflict(msg, remedy=f"Choose another name, or change it: campaign edit {slug}.")
        await auditing.note(kit, tx, Deed("campaign.create", slug, after=_differences(definition, None)))
        return await _find(tx, slug)


async def edit(kit: Kit, slug: str, changes: Mapping[str, Any]) -> tuple[Campaign, bool]:
    """Change a campaign; return it and whether that revoked its approval.

    What is frozen already keeps its old words, so a change is refused while such an edition may still be sent.
    """
    async with kit.store.read() as tx:
        before = await _find(tx, slug)
    definition = checked(before.definition.changed(changes))
    if definition == before.definition:
        return before, False
    await _check(kit, definition)
    async with kit.store.begin() as tx:
        campaign = await _find(tx, slug, hold=True)
        if campaign.definition != before.definition:
            msg = f"Somebody else changed {slug} just now."
            raise Conflict(msg, remedy=f"Look at it again: campaign show {slug}.")
        _refuse_while_frozen(campaign, await editions.of_campaign(tx, campaign.id))
        revoked = campaign.state in {CampaignState.ACTIVE, CampaignState.PAUSED}
        if campaign.state is not CampaignState.DRAFT:
            await campaigns.advance(tx, campaign, CampaignEvent.EDIT, kit.clock.now())
        await campaigns.redefine(tx, campaign, definition, await _list_ids(tx, definition.lists), kit.clock.now())
        was, is_ = _differences(before.definition, definition), _differences(definition, before.definition)
        await auditing.note(kit, tx, Deed("campaign.edit", slug, was, is_))
        return await _find(tx, slug), revoked


def _differences(one: Definition, other: Definition | None) -> dict[str, Any]:
    """Return what one definition says otherwise than another, by the names of its fields."""
    names = (field.name for field in fields(one))
    return {name: getattr(one, name) for name in names if other is None or getattr(one, name) != getattr(other, name)}


def _refuse_while_frozen(campaign: Campaign, found: list[Edition]) -> None:
    frozen = [edition for edition in found if edition.state in _FROZEN or _was_frozen(edition)]
    if frozen:
        name, missed = frozen[0].name, frozen[0].state is EditionState.MISSED
        msg = f"{name} is {frozen[0].state} with the present wording, and stays so."
        way = (
            f"campaign editions send {name}, or campaign editions skip {name}" if missed else f"campaign cancel {name}"
        )
        raise Conflict(msg, remedy=f"{'First' if missed else 'Wait until it is sent, or give it up'}: {way}.")
    _refuse_retired(campaign)


def _was_frozen(edition: Edition) -> bool:
    """Say whether a missed edition has letters of its own: sent by hand, it would send the old wording."""
    return edition.state is EditionState.MISSED and edition.cutoff is not None


def _refuse_retired(campaign: Campaign) -> None:
    if campaign.state is CampaignState.RETIRED:
        msg = f"{campaign.slug} is retired."
        raise Conflict(msg, remedy="Make a new one: campaign new SLUG.")


async def _check(kit: Kit, definition: Definition) -> None:
    """Look up everything a definition names; raise what is not right about it."""
    if definition.key_date:
        await publishing.key_date(kit, definition.key_date)
    if definition.every:
        Recurrence.parse(definition.every)
    if not definition.local:
        parse_zone(definition.zone)
    if definition.pinned:
        await publishing.require_articles(kit, definition.pinned)
    if definition.segment:
        async with kit.store.read() as tx:
            await segmenting.require(tx, definition.segment)


async def _list_ids(tx: Transaction, slugs: tuple[str, ...]) -> list[int]:
    found = [(slug, await lists.find(tx, slug)) for slug in slugs]
    missing = [slug for slug, one in found if one is None or one.retired_at is not None]
    if missing:
        known = ", ".join(one.slug for one in await lists.every(tx)) or "none yet"
        msg = f"There is no list {missing[0]!r}."
        raise NotFound(msg, remedy=f"Known: {known}. A new one: campaign lists add {missing[0]}.")
    return [one.id for _, one in found if one is not None]


async def approve(kit: Kit, slug: str, seen: bytes | None = None) -> Approved:
    """Approve a campaign as it is now, and plan its editions; raise SettingsMissing when it could not send.

    `seen` is the digest of what somebody looked at before they agreed: Conflict is raised when it changed meanwhile.
    """
    kit.settings.require("sender", "smtp_url", "base_url", "postal_address")
    campaign = await find(kit, slug)
    digest = await _covered_as_seen(kit, campaign, seen)
    async with kit.store.begin() as tx:
        campaign = await _find(tx, slug, hold=True)
        _refuse_retired(campaign)
        people, _ = await audiences.count(tx, campaign)
        approval = Approval(digest, kit.operator, kit.clock.now(), people)
        if campaign.state is CampaignState.DRAFT:
            await campaigns.advance(tx, campaign, CampaignEvent.APPROVE, kit.clock.now())
        await campaigns.approve(tx, campaign.id, None, approval)
        await auditing.note(kit, tx, Deed("campaign.approve", slug, after=_told(approval)))
        for edition in await editions.of_campaign(tx, campaign.id):
            if edition.note and edition.state is EditionState.PLANNED:
                await editions.remark(tx, edition.id, "", kit.clock.now())
    planned = await planning.plan(kit)
    kit.doorbell.ring()
    return Approved(await find(kit, slug), approval, planned)


def _told(approval: Approval) -> dict[str, Any]:
    return {"people": approval.people, "digest": approval.digest.hex()}


async def _covered_as_seen(kit: Kit, campaign: Campaign, seen: bytes | None) -> bytes:
    digest = await covering.covered(kit, campaign)
    if seen is not None and seen != digest:
        msg = f"Somebody changed {campaign.slug} while you looked at it."
        raise Conflict(msg, remedy="Look again, then approve what you see.")
    return digest


async def approve_edition(kit: Kit, key: str | int, seen: bytes | None = None) -> Edition:
    """Approve one edition of a campaign that asks for each of them."""
    edition = await reporting.find_edition(kit, key)
    async with kit.store.read() as tx:
        campaign = await _find(tx, edition.campaign)
    if not campaign.definition.each_edition:
        msg = f"{campaign.slug} asks for one approval for all of its editions."
        raise Conflict(msg, remedy=f"campaign approve {campaign.slug}, or campaign edit {campaign.slug} --each-edition")
    digest = await _covered_as_seen(kit, campaign, seen)
    async with kit.store.begin() as tx:
        people, _ = await audiences.count(tx, campaign)
        approval = Approval(digest, kit.operator, kit.clock.now(), people)
        await campaigns.approve(tx, campaign.id, edition.id, approval)
        await auditing.note(kit, tx, Deed("edition.approve", edition.name, after=_told(approval)))
        await editions.remark(tx, edition.id, "", kit.clock.now())
    kit.doorbell.ring()
    return edition


async def revoke(kit: Kit, campaign: Campaign) -> None:
    """Turn a campaign whose templates, sender or pinned articles changed back into a draft."""
    async with kit.store.begin() as tx:
        fresh = await _find(tx, campaign.slug, hold=True)
        if fresh.state in {CampaignState.ACTIVE, CampaignState.PAUSED}:
            await campaigns.advance(tx, fresh, CampaignEvent.EDIT, kit.clock.now())
            await auditing.note(kit, tx, Deed("campaign.revoke", fresh.slug))


async def pause(kit: Kit, target: str | int) -> list[str]:
    """Pause a campaign with its editions, or one edition; return what was paused. No token commits afterwards.

    An edition that is being frozen is finished, and then waits with the campaign.
    """
    return await _each(kit, target, CampaignEvent.PAUSE, _pause_edition)


async def resume(kit: Kit, target: str | int) -> list[str]:
    """Let a paused campaign with its editions, or one edition, go on; return what goes on."""
    resumed = await _each(kit, target, CampaignEvent.RESUME, _resume_edition)
    kit.doorbell.ring()
    return resumed


async def cancel(kit: Kit, target: str | int) -> list[str]:
    """Cancel one edition, or all unfinished ones of a campaign and retire it; return what was cancelled.

    The editions stop at once; the rows of their letters follow in chunks, here or at the daemon's next tick.
    """
    cancelled = await _each(kit, target, CampaignEvent.RETIRE, _cancel_edition)
    await sweep(kit)
    return cancelled


async def sweep(kit: Kit) -> int:
    """Cancel the waiting letters of cancelled and skipped editions; return how many. Safe to repeat."""
    async with kit.store.read() as tx:
        stopped = await editions.stopped_with_letters(tx)
    swept = 0
    for edition_id in stopped:
        while True:
            moved = await _sweep_some(kit, edition_id)
            swept += moved
            if not moved:
                break
            if moved >= waves.CHUNK:
                await kit.store.give_way()
    return swept


@repeated
async def _sweep_some(kit: Kit, edition_id: int) -> int:
    """Cancel some of an edition's letters; a worker may hold the rows of several of them, too."""
    async with kit.store.begin() as tx:
        return await waves.cancel_chunk(tx, edition_id, kit.clock.now())


async def _each(kit: Kit, target: str | int, event: CampaignEvent, one: EditionVerb) -> list[str]:
    """Do `one` to every edition of the target; a campaign itself moves by `event` in the same transaction."""
    async with kit.store.begin() as tx:
        edition = await editions.find(tx, target)
        if edition is not None:
            if event is CampaignEvent.RESUME:
                planning.require_active(await _find(tx, edition.campaign, hold=True))
            if not await one(tx, kit, edition):
                msg = f"{edition.name} is {edition.state}, so that is not possible."
                raise NotReady(msg, remedy=f"Look at it: campaign status {edition.id}.")
            await auditing.note(kit, tx, Deed(f"edition.{_VERBS[event]}", edition.name))
            return [edition.name]
        campaign = await _find(tx, str(target), hold=True)
        await campaigns.advance(tx, campaign, event, kit.clock.now())
        moved = [e.name for e in await editions.of_campaign(tx, campaign.id) if await one(tx, kit, e)]
        await auditing.note(kit, tx, Deed(f"campaign.{_VERBS[event]}", campaign.slug, after={"editions": moved}))
        return [campaign.slug, *moved]


_VERBS: Final = {CampaignEvent.PAUSE: "pause", CampaignEvent.RESUME: "resume", CampaignEvent.RETIRE: "cancel"}


async def _pause_edition(tx: Transaction, kit: Kit, edition: Edition) -> bool:
    return await editions.advance(tx, edition.id, EditionEvent.PAUSE, kit.clock.now())


async def _resume_edition(tx: Transaction, kit: Kit, edition: Edition) -> bool:
    event = EditionEvent.RESUME_SENDING if edition.started_at else EditionEvent.RESUME_READY
    return await editions.advance(tx, edition.id, event, kit.clock.now())


async def _cancel_edition(tx: Transaction, kit: Kit, edition: Edition) -> bool:
    return await editions.advance(tx, edition.id, EditionEvent.CANCEL, kit.clock.now())


EditionVerb = Callable[[Transaction, Kit, Edition], Awaitable[bool]]
