"""Making, looking over and approving campaigns from the command line, as an organiser types it."""

from __future__ import annotations

import email
import email.policy
import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.cli.homes import READERS, Typist, settle
from tests.cli.programs import Started, command, environment, on_a_terminal

DAY = ["--key-date", "world-day-against-trafficking", "--list", "supporters"]


def test_around_a_key_date_on_each_readers_clock(type_: Typist) -> None:
    made = type_.read("new", "world-day", *DAY, "--remind", "30d", "--remind", "1w", "--on-the-day", "--after", "3d")
    assert made["steps"] == ["30d-before", "7d-before", "on-the-day", "3d-after"]
    assert (made["state"], made["at"], made["zone"], made["people"]) == ("draft", "09:00", "local", READERS)
    assert [one["step"] for one in made["coming"]] == made["steps"]
    assert not made["approval_stands"]


def test_without_a_step_it_is_the_day_itself(type_: Typist) -> None:
    assert type_.read("new", "plain", *DAY)["steps"] == ["on-the-day"]


@pytest.mark.parametrize(
    ("options", "zone", "at"),
    [
        (["--every", "first monday"], "Europe/Berlin", "09:00"),
        (["--every", "first monday", "--at", "18:30", "--timezone", "asia/kolkata"], "Asia/Kolkata", "18:30"),
        (["--every", "first monday", "--local-time"], "local", "09:00"),
        (["--once", "2099-01-11T07:15"], "Europe/Berlin", "07:15"),
        (["--key-date", "girl-child", "--timezone", "UTC"], "UTC", "09:00"),
    ],
)
def test_whose_clock_decides(type_: Typist, options: list[str], zone: str, at: str) -> None:
    made = type_.read("new", "one", "--list", "supporters", *options)
    assert (made["zone"], made["at"]) == (zone, at)


def test_everything_that_can_be_wished_for(type_: Typist) -> None:
    words = [
        "--where",
        "country=US,gb",
        "--where",
        "language=EN",
        "--topics",
        "rights,survivors",
        "--pin",
        "why-30-july",
    ]
    more = ["--most", "3", "--language", "es", "--title", "Our day", "--subject", "Today", "--intro", "Dear **all**"]
    made = type_.read("new", "rich", *DAY, *words, *more, "--in-doubt", "resend", "--each-edition")
    assert made["where"] == {"country": ["US", "GB"], "language": ["en"]}
    assert (made["topics"], made["pinned"], made["most"]) == (["rights", "survivors"], ["why-30-july"], 3)
    assert (made["title"], made["subject"], made["intro"], made["language"]) == (
        "Our day",
        "Today",
        "Dear **all**",
        "es",
    )
    assert (made["in_doubt"], made["each_edition"]) == ("resend", True)
    assert 0 < made["people"] < READERS
    assert type_("show", "rich") == 0
    assert "only country=US,GB language=en" in type_.said


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["new", "x", "--list", "supporters"], 2, "--key-date, --every or --once"),
        (["new", "x", "--every", "monday"], 2, "--list supporters"),
        (["new", "x", *DAY, "--every", "monday"], 2, "exclude each other"),
        (["new", "x", "--list", "supporters", "--every", "moonday"], 2, "first monday"),
        (["new", "x", "--list", "supporters", "--every", "monday", "--remind", "7d"], 2, "--key-date"),
        (["new", "x", "--list", "supporters", "--once", "2099-01-11T09:00", "--at", "10:00"], 2, "one too many"),
        (["new", "x", "--list", "supporters", "--once", "2099-01-11"], 2, "T09:00"),
        (["new", "x", *DAY, "--remind", "soon"], 2, "30d"),
        (["new", "x", *DAY, "--at", "25:00"], 2, "09:00"),
        (["new", "x", *DAY, "--timezone", "Berlin"], 2, "Europe/Berlin"),
        (["new", "x", *DAY, "--timezone", "UTC", "--local-time"], 2, "exclude each other"),
        (["new", "x", *DAY, "--where", "city=Oslo"], 2, "country=US,GB"),
        (["new", "x", *DAY, "--where", "country=UK"], 2, "Write GB"),
        (["new", "x", *DAY, "--in-doubt", "pray"], 2, "hold"),
        (["new", "x", *DAY, "--subject", "two\nlines"], 2, "one line"),
        (["new", "x", *DAY, "--most", "99"], 2, "--most 3"),
        (["new", "X y", *DAY], 2, "x-y"),
        (["new", "2027", *DAY], 2, "short name"),
        (["new", "x", *DAY, "--list", "nobody"], 1, "campaign lists add nobody"),
        (["new", "x", *DAY, "--pin", "no-such-article"], 1, "campaign articles"),
        (["new", "x", "--list", "supporters", "--key-date", "world-day"], 1, "world-day-against-trafficking"),
        (["show", "x"], 1, "There is no campaign 'x'"),
        (["preview", "x"], 1, "There is no campaign 'x'"),
        (["approve", "x", "--yes"], 1, "There is no campaign 'x'"),
        (["plan", "x"], 1, "There is no campaign 'x'"),
        (["plan", "--until", "30.7.2027"], 2, "2027-07-30"),
        (["plan", "--subscriber", "nobody@example.org"], 1, "Nobody has the address"),
    ],
)
def test_what_is_wrong_is_said_with_a_remedy(type_: Typist, words: list[str], status: int, told: str) -> None:
    assert type_(*words) == status
    assert told in type_.aside
    assert not type_.said
    assert type_.read("status")["campaigns"] == []


