"""What changes while an edition is being frozen: pauses, edits, zones. Nobody is lost, and nothing unapproved goes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import ColumnElement, Insert, select, update

from campaign.actions import (
    campaigning,
    forecasting,
    freezing,
    planning,
    publishing,
    reporting,
    subscribing,
    suppressing,
    wording,
)
from campaign.actions.kit import Kit
from campaign.domain.campaigns import Definition, Where
from campaign.domain.consent import SubscriptionState
from campaign.domain.delivery import State
from campaign.domain.editions import CampaignState, EditionEvent, EditionState
from campaign.domain.errors import Conflict, NotReady
from campaign.store import agenda, editions, waves
from campaign.store.campaigns import Campaign
from campaign.store.editions import Edition
from campaign.store.engine import DatabaseAway, Store, Transaction
from campaign.store.schema.ledger import deliveries
from campaign.store.schema.people import subscriptions
from tests.builders import Reader, a_kit, some_readers
from tests.clocks import FrozenClock

WEEKLY = Definition(every="monday", lists=("supporters",), zone="UTC")
LOCAL = WEEKLY.changed({"zone": "local"})


@pytest.fixture
async def kit(store: Store, clock: FrozenClock, home: Path) -> AsyncIterator[Kit]:
    made = a_kit(store, clock, home)
    yield made
    await made.renderer.aclose()


async def a_campaign(kit: Kit, definition: Definition, readers: int | list[Reader] = 2) -> Edition:
    """An approved campaign a minute before its next edition is to be frozen; the clock stands there."""
    await some_readers(kit, readers)
    await publishing.import_starters(kit)
    await campaigning.create(kit, "news", definition)
    await campaigning.approve(kit, "news")
    async with kit.store.read() as tx:
        first = (await editions.in_states(tx, EditionState.PLANNED))[0]
    assert isinstance(kit.clock, FrozenClock)
    kit.clock.travel_to(first.starts_at - timedelta(minutes=10))
    return first


async def as_it_is(kit: Kit, edition: Edition) -> Edition:
    return await reporting.find_edition(kit, edition.id)


async def prepare_and_crash(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Freeze as far as the first chunk."""

    async def crash(*_: object) -> None:
        raise OSError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr(freezing, "_snapshot", crash)
        patch.setattr(freezing, "_note", crash)
        with pytest.raises(OSError, match="power"):
            await freezing.freeze_due(kit)


async def due_instants(kit: Kit) -> list[str]:
    async with kit.store.read() as tx:
        found = (await tx.execute(select(deliveries.c.due_at).order_by(deliveries.c.subscriber_id))).scalars()
        return [due.isoformat() for due in found]


