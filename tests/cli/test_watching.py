"""Following editions from the command line: on a terminal, in a pipe, as JSON lines, and by relay and domain."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from campaign.actions.watching import Flow, Look, Wait, Why
from campaign.cli.watching import picture, speed_words, wait_words
from campaign.runtime.catcher import Catcher
from tests.cli.homes import READERS, Typist, settle
from tests.cli.programs import Started, command, environment, watched_until
from tests.cli.test_editions import a_daemon, send_what_is_due
from tests.mail.fault_server import FaultServer, say

SOME_DAY = datetime.now(UTC).date() + timedelta(days=200)
HOSTILE = "451 4.7.1 Try \x1b]0;owned\x07\x1b[2Jagain later"


@pytest.fixture
def under_way(type_: Typist) -> Typist:
    """Somebody who has just sent an extra edition on its way; nobody carries it yet."""
    for words in (
        ["new", "news", "--once", f"{SOME_DAY}T09:00", "--list", "supporters"],
        ["approve", "news", "--yes"],
        ["send", "news", "--now", "--yes", "--key", "extra"],
    ):
        assert type_(*words) == 0, under_way.aside
    return type_


@pytest.fixture
def deferring(peopled: Path) -> Iterator[FaultServer]:
    """The relay of that home: it takes nothing now, and what it says about that would steer a terminal."""
    server, loop = FaultServer(rcpt=say(HOSTILE)), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
    settle(peopled, CAMPAIGN_SMTP_URL=f"smtp://127.0.0.1:{server.port}?tls=none")
    yield server
    asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@contextmanager
def watching(home: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Somebody whose pipe reads what `status --watch` says."""
    with Started(
        command("status", "--watch", *words), cwd=home, env=environment(), stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running
        finally:
            running.terminate()


def test_letters_are_counted_by_relay_and_by_domain(under_way: Typist, relay: Catcher) -> None:
    assert send_what_is_due(under_way.home).returncode == 0
    assert under_way("status", "news/extra/extra", "--domains") == 0
    lines = [line.split() for line in under_way.said.splitlines()]
    assert ["main", str(READERS), str(READERS), "accepted"] in lines
    found = under_way.read("status", "news/extra/extra", "--domains")
    assert found["by_relay"] == [{"name": "main", "accepted": READERS}]
    assert sum(row["accepted"] for row in found["by_domain"]) == READERS
    assert [row["name"] for row in found["by_domain"]] == [line[0] for line in lines[-len(found["by_domain"]) :]]
    assert "by_domain" not in under_way.read("status", "news/extra/extra")
    assert under_way("status", "--domains") == 2
    assert "campaign status SLUG --domains" in under_way.aside


def test_a_pipe_gets_json_a_line_for_each_change(under_way: Typist, relay: Catcher) -> None:
    with watching(under_way.home, "news", "--json") as watcher:
        assert watcher.stdout is not None
        first = json.loads(watcher.stdout.readline())
        with a_daemon(under_way.home, "--no-web"):
            rows = [json.loads(line) for line in watcher.stdout]
    assert [wait["why"] for wait in first["waits"]] == ["no daemon is running"]
    last = {row["edition"]: row for row in rows[-1]["editions"]}["news/extra/extra"]
    assert (last["state"], last["accepted"], rows[-1]["waits"]) == ("sent", READERS, [])
    told = [{**row, "at": None} for row in [first, *rows]]
    assert all(before != after for before, after in itertools.pairwise(told))


def test_a_pipe_and_a_terminal_show_what_keeps_an_edition(deferring: FaultServer, under_way: Typist) -> None:
    with watching(under_way.home) as watcher:
        assert watcher.stdout is not None
        lines = [watcher.stdout.readline()]
        with a_daemon(under_way.home, "--no-web"):
            began = time.monotonic()
            while f"{READERS} to be tried again" not in lines[-1] and time.monotonic() - began < 30:
                lines.append(watcher.stdout.readline())
            shown = watched_until(f"{READERS} to be tried again", "status", "--watch", home=under_way.home)
    said = "".join(lines)
    assert "No daemon is running, so nothing is sent. Start one: campaign run\n" in said
    assert re.search(rf"^{READERS} to be tried again \(greylisted\), the first at .*: 451 Try ", lines[-1])
    assert "\x1b" not in said
    assert "\x07" not in said
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    for words in ("news/extra/extra", "sending", "domain", "waiting", "a second", "(greylisted)", "Ctrl-C stops"):
        assert words in drawn
    assert "\x1b]0;" not in shown
    assert "\x1b[2J" not in shown


NOW = datetime(2027, 6, 1, 9, 0, tzinfo=UTC)


def a_look(**changes: Any) -> Look:
    plain = Look(NOW, (), 120.0, (Flow("main", 100.0), Flow("spare", 20.0)), (), (Wait(Why.NEXT, 36_000),))
    return replace(plain, **changes)


def test_of_many_reasons_the_first_are_shown() -> None:
    screen = Console(file=io.StringIO(), width=80, height=50)
    waits = tuple(Wait(Why.DOMAIN_PAUSED, who=f"mail{number:02}.example.org by main") for number in range(13))
    screen.print(picture(a_look(waits=waits), set(), screen))
    assert isinstance(screen.file, io.StringIO)
    said = screen.file.getvalue()
    assert (said.count("Nothing goes to"), "and 3 more reasons" in said) == (10, True)


def test_a_small_terminal_shows_what_fits_and_says_what_does_not() -> None:
    domains = tuple(Flow(f"mail{number:02}.example.org", 1.5, 90 - number) for number in range(30))
    heights = {}
    for height in (8, 14, 50):
        written = io.StringIO()
        screen = Console(file=written, width=80, height=height, force_terminal=True, color_system=None)
        screen.print(picture(a_look(by_domain=domains), set(), screen))
        said = written.getvalue()
        assert len(said.splitlines()) < height
        heights[height] = said.count("example.org")
        assert "120 letters a second, 5 minutes left" in said
        assert "by main 100/s, spare 20/s" in said
    assert heights == {8: 0, 14: 6, 50: 10}
    assert "mail09.example.org       81       1.5" in said
    assert "and 20 more domains" in said


@pytest.mark.parametrize(
    ("wait", "words"),
    [
        (Wait(Why.NOT_DUE, 1_200, until=NOW), "1,200 not due yet, the next at 2027-06-01 09:00 UTC"),
        (Wait(Why.PAUSED, 7, "news/once/x"), "news/once/x is paused with 7 waiting"),
        (Wait(Why.IN_DOUBT, 3), "3 in doubt"),
        (
            Wait(Why.RELAY_PAUSED, who="main", words="local:somebody"),
            "The relay main is paused by local:somebody. To go on: campaign relays resume main",
        ),
        (Wait(Why.USED_UP, who="main", until=NOW), "The relay main has used up its limits until 2027-06-01 09:00 UTC"),
        (Wait(Why.DOMAIN_PAUSED, who="a.example by main"), "Nothing goes to a.example by main until it is resumed"),
        (
            Wait(Why.DOMAIN_PAUSED, who="a.example by main", until=NOW, words="blocked"),
            "Nothing goes to a.example by main until 2027-06-01 09:00 UTC: blocked",
        ),
        (
            Wait(Why.SLOWED, who="a.example by main", words="2 a second"),
            "No more goes to a.example by main than 2 a second",
        ),
        (Wait(Why.LATER, 2, "", NOW), "2 to be tried again, the first at 2027-06-01 09:00 UTC"),
        (
            Wait(Why.RESTING, who="main\x1b[31m", until=NOW, words="\x1b]0;owned\x07connect:\nrefused\u202e"),
            "The relay main rests until 2027-06-01 09:00 UTC: connect: refused\N{REPLACEMENT CHARACTER}",
        ),
    ],
)
def test_each_reason_is_a_sentence_and_a_relay_steers_no_terminal(wait: Wait, words: str) -> None:
    assert wait_words(wait) == words


@pytest.mark.parametrize(
    ("rate", "letters", "words"),
    [
        (0, 5, ""),
        (2.5, 0, "2.5 letters a second"),
        (2.5, 200, "2.5 letters a second, 80 seconds left"),
        (100, 60_000, "100 letters a second, 10 minutes left"),
        (100, 1_800_000, "100 letters a second, 5 hours left"),
    ],
)
def test_the_time_that_is_left_follows_from_the_rate(rate: float, letters: int, words: str) -> None:
    assert speed_words(a_look(rate=rate, waits=(Wait(Why.NEXT, letters), Wait(Why.NOT_DUE, 9)))) == words