def test_a_name_is_taken_once(type_: Typist) -> None:
    assert type_("new", "twice", *DAY) == 0
    assert type_("new", "twice", *DAY) == 1
    assert "campaign edit twice" in type_.aside


def test_edit_changes_what_is_named_and_nothing_else(type_: Typist) -> None:
    type_("new", "one", *DAY, "--remind", "30d", "--title", "Old", "--topics", "rights", "--where", "country=US")
    changed = type_.read("edit", "one", "--after", "2d", "--topics", "", "--where", "", "--at", "7:05")
    assert (changed["steps"], changed["topics"], changed["at"]) == (["2d-after"], [], "07:05")
    assert (changed["title"], changed["where"], changed["people"]) == ("Old", {"country": [], "language": []}, READERS)
    changed = type_.read("edit", "one", "--every", "last friday")
    assert (changed["key_date"], changed["every"], changed["steps"]) == (None, "last friday", [])
    assert type_("edit", "one") == 2
    assert type_("edit", "one", "--list", "") == 2


def test_a_change_revokes_the_approval(type_: Typist) -> None:
    type_("new", "one", *DAY)
    assert type_("approve", "one", "--yes") == 0
    assert type_.read("show", "one")["approval_stands"]
    assert type_("edit", "one", "--title", "Another") == 0
    assert "campaign approve one" in type_.aside
    found = type_.read("show", "one")
    assert (found["state"], found["approval_stands"]) == ("draft", False)
    type_("show", "one")
    assert "has changed since" in type_.said


def test_what_is_not_told_does_not_change(type_: Typist) -> None:
    type_("new", "one", *DAY)
    type_("approve", "one", "--yes")
    assert type_("edit", "one", "--at", "09:00") == 0
    assert "revoked" not in type_.aside
    assert type_.read("show", "one")["state"] == "active"


def test_preview_shows_the_letter_and_why_others_are_out(type_: Typist, tmp_path: Path) -> None:
    type_("new", "one", *DAY, "--remind", "7d", "--pin", "survivors-lead")
    files = {name: tmp_path / f"letter.{name}" for name in ("html", "text", "eml")}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    assert type_("preview", "one", *options) == 0
    for words in ("7 days before", "Example Campaign <letters@example.org>", "(a sample reader)", "other language"):
        assert words in type_.said
    assert "Articles in it: survivors-lead," in type_.said
    letter = email.message_from_bytes(files["eml"].read_bytes(), policy=email.policy.default)
    assert f"Subject: {letter['Subject']}" in type_.said
    assert files["text"].read_text("utf-8").strip() in type_.said
    assert "<html" in files["html"].read_text("utf-8")


