"""Editions and letters from the command line: send, follow, pause, cancel, and the daemon that does the work."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from campaign import bootstrap
from campaign.domain.editions import EditionEvent
from campaign.runtime.catcher import Catcher
from campaign.settings import load_settings
from campaign.store import editions
from tests.cli.homes import READERS, Typist, free_port, settle
from tests.cli.programs import Started, campaign, command, environment

SOME_DAY = datetime.now(UTC).date() + timedelta(days=200)
ROW = {"id", "address", "state", "relay", "attempts", "message_id", "code", "edition"}


@pytest.fixture(scope="module")
def approved_once(peopled_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an approved campaign whose own date is far away, to be copied and never used."""
    folder = shutil.copytree(peopled_once, tmp_path_factory.mktemp("approved") / "home")
    for words in (
        ["new", "news", "--once", f"{SOME_DAY}T09:00", "--list", "supporters"],
        ["approve", "news", "--yes"],
    ):
        done = campaign(*words, home=folder)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def peopled(approved_once: Path, tmp_path: Path) -> Path:
    """That home, of this test's own, instead of the one without a campaign."""
    return shutil.copytree(approved_once, tmp_path / "peopled")


@pytest.fixture
def approved(type_: Typist) -> Typist:
    """Somebody who types commands in it."""
    return type_


def send_what_is_due(home: Path) -> subprocess.CompletedProcess[str]:
    return campaign("run", "--until-idle", "--no-web", home=home)


