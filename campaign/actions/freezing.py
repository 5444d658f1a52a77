"""Freezes editions: compiles what they say, sets their waves, and writes one letter per person into the ledger.

It never sends. Everything is in chunks that can be repeated: a crash anywhere leads to the same frozen edition.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from campaign.actions import alerting, campaigning, covering, wording
from campaign.actions.kit import Kit
from campaign.domain.alerts import Trouble, about_edition
from campaign.domain.editions import FREEZE_LEAD, CampaignState, EditionEvent, EditionState
from campaign.domain.schedule import EVERYBODY, Plan, Wave, waves
from campaign.logs import get_log
from campaign.store import audiences, campaigns, editions, letters
from campaign.store import waves as stored_waves
from campaign.store.campaigns import Campaign
from campaign.store.editions import Edition
from campaign.store.engine import DatabaseAway, Store, Transaction
from campaign.store.waves import Freeze

_log = get_log()
_AGAIN: Final = timedelta(minutes=1)
"""How long an edition that could not be frozen rests before it is tried again."""
_TAKES: Final = 0.05
"""Seconds that one chunk of an audience is to take on SQLite, where nobody else writes meanwhile."""
_FEWEST: Final = 1_000
"""How many people a chunk goes through at least: with fewer, most of its time would be its own beginning and end."""


async def freeze_due(kit: Kit) -> int:
    """Freeze every edition that starts within 15 minutes, and go on with those a crash left half frozen.

    Return how many.
    """
    now = kit.clock.now()
    async with kit.store.read() as tx:
        due = await editions.to_freeze(tx, now + FREEZE_LEAD, now - _AGAIN)
    frozen = 0
    for edition in due:
        if edition.state is EditionState.PLANNED and now > edition.latest_start:
            await _miss(kit, edition)
            continue
        try:
            frozen += await freeze(kit, edition)
        except DatabaseAway:  # it will be back, and the next tick goes on: nothing to remark on
            raise
        except Exception as error:  # noqa: BLE001 -- one edition that cannot be frozen must not hold the others
            _log.exception("freeze_failed", edition=edition.name, error=str(error))
            await _note(kit, edition, f"Cannot be prepared: {error}")
    return frozen


async def freeze(kit: Kit, edition: Edition) -> bool:
    """Freeze one edition; False when it was skipped, or its approval no longer covers it."""
    async with kit.store.read() as tx:
        campaign = await campaigns.find(tx, edition.campaign_id)
        prepared = bool(await letters.variants(tx, edition.id))
    if campaign is None:
        return False
    if not prepared and not await _prepare(kit, campaign, edition):
        return False
    await _look_over(kit, edition, audiences.look_over)
    people = await _snapshot(kit, campaign, edition.id)
    kit.doorbell.ring()
    if people >= stored_waves.CHUNK:
        await _look_over(kit, edition, stored_waves.look_over)
    return True


async def _look_over(kit: Kit, edition: Edition, look_over: Callable[[Store], Awaitable[None]]) -> None:
    try:
        await look_over(kit.store)
    except DatabaseAway as error:  # counting will be slower; what is frozen stays frozen
        _log.warning("look_over_failed", edition=edition.name, error=str(error))


async def _prepare(kit: Kit, campaign: Campaign, edition: Edition) -> bool:
    """Compile the messages and set the waves, in one transaction with the move to freezing."""
    if not await covering.stands(kit, campaign, edition):
        each = campaign.definition.each_edition
        if not each:
            await campaigning.revoke(kit, campaign)
        again = edition.id if each else campaign.slug
        await _note(kit, edition, f"Not approved as it is now. Look at it, then: campaign approve {again}")
        return False
    made = await wording.compile_edition(kit, campaign, edition)
    if made.skip:
        # A missed edition that somebody sends is freezing already, and can only be cancelled. Where neither can be, a
        # second daemon has prepared it meanwhile, and this one may help with its audience.
        event = EditionEvent.SKIP if edition.state is EditionState.PLANNED else EditionEvent.CANCEL
        async with kit.store.begin() as tx:
            skipped = await editions.advance(tx, edition.id, event, kit.clock.now(), note=made.skip)
        if skipped:
            _log.warning("edition_skipped", edition=edition.name, why=made.skip)
        return not skipped
    now = kit.clock.now()
    async with kit.store.begin() as tx:
        if not await _is_as_approved(tx, campaign, edition):
            return False
        fallback = await wording.fallback_zone(kit, tx, campaign)
        found = waves(campaign.definition, plan_of(edition), made.zones, fallback)
        if edition.state is EditionState.PLANNED and not await editions.advance(
            tx, edition.id, EditionEvent.FREEZE, now, cutoff=now, note="", **_instants(found)
        ):
            return False
        await stored_waves.set_waves(tx, edition.id, found)
        for message in made.messages:
            await letters.add(tx, message)
    return True


async def _is_as_approved(tx: Transaction, campaign: Campaign, edition: Edition) -> bool:
    """Say whether the campaign is still what was compiled, and still sends; hold it so until the transaction ends.

    Compiling takes seconds, in which somebody may pause or edit it.
    """
    held = await campaigns.hold(tx, campaign.id)
    sends = held is not None and (held.state is CampaignState.ACTIVE or edition.state is not EditionState.PLANNED)
    return sends and held is not None and held.definition == campaign.definition


def _instants(found: Sequence[Wave]) -> dict[str, datetime]:
    """Return when an edition with these waves starts and ends, and until when it may start."""
    return {
        "starts_at": min(wave.due_at for wave in found),
        "ends_at": max(wave.due_at for wave in found),
        "latest_start": max(wave.latest_start for wave in found),
    }


def plan_of(edition: Edition) -> Plan:
    """Return what an edition was planned as."""
    return Plan(**{name: getattr(edition, name) for name in Plan.__dataclass_fields__})


async def _snapshot(kit: Kit, campaign: Campaign, edition_id: int) -> int:
    """Write the audience into the ledger chunk by chunk, under the cut-off that was set when the freezing began.

    Return how many people this call went through.
    """
    async with kit.store.read() as tx:
        edition = await editions.find(tx, edition_id)
        fallback = await wording.fallback_zone(kit, tx, campaign)
        audience = await audiences.of_campaign(tx, campaign)
    if edition is None or edition.state is not EditionState.FREEZING:
        return 0
    single = edition.at_once or not campaign.definition.local
    if not single:
        await _give_a_wave(kit, campaign, edition, fallback)
    freeze = Freeze(edition, audience, EVERYBODY if single else fallback, edition.cutoff or kit.clock.now())
    people = await _chunks(kit, freeze)
    async with kit.store.begin() as tx:
        held = await campaigns.hold(tx, campaign.id)
        await editions.advance(tx, edition.id, EditionEvent.READY, kit.clock.now())
        if held is not None and held.state is CampaignState.PAUSED:
            await editions.advance(tx, edition.id, EditionEvent.PAUSE, kit.clock.now())
    _log.info("edition_frozen", edition=edition.name)
    return people


async def _chunks(kit: Kit, freeze: Freeze) -> int:
    """Go through all subscribers, as many at a time as keep nobody waiting who wants to leave meanwhile.

    Return how many of them are of the audience. The first ten thousand letters are looked over at once: whoever leaves
    while the other hundred thousands come would else have PostgreSQL search them as it searched the empty table.
    """
    people, most = 0, stored_waves.CHUNK
    size = min(_FEWEST, most) if kit.store.sqlite else most
    while True:
        async with kit.store.begin() as tx:
            began = kit.clock.monotonic()
            chunk = await stored_waves.freeze_chunk(tx, freeze, kit.clock.now(), size)
        if chunk is None:
            return people
        if people < most <= people + chunk:
            await _look_over(kit, freeze.edition, stored_waves.look_over)
        people += chunk
        if kit.store.sqlite:
            size = next_size(size, kit.clock.monotonic() - began)
        await kit.store.give_way()


def next_size(size: int, seconds: float) -> int:
    """Return how many people the next chunk goes through, after one of `size` took so many seconds."""
    wanted = int(size * _TAKES / seconds) if seconds > 0 else stored_waves.CHUNK
    return min(max(wanted, _FEWEST), 2 * size, stored_waves.CHUNK)


async def _give_a_wave(kit: Kit, campaign: Campaign, edition: Edition, fallback: str) -> None:
    """See that people without a zone of their own have a wave, though the fallback changed since the waves were set.

    Letters are made by joining people with waves: without one, these people would be left out without a word.
    """
    async with kit.store.begin() as tx:
        zones = {wave.timezone for wave in await stored_waves.of_edition(tx, edition.id)}
        if fallback not in zones:
            found = waves(campaign.definition, plan_of(edition), zones, fallback)
            await stored_waves.set_waves(tx, edition.id, found)
            await editions.retime(tx, edition.id, _instants(found))


async def start_due(kit: Kit) -> int:
    """Start ready editions whose first instant has come, miss those found too late, finish those without live ones."""
    now = kit.clock.now()
    moved = 0
    async with kit.store.read() as tx:
        waiting = await editions.in_states(tx, EditionState.READY)
        sending = await editions.in_states(tx, EditionState.SENDING)
    for edition in waiting:
        if now > edition.latest_start:
            await _miss(kit, edition)
        elif now >= edition.starts_at:
            async with kit.store.begin() as tx:
                moved += await editions.advance(
                    tx, edition.id, EditionEvent.START, now, started_at=edition.started_at or now
                )
            _log.info(
                "edition_started", edition=edition.name, late_by=round((now - edition.starts_at).total_seconds(), 3)
            )
    if moved:
        kit.doorbell.ring()
    if sending:
        async with kit.store.begin() as tx:
            done = await editions.finish_empty(tx, now)
        if done:
            _log.info("editions_sent", editions=done)
    return moved


async def _miss(kit: Kit, edition: Edition) -> None:
    note = f"Found too late. To send it all the same: campaign editions send {edition.id}"
    async with kit.store.begin() as tx:
        if await editions.advance(tx, edition.id, EditionEvent.MISS, kit.clock.now(), note=note):
            await alerting.raise_within(kit, tx, about_edition(Trouble.EDITION_MISSED, edition.id, edition.name))
            _log.warning("edition_missed", edition=edition.name)


async def _note(kit: Kit, edition: Edition, note: str) -> None:
    if edition.note != note:
        _log.warning("edition_waits", edition=edition.name, why=note)
    async with kit.store.begin() as tx:
        await editions.remark(tx, edition.id, note, kit.clock.now())
        if edition.note != note:
            alert = about_edition(Trouble.EDITION_WAITS, edition.id, edition.name, note)
            await alerting.raise_within(kit, tx, alert)