def test_preview_as_somebody_gets_it(type_: Typist) -> None:
    type_("new", "one", *DAY)
    assert type_("preview", "one", "--subscriber", "READER-09@example.org") == 0
    assert "Reader 09 <reader-09@example.org>" in type_.said
    assert ", in es" in type_.said
    assert "Línea 145" in type_.said


def test_preview_of_a_step_that_is_none(type_: Typist) -> None:
    type_("new", "one", *DAY)
    assert type_("preview", "one", "--step", "30d-before") == 2
    assert "Its steps are: on-the-day" in type_.aside
    assert type_("preview", "one", "--step", "soon") == 2
    assert type_("preview", "one", "--html", "/no/such/folder/letter.html") == 1
    assert "/no/such/folder" in type_.aside


def test_settings_that_are_missing_are_named_at_once(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    type_ = Typist(made, capsys)
    assert type_("approve", "one", "--yes") == 2
    for name in ("SENDER", "SMTP_URL", "BASE_URL", "POSTAL_ADDRESS"):
        assert f"CAMPAIGN_{name}" in type_.aside
    assert type_("plan") == 0
    assert type_("run") == 2


def test_a_test_letter_waits_for_the_daemon(type_: Typist) -> None:
    type_("new", "one", *DAY)
    assert type_("test", "one", "--to", "me@example.org") == 0
    assert "in the ledger as number 1" in type_.said
    assert type_("test", "one", "--to", "me") == 2
    assert type_("test", "one") == 2
    assert type_.read("show", "one")["state"] == "draft"


def test_nothing_is_approved_without_an_answer(type_: Typist) -> None:
    type_("new", "one", *DAY)
    assert type_("approve", "one") == 2
    assert "--yes" in type_.aside
    assert type_.read("show", "one")["state"] == "draft"


def test_approving_shows_what_is_approved_and_plans_it(type_: Typist) -> None:
    type_("new", "one", *DAY, "--remind", "30d", "--on-the-day")
    assert type_("approve", "one", "--yes") == 0
    for words in (
        "30 days before",
        "on the day",
        "World Day Against Trafficking in Persons",
        "25 people",
        "signs-and-help",
    ):
        assert words in type_.said
    assert "No helpline is known for" in type_.aside
    assert next(one["edition"] for one in type_.read("editions", "list", "one")).startswith("one/30d-before/")
    assert {one["state"] for one in type_.read("plan", "one")} == {"planned"}
    assert type_("approve", "one", "--yes") == 0, "approving again is fine"


def test_warnings_before_an_approval(type_: Typist) -> None:
    type_("new", "lonely", "--key-date", "girl-child", "--list", "empty", "--topics", "no-such-topic")
    assert type_("approve", "lonely", "--yes") == 0
    assert "Nobody would get it: no active subscriber is on empty." in type_.aside
    assert "goes out as a reminder alone" in type_.aside
    type_("articles", "edit", "why-30-july", "--language", "en", "--review-on", "2026-01-01")
    type_("new", "stale", *DAY, "--pin", "why-30-july", "--timezone", "Pacific/Kiritimati")
    assert type_("approve", "stale", "--yes") == 0
    assert "why-30-july is left out: past its review date" in type_.aside
    assert "on another day than meant" in type_.aside


def test_each_edition_asks_for_itself(type_: Typist) -> None:
    type_("new", "careful", *DAY, "--remind", "30d", "--on-the-day", "--each-edition")
    assert type_("approve", "careful", "--yes") == 0
    assert "campaign approve ID" in type_.aside
    first = type_.read("editions", "list", "careful")[0]
    assert type_("approve", str(first["id"]), "--yes") == 0
    assert f"Approved {first['edition']}." in type_.said
    assert type_("approve", first["edition"], "--yes") == 0, "by name, too"
    type_("new", "easy", *DAY)
    type_("approve", "easy", "--yes")
    other = type_.read("editions", "list", "easy")[0]
    assert type_("approve", str(other["id"]), "--yes") == 1
    assert "--each-edition" in type_.aside


def test_a_mistake_in_an_own_template_is_found_before_it_is_sent(type_: Typist) -> None:
    folder = type_.home / "templates" / "email" / "digest"
    folder.mkdir(parents=True)
    (folder / "subject.txt.j2").write_text("{{ campain.title }}", "utf-8")
    type_("new", "one", *DAY)
    assert type_("approve", "one", "--yes") == 2
    assert "campain" in type_.aside
    assert type_.read("show", "one")["state"] == "draft"


def test_the_plan_knows_local_days_and_people(type_: Typist) -> None:
    type_("new", "all", "--every", "day 15", "--at", "23:00", "--list", "supporters", "--timezone", "UTC")
    row = type_.read("plan", "all")[0]
    assert (row["people"], row["wrong_day"] > 0, row["state"]) == (READERS, True, "not approved")
    assert row["first_utc"].endswith("T23:00:00Z")
    assert type_("plan") == 0
    assert "would get all/every/" in type_.aside
    assert "Next: campaign approve all" in type_.aside
    assert type_("plan", "all", "--until", "2020-01-01") == 0
    assert "Nothing is to come" in type_.said


def test_the_plan_of_one_person_says_why_they_are_out(type_: Typist) -> None:
    type_("new", "here", *DAY, "--where", "country=NZ")
    type_("new", "there", *DAY, "--where", "country=US", "--where", "language=fr")
    rows = {row["campaign"]: row for row in type_.read("plan", "--subscriber", "reader-25@example.org")}
    assert rows["here"]["in"]
    assert "T09:00:00+12:00" in rows["here"]["due_local"]
    assert [reason.partition(" is not")[0] for reason in rows["there"]["reasons"]] == ["country NZ", "language en"]
    type_("plan", "--subscriber", "reader-25@example.org")
    assert "out: country NZ is not in the rule" in type_.said


def test_a_language_holds_its_kinds(type_: Typist) -> None:
    assert type_.read("new", "english", *DAY, "--where", "language=en")["people"] == 12
    assert type_.read("new", "british", *DAY, "--where", "language=en-GB")["people"] == 0


@pytest.mark.parametrize(("answer", "status", "state"), [("y", 0, "active"), ("n", 1, "draft"), ("", 1, "draft")])
def test_on_a_terminal_it_asks(type_: Typist, answer: str, status: int, state: str) -> None:
    type_("new", "one", *DAY)
    ours, theirs = pty.openpty()
    words = command("--home", str(type_.home), "approve", "one")
    with Started(words, env=environment(), stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asked:
        os.close(theirs)
        os.write(ours, f"{answer}\n".encode())
        said, aside = asked.communicate(timeout=60)
    os.close(ours)
    assert asked.returncode == status
    assert b"Approve one?" in said + aside
    assert type_.read("show", "one")["state"] == state


def test_on_a_narrow_terminal_nothing_is_lost(type_: Typist) -> None:
    type_("new", "one", *DAY)
    shown = on_a_terminal("--home", str(type_.home), "plan", home=type_.home, columns=60)
    assert "on the day" in shown
    assert "not approved" in shown


def test_foreign_words_do_not_steer_the_terminal(type_: Typist) -> None:
    settle(type_.home, CAMPAIGN_ORGANISATION="Example")
    type_("new", "one", *DAY, "--intro", "\x1b]0;owned\x07\x1b[31mred")
    type_("show", "one")
    assert "\x1b" not in type_.said
    assert "red" in type_.said
