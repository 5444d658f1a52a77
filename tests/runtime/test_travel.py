"""A clock that travels: the daemon's own ticks send an edition of weeks in seconds, and each letter in its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from campaign.actions import campaigning, planning, reporting
from campaign.actions.kit import Kit
from campaign.clock import TravelClock
from campaign.domain.editions import EditionState
from campaign.domain.wishes import Wish, definition_of
from campaign.mail.smtp import SmtpOptions, SmtpTransport
from campaign.runtime.catcher import Catcher
from campaign.runtime.daemon import Bell, Daemon
from campaign.runtime.travel import Journey, JourneyFailed
from campaign.store import agenda
from campaign.store.engine import Store
from tests.builders import Reader, a_kit, some_readers

START = datetime(2027, 6, 1, 12, tzinfo=UTC)
READERS = [Reader(1, "Pacific/Auckland"), Reader(2, "Europe/Berlin"), Reader(3, "America/New_York"), Reader(4)]


@pytest.fixture
async def catcher(tmp_path: Path) -> AsyncIterator[Catcher]:
    running = Catcher(tmp_path / "mail")
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def kit(store: Store, home: Path, catcher: Catcher) -> AsyncIterator[Kit]:
    relay = SmtpTransport(SmtpOptions.from_url(catcher.url))
    made = replace(a_kit(store, TravelClock(START), home, relay), doorbell=Bell())
    await some_readers(made, READERS)
    wish = Wish(key_date="world-day-against-trafficking", lists=("supporters",), remind=("7d",), on_the_day=True)
    await campaigning.create(made, "world-day", definition_of(wish, "UTC"))
    await campaigning.approve(made, "world-day")
    yield made
    await made.renderer.aclose()


def clock_of(kit: Kit) -> TravelClock:
    assert isinstance(kit.clock, TravelClock)
    return kit.clock


async def first_edition(kit: Kit) -> int:
    return (await reporting.counts(kit, "world-day"))[0].edition.id


@pytest.mark.timeout(60)
async def test_weeks_pass_in_seconds_and_every_letter_leaves_in_its_time(kit: Kit, catcher: Catcher) -> None:
    arrived: list[datetime] = []
    journey = Journey(kit, clock_of(kit), await first_edition(kit), arrived.append)
    stopping, bell = asyncio.Event(), kit.doorbell
    assert isinstance(bell, Bell)

    async def travel(told: asyncio.Event) -> None:
        sent = await journey.run(told)
        assert sent is not None
        assert sent.state is EditionState.SENT
        told.set()

    await Daemon(kit, bell, stopping, [travel]).run()
    assert catcher.caught == len(READERS)
    assert arrived[1:] == [
        datetime(2027, 7, day, hour, tzinfo=UTC) for day, hour in ((22, 21), (23, 7), (23, 9), (23, 13))
    ]
    rows = [row async for row in reporting.deliveries(kit, "world-day/7d-before/2027-07-30")]
    assert [row["state"] for row in rows] == ["accepted"] * len(READERS)
    assert all(timedelta(0) <= row["moved_at"] - row["due_at"] < timedelta(seconds=5) for row in rows)
    assert clock_of(kit).now() < datetime(2027, 7, 24, tzinfo=UTC), "it does not travel on to the next edition"


async def test_it_does_not_wait_for_what_cannot_be_sent(kit: Kit) -> None:
    edition = await first_edition(kit)
    await planning.skip(kit, edition)
    with pytest.raises(JourneyFailed, match="skipped"):
        await Journey(kit, clock_of(kit), edition, lambda _: None).run(asyncio.Event())


async def test_without_a_daemon_its_patience_ends(kit: Kit) -> None:
    with pytest.raises(JourneyFailed, match="not sent within 1 second"):
        await Journey(kit, clock_of(kit), await first_edition(kit), lambda _: None, patience=1).run(asyncio.Event())


async def test_it_ends_when_the_daemon_does(kit: Kit) -> None:
    stopping = asyncio.Event()
    stopping.set()
    assert await Journey(kit, clock_of(kit), await first_edition(kit), lambda _: None).run(stopping) is None


async def test_what_is_due_at_this_moment(kit: Kit) -> None:
    """Nothing while everything lies ahead; from a quarter of an hour before the first instant the freezing does."""
    async with kit.store.read() as tx:
        first = await agenda.next_instant(tx, START)
        assert first == datetime(2027, 7, 22, 18, 45, tzinfo=UTC), "09:00 at UTC+14, less the time to write the letters"
        assert not await agenda.is_due(tx, START)
        assert not await agenda.is_due(tx, first - timedelta(seconds=1))
        assert await agenda.is_due(tx, first)