async def test_an_edition_that_was_freezing_when_its_campaign_was_paused_waits_with_it(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await a_campaign(kit, WEEKLY)
    await prepare_and_crash(kit, monkeypatch)
    await campaigning.pause(kit, "news")
    await freezing.freeze_due(kit)
    assert (await as_it_is(kit, first)).state is EditionState.PAUSED
    assert await campaigning.resume(kit, "news") == ["news", first.name]
    assert (await as_it_is(kit, first)).state is EditionState.READY


@pytest.mark.parametrize("what", ["pause", "edit"])
async def test_what_changes_while_the_words_are_compiled_is_not_sent(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    first = await a_campaign(kit, WEEKLY)
    compiled = wording.compile_edition

    async def compile_slowly(kit: Kit, campaign: Campaign, edition: Edition) -> wording.Made:
        made = await compiled(kit, campaign, edition)
        await (campaigning.pause(kit, "news") if what == "pause" else campaigning.edit(kit, "news", {"title": "New"}))
        return made

    monkeypatch.setattr(wording, "compile_edition", compile_slowly)
    assert await freezing.freeze_due(kit) == 0
    assert (await as_it_is(kit, first)).state is EditionState.PLANNED
    assert await due_instants(kit) == []


async def test_a_zone_that_nobody_knows_holds_nobody_up(kit: Kit) -> None:
    readers = [Reader(1, "Mars/Olympus_Mons"), Reader(2), Reader(3, "Asia/Tokyo")]
    first = await a_campaign(kit, LOCAL, readers)
    assert isinstance(kit.clock, FrozenClock)
    kit.clock.travel_to(first.starts_at)
    await freezing.freeze_due(kit)
    frozen = await as_it_is(kit, first)
    assert (frozen.state, frozen.planned) == (EditionState.READY, 3)
    martian, nowhere, tokyo = await due_instants(kit)
    assert martian == nowhere != tokyo
    assert {one.people for one in await forecasting.forecast(kit, "news")} == {3}
    later = next(one for one in await forecasting.forecast(kit, "news") if one.state == "planned")
    assert sum(people for _, _, people in await forecasting.hours(kit, later)) == 3


async def test_nobody_is_left_out_when_the_usual_zone_changes_half_way(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await a_campaign(kit, LOCAL, [Reader(1), Reader(2, "Europe/Berlin"), Reader(3)])
    assert isinstance(kit.clock, FrozenClock)
    kit.clock.travel_to(first.starts_at)
    await prepare_and_crash(kit, monkeypatch)
    moved = replace(kit, settings=kit.settings.model_copy(update={"timezone": ZoneInfo("Asia/Tokyo")}))
    await freezing.freeze_due(moved)
    frozen = await as_it_is(kit, first)
    assert (frozen.state, frozen.planned) == (EditionState.READY, 3)
    one, _, three = await due_instants(kit)
    assert one == three == frozen.starts_at.isoformat()


async def test_frozen_words_are_not_edited_behind_the_back_of_who_resumes_them(kit: Kit) -> None:
    first = await a_campaign(kit, WEEKLY)
    await freezing.freeze_due(kit)
    await campaigning.pause(kit, first.id)
    with pytest.raises(Conflict, match="campaign cancel"):
        await campaigning.edit(kit, "news", {"title": "New"})
    await campaigning.pause(kit, "news")
    with pytest.raises(NotReady, match="campaign resume news"):
        await campaigning.resume(kit, first.id)
    await campaigning.resume(kit, "news")
    async with kit.store.begin() as tx:
        assert await editions.advance(tx, first.id, EditionEvent.MISS, kit.clock.now())
    with pytest.raises(Conflict, match="editions skip"):
        await campaigning.edit(kit, "news", {"title": "New"})
    await planning.skip(kit, first.id)
    assert (await campaigning.edit(kit, "news", {"title": "New"}))[0].state is CampaignState.DRAFT


async def test_a_missed_edition_goes_out_only_while_its_campaign_sends_and_has_something_to_say(kit: Kit) -> None:
    first = await a_campaign(kit, WEEKLY.changed({"topics": ("nothing-is-about-this",)}))
    assert isinstance(kit.clock, FrozenClock)
    kit.clock.travel_to(first.latest_start + timedelta(minutes=1))
    await freezing.freeze_due(kit)
    assert (await as_it_is(kit, first)).state is EditionState.MISSED
    await campaigning.pause(kit, "news")
    with pytest.raises(NotReady, match="campaign resume news"):
        await planning.send_missed(kit, first.id)
    await campaigning.resume(kit, "news")
    await planning.send_missed(kit, first.id)
    await freezing.freeze_due(kit)
    found = await as_it_is(kit, first)
    assert (found.state, found.planned) == (EditionState.CANCELLED, 0)
    assert "Nothing new" in found.note


async def test_a_key_date_that_is_gone_takes_no_edition_away(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    definition = Definition(key_date="world-day-against-trafficking", offsets=(0,), lists=("supporters",))
    first = await a_campaign(kit, definition)

    async def none(_: Kit) -> list[object]:
        return []

    monkeypatch.setattr(publishing, "key_dates", none)
    assert await planning.plan(kit) == 0
    assert (await as_it_is(kit, first)).state is EditionState.PLANNED


async def test_an_edition_about_to_be_frozen_is_work_and_one_that_waits_for_a_person_is_none(kit: Kit) -> None:
    first = await a_campaign(kit, WEEKLY)

    async def busy() -> bool:
        async with kit.store.read() as tx:
            return await agenda.is_busy(tx, kit.clock.now(), within=timedelta(seconds=60))

    assert await busy()
    async with kit.store.begin() as tx:
        await editions.remark(tx, first.id, "Not approved as it is now.", kit.clock.now())
    assert not await busy()
    assert isinstance(kit.clock, FrozenClock)
    kit.clock.advance(-timedelta(minutes=10))
    async with kit.store.begin() as tx:
        await editions.remark(tx, first.id, "", kit.clock.now())
    assert not await busy(), "it is not to be frozen yet"


async def test_people_who_go_and_come_while_an_audience_freezes_are_counted_once_or_not_at_all(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives way between two chunks; then one is suppressed who has a letter, one who has none yet, and one joins."""
    monkeypatch.setattr(waves, "CHUNK", 2)
    first = await a_campaign(kit, WEEKLY, 6)
    async with kit.store.begin() as tx:
        await tx.execute(update(subscriptions).where(of_reader(6)).values(state=SubscriptionState.LEFT))
    ways = []

    async def meanwhile(_: Store) -> None:
        ways.append(kit.clock.now())
        if len(ways) > 1:
            return
        assert isinstance(kit.clock, FrozenClock)
        kit.clock.advance(timedelta(seconds=1))
        for number in (1, 5):
            await suppressing.suppress(kit, Reader(number).address)
        joined = {"state": SubscriptionState.ACTIVE, "joined_at": kit.clock.now(), "confirmed_at": kit.clock.now()}
        async with kit.store.begin() as tx:
            await tx.execute(update(subscriptions).where(of_reader(6)).values(joined))

    monkeypatch.setattr(Store, "give_way", meanwhile)
    await freezing.freeze_due(kit)
    frozen = await as_it_is(kit, first)
    assert len(ways) == 3, "after each chunk, others have their turn"
    assert frozen.state is EditionState.READY
    assert (frozen.planned, frozen.excluded) == (4, {"suppressed": 1}), "of five people who were there when it began"


class Interrupted:
    """A transaction in which each INSERT is followed by something that happens elsewhere."""

    def __init__(self, tx: Transaction, elsewhere: Callable[[], Awaitable[object]]) -> None:
        self._tx = tx
        self._elsewhere = elsewhere

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    async def execute(self, statement: Any, **options: Any) -> Any:
        found = await self._tx.execute(statement, **options)
        if isinstance(statement, Insert):
            await self._elsewhere()
        return found


@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True)
async def test_somebody_suppressed_within_a_chunk_is_not_counted_twice(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite nobody else writes meanwhile, so this is about PostgreSQL alone: each statement sees what is new."""
    first = await a_campaign(kit, WEEKLY, 3)
    await suppressing.suppress(kit, Reader(1).address)
    whole = waves.freeze_chunk

    async def interrupted(tx: Transaction, *rest: Any) -> int | None:
        elsewhere = Interrupted(tx, lambda: suppressing.suppress(kit, Reader(2).address))
        return await whole(cast("Transaction", elsewhere), *rest)

    monkeypatch.setattr(waves, "freeze_chunk", interrupted)
    await freezing.freeze_due(kit)
    frozen = await as_it_is(kit, first)
    assert (frozen.planned, frozen.excluded) == (2, {"suppressed": 1})


def of_reader(number: int) -> ColumnElement[bool]:
    """The subscription of the reader with that number, in a database that holds no others."""
    return subscriptions.c.subscriber_id == number


async def test_a_look_at_what_was_frozen_that_fails_undoes_nothing(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waves, "CHUNK", 2)
    looked = []

    async def fail(store: Store) -> None:
        looked.append(store)
        raise DatabaseAway("gone", remedy="wait")

    first = await a_campaign(kit, WEEKLY, 2)
    monkeypatch.setattr(waves, "look_over", fail)
    assert await freezing.freeze_due(kit) == 1
    assert looked == [kit.store, kit.store], "after the first ten thousand letters, and at the end"
    frozen = await as_it_is(kit, first)
    assert (frozen.state, frozen.note) == (EditionState.READY, "")


async def test_a_freeze_that_was_cut_off_is_ended_by_two_others_and_nobody_gets_two_letters(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waves, "CHUNK", 2)
    first = await a_campaign(kit, WEEKLY, 9)
    chunks: list[int] = []

    async def cut_off(_: Store) -> None:
        chunks.append(1)
        if len(chunks) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "give_way", cut_off)
        with pytest.raises(KeyboardInterrupt):
            await freezing.freeze_due(kit)
    half = await as_it_is(kit, first)
    assert (half.state, half.planned, half.frozen_to) == (EditionState.FREEZING, 4, 4)
    other = a_kit(Store(kit.store.url.render_as_string(hide_password=False)), kit.clock, kit.settings.home)
    await asyncio.gather(freezing.freeze_due(kit), freezing.freeze_due(other))
    await other.renderer.aclose()
    await other.store.close()
    frozen = await as_it_is(kit, first)
    assert (frozen.state, frozen.planned, frozen.excluded) == (EditionState.READY, 9, {"suppressed": 0})
    async with kit.store.read() as tx:
        rows = (await tx.execute(select(deliveries.c.subscriber_id, deliveries.c.address_key))).all()
    assert len(rows) == len({row.subscriber_id for row in rows}) == len({row.address_key for row in rows}) == 9


async def test_somebody_leaves_between_two_chunks_and_the_sums_are_right(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One who has a letter already, and one whose turn would have come in the next chunk."""
    monkeypatch.setattr(waves, "CHUNK", 2)
    first = await a_campaign(kit, WEEKLY, 6)
    left: list[int] = []

    async def leave(_: Store) -> None:
        if not left:
            left.extend([1, 4])
            for number in left:
                await subscribing.leave(kit, Reader(number).address)

    monkeypatch.setattr(Store, "give_way", leave)
    await freezing.freeze_due(kit)
    frozen = await as_it_is(kit, first)
    assert (frozen.state, frozen.planned) == (EditionState.READY, 5)
    [count] = await reporting.counts(kit, str(first.id))
    assert count.reconciled
    async with kit.store.read() as tx:
        states = (await tx.execute(select(deliveries.c.state).order_by(deliveries.c.subscriber_id))).scalars().all()
    assert states == [State.SUPPRESSED, *[State.QUEUED] * 4]


async def test_people_whom_the_rule_leaves_out_do_not_end_the_freeze(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waves, "CHUNK", 2)
    readers = [*(Reader(n) for n in range(1, 6)), Reader(6, country="DE")]
    first = await a_campaign(kit, replace(WEEKLY, where=Where(country=("DE",))), readers)
    await freezing.freeze_due(kit)
    frozen = await as_it_is(kit, first)
    assert (frozen.state, frozen.planned, frozen.frozen_to) == (EditionState.READY, 1, 6)


def test_a_chunk_is_as_large_as_the_time_allows_that_the_last_one_took() -> None:
    assert freezing.next_size(1_000, 0.01) == 2_000, "it grows step by step"
    assert freezing.next_size(8_000, 0.01) == 10_000, "to what one transaction goes through at most"
    assert freezing.next_size(8_000, 0.1) == 4_000, "and shrinks at once"
    assert freezing.next_size(2_000, 9.0) == 1_000, "but not to nothing"
    assert freezing.next_size(6_000, 0.0) == 10_000
