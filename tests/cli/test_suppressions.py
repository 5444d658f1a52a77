"""Suppressions at the command line: by address, by domain, from the files of other systems; checked and taken away."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.homes import Typist

RIVALS = {
    "cleaned.csv": "Email Address,Cleaned Reason\nreader-31@example.org,Hard bounce\n",
    "bounces.csv": "status,reason,email,created\n5.1.1,550 hard bounce,reader-32@example.org,1\n",
    "unsubscribes.csv": "email;status\nreader-33@example.org;unsubscribed\n",
    "complaints.csv": "EmailAddress,Reason,LastUpdateTime\nreader-34@example.org,COMPLAINT,2026\n",
    "list.txt": "reader-35@example.org\nREADER-36@example.org\nnot an address\n\n@blocked.example.net\n",
}
REASONS = {31: "bounced", 32: "bounced", 33: "left", 34: "complained", 35: "left", 36: "left"}


def test_other_systems_files_are_understood(type_: Typist, tmp_path: Path) -> None:
    for name, text in RIVALS.items():
        path = tmp_path / name
        path.write_text(text, "utf-8")
        assert type_.read("suppressions", "import", str(path), "--dry-run")["added"] == 0
        first = type_.read("suppressions", "import", str(path))
        assert first["added"] == first["rows"] - first["refused"], name
        again = type_.read("suppressions", "import", str(path))
        assert (again["added"], again["unchanged"]) == (0, first["added"]), name
    for number, reason in REASONS.items():
        assert type_("suppressions", "check", f"reader-{number}@example.org", "--json") == 1
        assert f'"reason": "{reason}"' in type_.said
    assert type_("suppressions", "check", "anybody@blocked.example.net") == 1
    assert "with all of @blocked.example.net" in type_.said
    rows = type_.read("suppressions", "list")
    assert [row["what"] for row in rows if row["kind"] == "domain"] == ["@blocked.example.net"]
    assert len(rows) == 7
    assert "reader-" not in str(rows)


def test_a_western_file_is_read(type_: Typist, tmp_path: Path) -> None:
    path = tmp_path / "western.csv"
    path.write_bytes("E-Mail;Grund\nreader-61@example.org;Abgemeldet, Größe\n".encode("cp1252"))
    assert type_.read("suppressions", "import", str(path))["reasons"] == {"left": 1}


def test_a_graver_reason_replaces_a_lighter_one_and_never_the_other_way(type_: Typist, tmp_path: Path) -> None:
    path = tmp_path / "more.csv"
    who = "reader-40@example.org"
    for said, kept in (("bounce", "bounced"), ("complaint", "complained"), ("bounce", "complained")):
        path.write_text(f"email,reason\n{who},{said}\n", "utf-8")
        assert type_("suppressions", "import", str(path)) == 0
        assert type_("suppressions", "check", who) == 1
        assert kept in type_.said


def test_a_domain_is_blocked_everywhere(type_: Typist, tmp_path: Path) -> None:
    assert type_("suppressions", "add", "@Example.org", "--yes") == 0
    rows = type_.read("subscribers", "list", "--list", "supporters")
    assert {row["state"] for row in rows if row["address"].endswith("@example.org")} == {"suppressed"}
    assert type_("subscribers", "add", "reader-50@example.org", "--list", "supporters", "--consent", "By phone") == 1
    path = tmp_path / "more.csv"
    path.write_text("email\nreader-51@example.org\nreader-52@example.net\n", "utf-8")
    done = type_.read("subscribers", "import", str(path), "--list", "empty", "--consent", "By phone", "--yes")
    assert (done["added"], done["refused"]) == (1, 1)
    shown = type_.read("lists", "show", "supporters")
    assert shown["suppressed"] == shown["active"]
    assert type_("suppressions", "remove", "@example.org", "--yes") == 0
    assert type_.read("lists", "show", "supporters")["suppressed"] == 0
    assert type_("suppressions", "check", "reader-01@sub.example.org") == 0
    assert type_("suppressions", "remove", "@example.org", "--yes") == 1


@pytest.mark.parametrize("how", ["erase", "complaint"])
def test_what_was_said_in_earnest_is_not_taken_back_without_a_word(type_: Typist, how: str) -> None:
    who = "reader-01@example.org"
    if how == "erase":
        assert type_("subscribers", "erase", who, "--yes") == 0
    else:
        assert type_("suppressions", "add", who, "--reason", "complained", "--yes") == 0
    assert type_("suppressions", "remove", who, "--yes") == 2
    assert "--because" in type_.aside
    assert type_("suppressions", "check", who) == 1
    assert type_("suppressions", "remove", who, "--yes", "--because", "They phoned on 3 May and asked") == 0
    assert type_("suppressions", "check", who) == 0


def test_what_is_no_address_says_so(type_: Typist, tmp_path: Path) -> None:
    assert type_("suppressions", "add", "nobody", "--yes") == 2
    assert type_("suppressions", "add", "@", "--yes") == 2
    path = tmp_path / "columns.csv"
    path.write_text("first,second\n1,2\n", "utf-8")
    assert type_("suppressions", "import", str(path)) == 2
    assert "No column" in type_.aside
