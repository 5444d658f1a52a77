"""The daemon against a real SMTP server: a campaign goes out, and everybody is accounted for."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, time, timedelta
from email import message_from_bytes
from email.policy import default
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from campaign.actions import campaigning, freezing, planning, reporting, subscribing
from campaign.actions.kit import Kit
from campaign.clock import SystemClock, TravelClock
from campaign.domain.calendar import instant_at
from campaign.domain.campaigns import Definition
from campaign.domain.delivery import State
from campaign.domain.editions import EditionState
from campaign.logs import set_up_logs
from campaign.mail.smtp import SmtpOptions, SmtpTransport
from campaign.runtime import daemon as rooms
from campaign.runtime.catcher import Catcher
from campaign.runtime.daemon import Bell, Daemon
from campaign.store.engine import DatabaseAway, Store
from tests.builders import Reader, a_kit, fresh_articles, some_readers


@pytest.fixture
async def catcher(tmp_path: Path) -> AsyncIterator[Catcher]:
    caught = Catcher(tmp_path / "caught")
    await caught.start()
    yield caught
    await caught.stop()


@pytest.fixture
async def kit(store: Store, home: Path, catcher: Catcher) -> AsyncIterator[Kit]:
    made = a_kit(store, SystemClock(), home, SmtpTransport(SmtpOptions.from_url(catcher.url)), connections=3)
    yield made
    await made.renderer.aclose()


async def run(kit: Kit, **changes: object) -> None:
    bell = Bell()
    daemon = Daemon(replace(kit, doorbell=bell, **changes), bell, asyncio.Event())
    await asyncio.wait_for(daemon.run(until_idle=True), 60)


async def approved(kit: Kit, definition: Definition, slug: str = "news") -> None:
    await campaigning.create(kit, slug, definition)
    await campaigning.approve(kit, slug)


EVERY = Definition(every="first monday", lists=("supporters",), zone="UTC")


async def test_an_extra_edition_reaches_everybody_once_and_the_sums_reconcile(kit: Kit, catcher: Catcher) -> None:
    await some_readers(kit, 8)
    await fresh_articles(kit)
    await approved(kit, EVERY)
    edition = await planning.send_now(kit, "news", key="hello")
    assert (await planning.send_now(kit, "news", key="hello")).id == edition.id
    await run(kit)
    [count] = await reporting.counts(kit, str(edition.id))
    assert (count.edition.state, count.edition.planned, count.by_state) == (EditionState.SENT, 8, {"accepted": 8})
    assert count.reconciled
    assert sorted(one.recipient for one in catcher.letters) == [f"reader-{n:02}@example.org" for n in range(1, 9)]
    await run(kit)
    assert len(catcher.letters) == 8, "running again sends nothing again"


async def test_who_left_gets_nothing_more_and_nothing_is_lost_for_the_others(kit: Kit, catcher: Catcher) -> None:
    await some_readers(kit, 3)
    await fresh_articles(kit)
    await approved(kit, EVERY)
    await subscribing.leave(kit, Reader(2).address)
    edition = await planning.send_now(kit, "news")
    await run(kit)
    [count] = await reporting.counts(kit, str(edition.id))
    assert count.by_state == {"accepted": 2}
    assert "reader-02@example.org" not in {one.recipient for one in catcher.letters}


async def test_each_reader_gets_the_day_s_letter_at_their_own_nine_o_clock(
    kit: Kit, catcher: Catcher, tmp_path: Path
) -> None:
    zones = ["Pacific/Auckland", "Asia/Kathmandu", "Europe/Berlin", None, "America/New_York", "Pacific/Honolulu"]
    await some_readers(kit, [Reader(n, timezone=zone) for n, zone in enumerate(zones, 1)])
    definition = Definition(key_date="world-day-against-trafficking", offsets=(0,), lists=("supporters",))
    await approved(kit, definition)
    [first, *_] = await planning_editions(kit)
    clock = TravelClock(first.starts_at - timedelta(minutes=1))
    kit = replace(kit, clock=clock)
    bell = Bell()
    stopping = asyncio.Event()
    daemon = Daemon(replace(kit, doorbell=bell), bell, stopping)
    running = asyncio.create_task(daemon.run())
    due = {zone: instant_at(date.fromisoformat(first.day), time(9), ZoneInfo(zone or "UTC")) for zone in zones}
    for already, instant in enumerate(sorted(due.values())):
        clock.travel_to(instant - timedelta(seconds=0.2))
        bell.ring()
        assert len(catcher.letters) == already
        assert await catcher.wait_for(already + 1, timeout=20)
    stopping.set()
    await running
    [count] = await reporting.counts(kit, str(first.id))
    assert count.by_state == {"accepted": 6}
    assert count.edition.state is EditionState.SENT
    for number, zone in enumerate(zones, 1):
        [letter] = [one for one in catcher.letters if one.recipient == f"reader-{number:02}@example.org"]
        sent = parsedate_to_datetime(
            message_from_bytes((tmp_path / "caught" / letter.eml).read_bytes(), policy=default)["Date"]
        )
        assert timedelta(0) <= sent - due[zone] < timedelta(minutes=1), zone


async def planning_editions(kit: Kit) -> list[reporting.Edition]:
    return [count.edition for count in await reporting.counts(kit, "news")]


async def test_an_edition_found_too_late_is_missed_shown_and_sent_only_by_a_person(kit: Kit, catcher: Catcher) -> None:
    await some_readers(kit, 2)
    await fresh_articles(kit)
    await approved(kit, EVERY)
    [first, *_] = await planning_editions(kit)
    late = replace(kit, clock=TravelClock(first.latest_start + timedelta(minutes=1)))
    await run(late)
    [count, *_] = await reporting.counts(late, "news")
    assert count.edition.state is EditionState.MISSED
    assert not catcher.letters
    await planning.send_missed(late, first.id)
    await run(late)
    [count] = await reporting.counts(late, str(first.id))
    assert (count.edition.state, count.by_state) == (EditionState.SENT, {State.ACCEPTED.value: 2})


async def test_a_daemon_that_ends_when_idle_goes_on_after_its_database_was_away(
    kit: Kit, catcher: Catcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edition is due all the while: what cannot be reached now must not be written down as the edition's fault."""
    tried, prepare = [], freezing._prepare

    async def once_away(*given: Any) -> bool:
        tried.append(given)
        if len(tried) == 1:
            raise DatabaseAway("The database cannot be used: it is locked")
        return await prepare(*given)

    monkeypatch.setattr(freezing, "_prepare", once_away)
    await some_readers(kit, 2)
    await fresh_articles(kit)
    await approved(kit, EVERY)
    edition = await planning.send_now(kit, "news")
    await run(kit)
    [count] = await reporting.counts(kit, str(edition.id))
    assert (count.edition.state, count.by_state, count.edition.note) == (EditionState.SENT, {"accepted": 2}, "")
    assert len(tried) == 2