@contextmanager
def a_daemon(home: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A daemon that is up, and is stopped at the end as an operator would."""
    with Started(command("run", *words), cwd=home, env=environment(), stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if "daemon_started" in line:
                break
        try:
            yield running
        finally:
            running.send_signal(signal.SIGTERM)
            print(running.communicate(timeout=60)[1])


def move(home: Path, edition: int, event: EditionEvent) -> None:
    """What time would have done to an edition."""

    async def go() -> None:
        async with bootstrap.kit(load_settings(home, {}), operator="local:test") as kit, kit.store.begin() as tx:
            assert await editions.advance(tx, edition, event, kit.clock.now(), note="Found too late.")

    asyncio.run(go())


def test_an_extra_edition_goes_to_everybody_once(approved: Typist, relay: Catcher) -> None:
    assert approved("send", "news", "--now", "--yes", "--key", "extra") == 0
    assert approved("send", "news", "--now", "--yes", "--key", "extra") == 0, "the same word: the same edition"
    done = send_what_is_due(approved.home)
    assert done.returncode == 0, done.stderr
    assert relay.caught == READERS
    (one,) = [row for row in approved.read("status", "news")["editions"] if row["state"] == "sent"]
    assert (one["edition"], one["planned"], one["accepted"], one["live"]) == ("news/extra/extra", READERS, READERS, 0)
    assert one["reconciled"]
    letters = approved.read("deliveries", "list", one["edition"])
    assert len({row["address"] for row in letters}) == READERS
    for row in letters:
        assert row.keys() >= ROW
        assert (row["state"], row["code"], row["attempts"], row["edition"]) == ("accepted", 250, 1, "news/extra/extra")
    assert approved.read("deliveries", "list", "news", "--state", "refused") == []
    assert approved("send", "news", "--now", "--yes", "--key", "extra") == 0
    assert "was sent before" in approved.said
    assert send_what_is_due(approved.home).returncode == 0
    assert relay.caught == READERS


def test_what_people_see_of_it(approved: Typist, relay: Catcher) -> None:
    approved("send", "news", "--now", "--yes")
    assert send_what_is_due(approved.home).returncode == 0
    assert approved("status") == 0
    assert re.search(r"news +active +1 +25 +0 +once, in \d+ days", approved.said)
    assert approved("editions", "list", "--state", "sent") == 0
    number = approved.said.splitlines()[1].split()[0]
    assert "25 accepted" in approved.said
    assert approved("editions", "show", number) == 0
    for words in ("25 letters", "accepted: 25", "for readers of", "en, ar, de, pt"):
        assert words in approved.said
    assert approved("deliveries", "list", number) == 0
    assert len(approved.said.splitlines()) == READERS + 1
    assert approved("deliveries", "list", number, "--state", "in doubt") == 0
    assert approved.said == "No letters.\n"


def test_the_reader_of_a_long_list_may_leave_early(approved: Typist, relay: Catcher) -> None:
    approved("send", "news", "--now", "--yes")
    assert send_what_is_due(approved.home).returncode == 0
    words = command("--home", str(approved.home), "deliveries", "list", "news", "--json")
    pipe = subprocess.PIPE
    with Started(words, env=environment(), stdout=pipe, stderr=pipe) as writing:
        assert writing.stdout is not None
        assert writing.stderr is not None
        writing.stdout.close()
        assert writing.stderr.read() == b""


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["send", "news"], 2, "--now"),
        (["send", "news", "--now"], 2, "--yes"),
        (["send", "nothing", "--now", "--yes"], 1, "There is no campaign"),
        (["send", "news", "--now", "--yes", "--key", "Not this one"], 2, "small letters"),
        (["cancel", "news"], 2, "--yes"),
        (["cancel", "nothing", "--yes"], 1, "no campaign and no edition"),
        (["pause", "99"], 1, "There is no"),
        (["resume", "news"], 1, "active cannot resume"),
        (["editions", "show", "99"], 1, "There is no edition"),
        (["editions", "send", "1", "--yes"], 1, "only a missed edition"),
        (["editions", "skip", "1"], 2, "--yes"),
        (["editions", "list", "--state", "lost"], 2, "planned"),
        (["deliveries", "list", "news", "--state", "lost"], 2, "in_doubt"),
        (["deliveries", "list", "nothing"], 1, "no campaign and no edition"),
        (["status", "nothing"], 1, "no campaign and no edition"),
    ],
)
def test_what_cannot_be_done_is_said(approved: Typist, words: list[str], status: int, told: str) -> None:
    assert approved(*words) == status
    assert told in approved.aside


def test_only_an_approved_campaign_sends(type_: Typist) -> None:
    type_("edit", "news", "--title", "Another")
    assert type_("send", "news", "--now", "--yes") == 1
    assert "campaign approve news" in type_.aside
    type_("approve", "news", "--yes")
    type_("pause", "news")
    assert type_("send", "news", "--now", "--yes") == 1
    assert "campaign resume news" in type_.aside
    type_("resume", "news")
    type_("cancel", "news", "--yes")
    assert type_("send", "news", "--now", "--yes") == 1
    assert "make a new one" in type_.aside


def test_pause_cancel_and_skip(approved: Typist, relay: Catcher) -> None:
    approved("send", "news", "--now", "--yes", "--key", "extra")
    assert approved("pause", "news") == 0
    assert "campaign resume news" in approved.aside
    assert send_what_is_due(approved.home).returncode == 0
    assert relay.caught == 0
    assert approved("resume", "news") == 0
    assert approved("cancel", "news/extra/extra", "--yes") == 0
    assert approved.said == "Cancelled news/extra/extra.\n"
    assert send_what_is_due(approved.home).returncode == 0
    assert relay.caught == 0
    other = next(row for row in approved.read("editions", "list") if row["state"] == "planned")
    assert approved("editions", "skip", str(other["id"]), "--yes") == 0
    assert approved("cancel", "news", "--yes") == 0
    assert {row["state"] for row in approved.read("editions", "list")} == {"cancelled", "skipped"}
    assert approved.read("status")["campaigns"][0]["state"] == "retired"
    assert approved("approve", "news", "--yes") == 1
    assert "retired" in approved.aside


def test_a_missed_edition_waits_for_a_person(approved: Typist, relay: Catcher) -> None:
    approved("send", "news", "--now", "--yes", "--key", "late")
    late = next(row for row in approved.read("editions", "list") if row["edition"] == "news/extra/late")
    move(approved.home, late["id"], EditionEvent.MISS)
    assert send_what_is_due(approved.home).returncode == 0
    assert relay.caught == 0
    approved("status")
    assert "Found too late." in approved.aside
    assert approved("editions", "send", "news/extra/late", "--yes") == 0
    assert send_what_is_due(approved.home).returncode == 0
    assert relay.caught == READERS


def test_watching_ends_when_everything_is_sent(approved: Typist, relay: Catcher) -> None:
    assert approved("status", "--watch") == 0
    assert "Nothing is being sent." in approved.said
    assert f"Next: news/once/{SOME_DAY}" in approved.aside
    with a_daemon(approved.home, "--no-web"):
        approved("send", "news", "--now", "--yes", "--key", "extra")
        assert approved("status", "news", "--watch") == 0
    assert "news/extra/extra: sent, 25 of 25 letters done" in approved.said


def test_a_daemon_hears_of_an_edition_at_once_and_ends_when_told(approved: Typist, relay: Catcher) -> None:
    with a_daemon(approved.home, "--no-web") as daemon:
        assert approved("send", "news", "--now", "--yes") == 0, approved.aside
        began = time.monotonic()
        while relay.caught < READERS and time.monotonic() - began < 20:
            time.sleep(0.05)
    assert relay.caught == READERS
    assert daemon.returncode == 0


def test_a_relay_that_is_away_rests_and_the_status_says_why(approved: Typist) -> None:
    approved("send", "news", "--now", "--yes")
    with a_daemon(approved.home, "--no-web"):
        began = time.monotonic()
        while not (resting := approved.read("status")["relays"]) and time.monotonic() - began < 20:
            time.sleep(0.2)
    assert resting[0]["relay"] == "main"
    assert approved("status") == 0
    assert re.search(r"The relay main rests until .*, after 3 faults: connect", approved.aside)
    (extra,) = [row for row in approved.read("status", "news")["editions"] if row["state"] == "sending"]
    assert (extra["live"], extra["planned"]) == (READERS, READERS)


def test_a_port_that_is_taken_ends_the_daemon_before_it_begins(approved: Typist) -> None:
    settle(approved.home, CAMPAIGN_LISTEN=f"127.0.0.1:{free_port()}")
    with a_daemon(approved.home):
        second = campaign("run", "--until-idle", home=approved.home)
    assert second.returncode == 1
    assert "Address already in use" in second.stderr
    assert "--no-web" in second.stderr
    assert "daemon_started" not in second.stderr


@pytest.mark.parametrize("key", ["CAMPAIGN_SEAL_KEY", "CAMPAIGN_SUPPRESSION_KEY"])
def test_the_keys_of_another_database_are_refused(approved: Typist, relay: Catcher, key: str) -> None:
    assert send_what_is_due(approved.home).returncode == 0
    settle(approved.home, **{key: "A" * 43})
    done = send_what_is_due(approved.home)
    assert done.returncode == 1
    assert key in done.stderr
    assert "daemon_started" not in done.stderr


def test_the_daemon_says_what_is_seldom_meant(approved: Typist, relay: Catcher) -> None:
    done = send_what_is_due(approved.home)
    assert "CAMPAIGN_BASE_URL is http://" in done.stderr
    settle(approved.home, CAMPAIGN_LOG_FORMAT="json", CAMPAIGN_BASE_URL="https://letters.example.org")
    done = send_what_is_due(approved.home)
    actions = [json.loads(line)["action"] for line in done.stderr.splitlines()]
    assert actions[0] == "daemon_started"
    assert actions[-1] == "daemon_stopped"


def test_the_brake_holds_everything_until_it_is_taken_off(approved: Typist, relay: Catcher) -> None:
    assert approved("brake", "show") == 0
    assert "is off" in approved.said
    assert approved("brake", "on", "--because", "the wrong list") == 0
    assert approved("brake", "on") == 0
    assert "It was on before" in approved.said
    assert "the wrong list" in approved.said
    assert approved("send", "news", "--now", "--yes", "--key", "held") == 0
    done = send_what_is_due(approved.home)
    assert done.returncode == 0, done.stderr
    assert "brake_is_on" in done.stderr
    assert relay.caught == 0
    for words in (["status"], ["status", "news"], ["brake", "show"]):
        assert approved(*words) == 0
        assert "The brake is on" in approved.aside
        assert "the wrong list" in approved.aside
    assert approved.read("status")["brake"]["because"] == "the wrong list"
    assert approved.read("status", "news")["brake"]["because"] == "the wrong list"
    assert approved.read("brake", "show")["on"]
    assert approved("brake", "off") == 0
    assert approved("brake", "off") == 0
    assert "was off" in approved.said
    assert approved.read("brake", "show") == {"on": False}
    assert approved.read("status")["brake"] is None
    assert send_what_is_due(approved.home).returncode == 0
    assert relay.caught == READERS


def test_a_daemon_that_is_started_while_the_database_is_away_says_so_and_ends(made: Path) -> None:
    settle(made, CAMPAIGN_DATABASE_URL="postgresql://campaign@127.0.0.1:1/nothing")
    done = send_what_is_due(made)
    assert done.returncode == 1
    assert "The database cannot be used" in done.stderr
    assert "Check CAMPAIGN_DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr
