"""Lists and subscribers on the command line, as a person and as a script use them."""

from __future__ import annotations

import json
import os
import pty
import signal
from pathlib import Path

import pytest

from tests.cli.homes import READERS, Typist
from tests.cli.programs import Started, campaign, command, environment

CONSENT = ("--consent", "I want your letters. Form of the fair, 2027-01-11")


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(
        "email,name,country,shoe size\n"
        "new-01@example.org,Ünïcode Näme,US,43\n"
        "new-02@example.org,,GB,\n"
        "new-01@example.org,again,,\n"
        "nobody,,,\n",
        "utf-8",
    )
    return path


def test_lists_are_made_shown_edited_and_retired(type_: Typist) -> None:
    assert type_("lists", "add", "press", "--single-opt-in", "--public", "--name", "The press", "--language", "ES") == 0
    assert "Made the list press." in type_.said
    assert type_("lists", "add", "press", "--single-opt-in", "--public", "--name", "The press", "--language", "ES") == 0
    assert "just so" in type_.said
    assert type_("lists", "add", "press") == 1
    assert "campaign lists edit press" in type_.aside
    assert [row["list"] for row in type_.read("lists", "list")] == ["empty", "press", "supporters"]
    shown = type_.read("lists", "show", "press")
    assert (shown["opt_in"], shown["visibility"], shown["language"]) == ("single", "public", "es")
    assert type_("lists", "edit", "press", "--double-opt-in", "--private", "--timezone", "europe/paris") == 0
    assert type_("lists", "edit", "press", "--double-opt-in") == 0
    assert "Nothing changed" in type_.said
    shown = type_.read("lists", "show", "press")
    assert (shown["opt_in"], shown["visibility"], shown["timezone"]) == ("double", "private", "Europe/Paris")
    assert type_("lists", "show", "press") == 0
    assert "opt in:" in type_.said
    assert type_("lists", "retire", "press", "--yes") == 0
    assert type_("lists", "retire", "press", "--yes") == 0
    assert "before" in type_.said
    assert type_("lists", "list") == 0
    assert "press" not in type_.said
    assert len(type_.read("lists", "list", "--all")) == 3
    assert type_("lists", "show", "nowhere") == 1
    assert "Known: empty, supporters" in type_.aside


def test_a_file_is_looked_over_and_imported(type_: Typist, people: Path) -> None:
    words = ("subscribers", "import", str(people), "--list", "empty", *CONSENT)
    assert type_(*words, "--dry-run") == 0
    assert "2 added, 0 changed, 0 unchanged, 1 refused, 1 repeated in the file. Nothing was written." in type_.said
    assert type_.read("subscribers", "list", "--list", "empty") == []
    assert type_(*words) == 2, "nobody is here to answer"
    assert "Add --yes" in type_.aside
    assert type_(*words, "--yes") == 0
    assert "line 5: 'nobody' is not an e-mail address" in type_.said
    assert "sealed: shoe-size" in type_.aside
    assert "people.rejects.csv" in type_.said
    done = type_.read(*words, "--yes")
    assert (done["rows_done"], done["unchanged"], done["refused"], done["duplicates"]) == (4, 2, 1, 1)
    assert type_.read("subscribers", "list", "--list", "empty")[0] == {
        "address": "new-01@example.org",
        "name": "Ünïcode Näme",
        "list": "empty",
        "state": "active",
        "country": "US",
        "language": None,
        "timezone": None,
    }