async def test_an_edition_that_has_nothing_new_to_say_is_skipped_aloud(
    kit: Kit, catcher: Catcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, root = io.StringIO(), logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers[:])
    monkeypatch.setattr(root, "level", root.level)
    set_up_logs("json", "info", said)
    await some_readers(kit, 2)
    await fresh_articles(kit)
    await approved(kit, EVERY.changed({"topics": ("nothing-is-about-this",)}))
    edition = await planning.send_now(kit, "news")
    await run(kit)
    assert (await reporting.find_edition(kit, edition.id)).state is EditionState.SKIPPED
    [line] = [json.loads(one) for one in said.getvalue().splitlines() if "edition_skipped" in one]
    assert (line["edition"], "Nothing new" in line["why"]) == (edition.name, True)


async def test_a_tick_that_found_no_database_does_not_wait_for_its_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "_AGAIN", 0.05)
    tries, stopping = [], asyncio.Event()

    async def verb() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise DatabaseAway("away")

    tick = rooms._Tick("plan", verb, 3600)
    tick.due.set()
    running = asyncio.create_task(tick.run(stopping))
    async with asyncio.timeout(10):
        while not tick.rounds:  # noqa: ASYNC110 -- a tick tells nobody
            await asyncio.sleep(0.01)
    stopping.set()
    tick.due.set()
    await running
    assert len(tries) == 2
