"""The demo: what a newcomer types first plays to its end, adds up, and leaves nothing running."""

from __future__ import annotations

import csv
import email
import email.policy
import re
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from campaign.actions import publishing
from campaign.assets import asset
from campaign.cli import demo
from campaign.clock import TravelClock
from campaign.store.content import Filter
from campaign.store.engine import Store
from tests.builders import a_kit
from tests.cli.programs import Started, campaign, command, environment

PLAYED = pytest.mark.timeout(120)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder for what the demo throws away, so that a test sees what it leaves."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def letters_in(folder: Path) -> list[EmailMessage]:
    parsed = (email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in folder.glob("*.eml"))
    return [letter for letter in parsed if isinstance(letter, EmailMessage)]


def people() -> list[dict[str, str]]:
    with asset("config/demo/subscribers.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@PLAYED
def test_it_plays_to_its_end(elsewhere: Path, tmp_path: Path) -> None:
    foreign = {"CAMPAIGN_SMTP_URL": "smtp://192.0.2.1:25", "CAMPAIGN_DATABASE_URL": "postgresql://192.0.2.1/real"}
    done = campaign("demo", home=tmp_path, TMPDIR=str(elsewhere), **foreign)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "planned 25 = 25 accepted + 0 refused" in done.stdout
    assert "The relay took 25 letters, to 25 people." in done.stdout
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in done.stdout
    (home,) = elsewhere.iterdir()
    assert [path.name for path in home.iterdir()] == ["letters"], "the home is thrown away, the letters stay"
    for name in re.findall(rf"{re.escape(str(home))}\S+", done.stdout):
        assert Path(name).exists() or name == str(home), name
    assert len(list((home / "letters").glob("*.html"))) == 26, "a page for each letter, and the index"


@PLAYED
def test_everybody_gets_it_at_nine_on_their_own_clock(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = campaign("demo", "--home", str(home), home=tmp_path)
    assert done.returncode == 0, done.stderr
    letters = {letter["To"].addresses[0].addr_spec: letter for letter in letters_in(home / "letters")}
    assert len(letters) == 25
    for person in people():
        sent = letters[person["email"]]["Date"].datetime.astimezone(ZoneInfo(person["timezone"]))
        assert (sent.hour, sent.minute, sent.month, sent.day) == (9, 0, 6, 30), person
    assert campaign("db", "check", home=home).returncode == 0
    status = campaign("status", home=home)
    assert re.search(r"world-day-\d{4} +active +1 +25 +0 ", status.stdout)


@contextmanager
def serving(elsewhere: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A demo that stays, and what it said until then."""
    words = command("demo", "--serve")
    env = environment(TMPDIR=str(elsewhere))
    with Started(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        said = ""
        for line in running.stdout:
            said += line
            if "next edition skips" in line:
                break
        try:
            yield running, said
        finally:
            running.send_signal(signal.SIGINT)
            running.communicate(timeout=30)


@PLAYED
def test_it_stays_until_somebody_stops_it(elsewhere: Path) -> None:
    with serving(elsewhere) as (running, said):
        found = re.search(r"A reader's way out: +(\S+)", said)
        index = re.search(r"All letters: +file://(\S+)", said)
        assert found is not None
        assert index is not None
        assert "reader-12@example.org" in Path(index[1]).read_text("utf-8")
        with urllib.request.urlopen(found[1], timeout=10) as page:
            assert page.status == 200
        (home,) = elsewhere.iterdir()
        before = campaign("subscribers", "show", "reader-12@example.org", "--json", home=home).stdout
        with urllib.request.urlopen(found[1], data=b"List-Unsubscribe=One-Click", timeout=10) as page:
            assert page.status == 200
        after = campaign("subscribers", "show", "reader-12@example.org", "--json", home=home).stdout
        assert '"active"' in before
        assert '"active"' not in after
    assert running.returncode == 0
    assert [path.name for path in home.iterdir()] == ["letters"]


@PLAYED
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stopping_it_leaves_nothing(elsewhere: Path, stop: signal.Signals) -> None:
    env = environment(TMPDIR=str(elsewhere))
    with Started(command("demo"), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if "Kathmandu" in line:
                break
        running.send_signal(stop)
        running.communicate(timeout=30)
    assert running.returncode == 130
    assert list(elsewhere.iterdir()) == []


def test_it_wants_a_folder_of_its_own(made: Path) -> None:
    before = (made / ".env").read_text("utf-8")
    done = campaign("demo", "--home", str(made), home=made)
    assert done.returncode == 2
    assert "empty or a new folder" in done.stderr
    assert (made / ".env").read_text("utf-8") == before


def test_an_error_keeps_what_explains_it(elsewhere: Path, tmp_path: Path) -> None:
    """Without its sample people the story breaks off; the package is a copy, so that nothing else misses them."""
    root = tmp_path / "broken"
    for folder in ("campaign", "config", "templates", "alembic"):
        shutil.copytree(asset("config").parent / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", ".env.example"):
        shutil.copyfile(asset("config").parent / file, root / file)
    (root / "config" / "demo" / "subscribers.csv").unlink()
    done = campaign("demo", home=tmp_path, TMPDIR=str(elsewhere), PYTHONPATH=str(root))
    assert done.returncode == 1
    assert "subscribers.csv" in done.stderr
    (home,) = elsewhere.iterdir()
    assert f"for you to look into: {home}" in done.stderr
    assert (home / "daemon.log").exists()


@pytest.mark.parametrize(
    ("today", "day", "starts"),
    [
        (date(2026, 11, 23), date(2027, 7, 30), date(2026, 11, 23)),
        (date(2027, 6, 27), date(2027, 7, 30), date(2027, 6, 27)),
        (date(2027, 6, 28), date(2028, 7, 30), date(2027, 8, 1)),
        (date(2027, 7, 30), date(2028, 7, 30), date(2027, 8, 1)),
        (date(2027, 7, 31), date(2028, 7, 30), date(2027, 7, 31)),
    ],
)
async def test_the_clock_starts_where_the_first_step_lies_ahead(
    store: Store, home: Path, today: date, day: date, starts: date
) -> None:
    clock = TravelClock(datetime(today.year, today.month, today.day, 12, tzinfo=UTC))
    assert await demo._choose_day(a_kit(store, clock, home), clock) == day
    assert abs(clock.now() - datetime(starts.year, starts.month, starts.day, 12, tzinfo=UTC)) < timedelta(minutes=1)


async def test_what_is_shipped_does_not_get_stale_in_a_demo(store: Store, home: Path) -> None:
    kit = a_kit(store, TravelClock(), home)
    await publishing.import_starters(kit)
    await demo._review(kit, date(2040, 7, 30))
    found = await publishing.articles(kit, Filter())
    assert found
    assert not [one.slug for one in found if one.review_on is not None and one.review_on < date(2040, 8, 30)]
    assert not publishing.helplines(kit).stale(date(2040, 8, 30))