def test_a_name_that_would_paint_the_terminal_is_refused_and_shown_harmlessly(type_: Typist, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("email,name\nnew-02@example.org,\x1b]0;title\x07\n", "utf-8")
    assert type_("subscribers", "import", str(path), "--list", "empty", *CONSENT, "--yes") == 0
    assert "1 refused" in type_.said
    assert "\x1b" not in type_.said


def test_files_and_words_that_are_wrong(type_: Typist, people: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed.csv"
    mixed.write_bytes("email,name\nnew-01@example.org,Näme\n".encode("latin-1") + "new-02@example.org,Näme\n".encode())
    assert type_("subscribers", "import", str(mixed), "--list", "empty", *CONSENT, "--yes") == 2
    assert "line 3 is UTF-8, line 2 is not" in type_.aside
    assert "CSV UTF-8" in type_.aside
    assert type_("subscribers", "import", str(tmp_path / "none.csv"), "--list", "empty", *CONSENT, "--yes") == 2
    assert type_("subscribers", "import", str(people), "--list", "nowhere", *CONSENT, "--yes") == 1
    assert type_("subscribers", "import", str(people), "--list", "empty", "--yes") == 2, "no consent"
    assert type_("subscribers", "add", "nobody", "--list", "empty") == 2


def test_one_person_joins_is_shown_leaves_and_is_erased(type_: Typist) -> None:
    who = "new-01@example.org"
    assert type_("subscribers", "add", who, "--list", "empty", "--name", "New", "--timezone", "Europe/Berlin") == 0
    assert "gets a letter that asks to confirm empty" in type_.said
    assert type_("subscribers", "add", who, "--list", "empty", "--country", "DE") == 0
    assert "no second letter goes out" in type_.said
    assert "was changed" in type_.said
    assert type_("subscribers", "add", who, "--list", "empty", *CONSENT) == 0
    assert "is on empty now" in type_.said
    assert type_("subscribers", "show", who) == 0
    for words in ("Form of the fair", "empty", "confirm", "Europe/Berlin"):
        assert words in type_.said
    page = type_.read("subscribers", "show", who)
    assert [one["list"] for one in page["subscriptions"]] == ["empty"]
    assert len(page["consents"]) == 2
    assert type_("subscribers", "leave", who, "--list", "empty", "--yes") == 0
    assert type_("subscribers", "leave", who, "--yes") == 0
    assert "was not on any list" in type_.said
    assert type_("subscribers", "erase", who) == 2, "asks first"
    assert type_("subscribers", "erase", who, "--yes") == 0
    assert type_("subscribers", "erase", who, "--yes") == 0
    assert "kept from imports" in type_.said
    assert type_("subscribers", "show", who) == 1


def test_a_suppressed_address_is_refused(type_: Typist) -> None:
    assert type_("subscribers", "suppress", "reader-01@example.org", "--yes") == 0
    assert type_("subscribers", "suppress", "reader-01@example.org", "--yes") == 0
    assert "before" in type_.said
    assert type_("subscribers", "add", "reader-01@example.org", "--list", "empty", *CONSENT) == 1
    assert "blocked by an operator" in type_.said
    (row,) = type_.read("subscribers", "find", "reader-01@example.org")
    assert row["state"] == "suppressed"


def test_people_are_found_by_a_part(type_: Typist) -> None:
    assert len(type_.read("subscribers", "find", "READER 0")) >= 3
    assert "looking at every row" in type_.aside
    assert type_("subscribers", "find", "nobody at all") == 0
    assert "Nobody found." in type_.said


def test_a_table_shows_the_first_people_and_json_all(type_: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaign.cli.people._SHOWN_ROWS", 10)
    assert type_("subscribers", "list") == 0
    assert len(type_.said.splitlines()) == 11
    assert "--json writes all" in type_.aside
    assert len(type_.read("subscribers", "list")) == READERS


def test_ctrl_c_keeps_what_was_imported_and_the_same_again_goes_on(peopled: Path, tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("email\n")
        file.writelines(f"new-{n}@example{n % 5}.org\n" for n in range(60_000))
    words = ("subscribers", "import", str(path), "--list", "empty", *CONSENT, "--yes")
    ours, theirs = pty.openpty()
    with Started(
        command(*words), cwd=peopled, env=environment(TERM="xterm"), stdin=theirs, stdout=theirs, stderr=theirs
    ) as running:
        os.close(theirs)
        shown = ""
        while "10000/" not in shown:
            shown += os.read(ours, 65536).decode(errors="replace")
        running.send_signal(signal.SIGINT)
        while True:
            try:
                shown += os.read(ours, 65536).decode(errors="replace")
            except OSError:
                break
        status = running.wait(60)
    os.close(ours)
    assert status == 130, shown
    assert "the same command again goes on from there" in shown
    done = campaign(*words, "--json", home=peopled)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["resumed"] >= 10_000
    assert (report["added"], report["rows_done"]) == (60_000, 60_000)


def test_a_review_shows_each_row_field_by_field_before_anything_is_written(type_: Typist, tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    text = "address,name,country,gift\ninfo@ngo.net,Office,GB,5\nreader-01@example.org,,BR,\nno address,,,\n"
    path.write_text(text, "utf-8")
    words = ("subscribers", "import", str(path), "--list", "supporters", *CONSENT, "--review", "--dry-run")
    before = type_.read("subscribers", "list")
    rows = {one["line"]: one for one in type_.read(*words)}
    assert [rows[line]["what"] for line in (2, 3, 4)] == ["added", "changed", "refused"]
    assert rows[2]["fields"] == {"name": [None, "Office"], "country": [None, "GB"], "gift": [None, "5"]}
    assert rows[3]["fields"]["country"][1] == "BR"
    assert rows[4]["reason"]
    assert type_(*words) == 0
    assert "+ line 2: info@ngo.net: name Office; country GB" in type_.said
    assert "worth a second look: 1 role" in type_.aside
    assert type_.said.count("line 4") == 2, "once in the review, once among the refused"
    assert type_.read("subscribers", "list") == before
    done = type_.read(*words[:-1], "--yes")
    changed = [one for one in rows.values() if one["what"] == "changed"]
    assert (done["added"], done["changed"], done["refused"]) == (1, len(changed), 1)
    assert type_.read(*words) == [rows[4]]


def test_people_are_found_by_a_rule_and_a_state(type_: Typist) -> None:
    assert type_("subscribers", "edit", "reader-03@example.org", "--country", "BR") == 0
    assert type_("subscribers", "leave", "reader-03@example.org", "--yes") == 0
    found = type_.read("subscribers", "find", "--where", 'country = "BR"', "--state", "left")
    assert {one["address"] for one in found} == {"reader-03@example.org"}
    assert type_.read("subscribers", "find", "reader-04", "--where", 'country = "BR"', "--state", "left") == []
    assert {one["state"] for one in type_.read("subscribers", "find", "--state", "left")} == {"left"}
    assert type_("subscribers", "find") == 2
    assert type_("subscribers", "find", "--where", "country = ") == 2
    assert "^" in type_.aside


def test_half_a_file_and_an_endless_line_cost_themselves_only(type_: Typist, tmp_path: Path) -> None:
    """An upload that broke off, and a line of 20 MB: each is named with its line and remedy, the rest is imported."""
    half, endless = tmp_path / "half.csv", tmp_path / "endless.csv"
    half.write_text('email,name\nhalf-01@example.org,One\nhalf-02@example.org,"Tw', encoding="utf-8")
    with endless.open("w", encoding="utf-8") as file:
        file.write("email,name\nendless-01@example.org,One\n")
        file.writelines("x" * 1_000_000 for _ in range(20))
        file.write("\nendless-02@example.org,Two\n")
    words = ("--list", "supporters", "--consent", "At the fair", "--yes")
    assert type_("subscribers", "import", str(half), *words) == 0
    assert "line 3: A quotation mark is open until the end of the file." in type_.said
    assert "1 added, 0 changed, 0 unchanged, 1 refused" in type_.said
    assert type_("subscribers", "import", str(endless), *words) == 0
    assert "line 3: This goes on for more than 1,000,000 characters." in type_.said
    assert "2 added, 0 changed, 0 unchanged, 1 refused" in type_.said
