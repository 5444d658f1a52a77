"""What is known about people is corrected at the command line; two mailboxes become one person; consents are proved."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pytest

from tests.cli.homes import Typist

KEPT, OTHER = "reader-01@example.org", "reader-02@example.org"


def on(typist: Typist, slug: str) -> dict[str, str]:
    return {row["address"]: row["state"] for row in typist.read("subscribers", "list", "--list", slug)}


def test_what_is_known_is_corrected_part_by_part(type_: Typist) -> None:
    assert type_("attributes", "add", "gift", "--kind", "number") == 0
    words = ("--name", "Zoë", "--country", "ke", "--topics", "Policy, art", "--set", "gift=12", "--set", "note=met us")
    assert type_("subscribers", "edit", KEPT, *words) == 0
    page = type_.read("subscribers", "show", KEPT)
    assert (page["name"], page["country"], page["topics"]) == ("Zoë", "KE", ["policy", "art"])
    assert page["attributes"] == {"gift": 12, "note": "met us"}
    assert type_("subscribers", "edit", KEPT, *words) == 0
    assert "Nothing changed" in type_.said
    assert type_("subscribers", "edit", KEPT, "--name", "", "--topics", "", "--set", "gift=", "--set", "note=") == 0
    page = type_.read("subscribers", "show", KEPT)
    assert (page["name"], page["country"], page["topics"], page["attributes"]) == ("", "KE", [], {})
    for wrong in (("--set", "gift"), ("--set", "gift=much"), ("--country", "Kenya"), ("--set", "Gift!=1")):
        assert type_("subscribers", "edit", KEPT, *wrong) == 2
    assert type_("subscribers", "edit", "nobody@example.org", "--name", "x") == 1
    (entry, *_) = type_.read("audit", "--about", KEPT)
    assert "met us" not in str(entry)
    assert "Zoë" not in str(type_.read("audit"))


def test_two_mailboxes_become_one_person(type_: Typist) -> None:
    assert type_("subscribers", "add", OTHER, "--list", "empty", "--consent", "By phone") == 0
    assert type_("subscribers", "edit", OTHER, "--set", "note=tall", "--topics", "art") == 0
    assert type_("subscribers", "merge", KEPT, OTHER, "--yes") == 0
    assert "1 more lists" in type_.said
    assert on(type_, "empty") == {KEPT: "active"}
    assert OTHER not in on(type_, "supporters")
    page = type_.read("subscribers", "show", KEPT)
    assert page["attributes"] == {"note": "tall"}
    assert page["topics"] == ["art"]
    assert len([one for one in page["consents"] if one["list"] == "supporters"]) == 2
    assert type_("suppressions", "check", OTHER) == 1
    assert type_("subscribers", "merge", KEPT, OTHER, "--yes") == 1
    assert type_("subscribers", "merge", KEPT, "Reader-01@EXAMPLE.org", "--yes") == 2


def test_what_the_other_mailbox_never_confirmed_is_not_brought_along(type_: Typist) -> None:
    assert type_("subscribers", "add", OTHER, "--list", "empty") == 0
    assert type_("subscribers", "merge", KEPT, OTHER, "--yes") == 0
    assert "1 letters that waited" in type_.aside
    assert on(type_, "empty") == {}
    assert [one["state"] for one in type_.read("subscribers", "show", KEPT)["letters"]] == ["suppressed"]


def test_who_left_with_the_kept_mailbox_has_left(type_: Typist) -> None:
    assert type_("subscribers", "leave", KEPT, "--yes") == 0
    assert type_("subscribers", "merge", KEPT, OTHER, "--yes") == 0
    assert on(type_, "supporters")[KEPT] == "left"


@pytest.mark.parametrize("who", [KEPT, OTHER])
def test_nobody_is_mailed_around_a_complaint_by_a_merge(type_: Typist, who: str) -> None:
    assert type_("suppressions", "add", who, "--reason", "complained", "--yes") == 0
    assert type_("subscribers", "merge", KEPT, OTHER, "--yes") == 1
    assert "complained" in type_.aside
    assert {KEPT, OTHER} <= on(type_, "supporters").keys()


def test_a_proof_says_everything_and_can_be_checked(type_: Typist, tmp_path: Path) -> None:
    out = tmp_path / "proof.txt"
    assert type_("consents", "proof", KEPT, "--out", str(out)) == 0
    assert out.stat().st_mode & 0o777 == 0o600
    text = out.read_text("utf-8")
    body, _, last = text.rstrip("\n").rpartition("\n")
    digest = hashlib.sha256((body + "\n").encode()).hexdigest()
    assert last == f"SHA-256 of the lines above: {digest}"
    assert "Yes, please. A sheet of paper, 2026" in text
    assert "subscribers.csv, import 1, SHA-256" in text
    assert type_("consents", "proof", KEPT, "--out", str(out)) == 2
    [consent] = type_.read("consents", "proof", KEPT)["consents"]
    assert (consent["list"], consent["source"]) == ("supporters", "import")
    assert type_("consents", "proof", "nobody@example.org") == 1


@pytest.mark.parametrize("value", ["=1+1", "@x", "-1", "plain", 'with, comma and "marks"'])
def test_what_is_exported_is_safe_in_a_spreadsheet_and_reads_the_same_again(
    type_: Typist, tmp_path: Path, value: str
) -> None:
    assert type_("attributes", "add", "member", "--kind", "yes-no") == 0
    words = ("--set", f"note={value}", "--set", "member=yes", "--topics", "art, policy", "--name", "Zoë, of the fair")
    assert type_("subscribers", "edit", KEPT, *words) == 0
    page = type_.read("subscribers", "show", KEPT)
    out = tmp_path / "people.csv"
    assert type_("subscribers", "export", str(out), "--list", "supporters", "--state", "active") == 0
    assert "25 rows" in type_.said
    assert out.stat().st_mode & 0o777 == 0o600
    cells = [cell for line in csv.reader(out.read_text("utf-8-sig").splitlines()) for cell in line]
    assert not [cell for cell in cells if cell[:1] in set("=+-@")]
    ignored = ("--map", "list=-", "--map", "state=-")
    done = type_.read("subscribers", "import", str(out), "--list", "supporters", "--consent", "x", "--yes", *ignored)
    assert (done["added"], done["refused"], done["duplicates"]) == (0, 0, 0)
    again = type_.read("subscribers", "show", KEPT)
    assert {**page, "consents": [], "letters": []} == {**again, "consents": [], "letters": []}
    assert type_("subscribers", "export", str(out)) == 2
    assert type_("subscribers", "export", str(tmp_path / "people.xlsx")) == 2
    assert type_("subscribers", "export", str(tmp_path / "people.json"), "--list", "empty") == 0
    assert (tmp_path / "people.json").read_text("utf-8") == "[]\n"
    assert [row["action"] for row in type_.read("audit", "--action", "subscriber.export")] == ["subscriber.export"] * 2


def test_every_wording_is_listed_with_how_many_said_it(type_: Typist) -> None:
    rows = type_.read("consents", "list")
    page = type_.read("subscribers", "show", KEPT)["consents"]
    assert {(one["list"], one["wording"]) for one in page} <= {(row["list"], row["wording"]) for row in rows}
    assert all(row["count"] >= 1 and row["first"] <= row["last"] for row in rows)
    assert {row["list"] for row in type_.read("consents", "list", "--list", "supporters")} == {"supporters"}
    assert type_("consents", "list", "--list", "nowhere") == 1


def test_a_persons_page_says_what_operators_did(type_: Typist) -> None:
    assert type_("subscribers", "edit", KEPT, "--country", "BR") == 0
    assert type_.read("subscribers", "show", KEPT)["deeds"][0]["action"] == "subscriber.edit"


def test_a_proof_written_over_a_public_file_is_private(type_: Typist, tmp_path: Path) -> None:
    out = tmp_path / "proof.txt"
    out.write_text("old and longer " * 500, "utf-8")
    out.chmod(0o644)
    assert type_("consents", "proof", KEPT, "--out", str(out), "--yes") == 0
    assert out.stat().st_mode & 0o777 == 0o600
    assert "old" not in out.read_text("utf-8").split("Record of consent")[-1][:20]
    assert out.read_text("utf-8").startswith("Record of consent")


def test_a_new_address_is_asked_first(type_: Typist) -> None:
    new = "new-mailbox@example.org"
    assert type_("subscribers", "address", KEPT, new) == 0
    assert "gets a letter that asks to confirm" in type_.said
    assert on(type_, "supporters")[KEPT] == "active"
    assert type_("subscribers", "address", KEPT, new) == 0
    assert "within the last day" in type_.said
    assert type_("subscribers", "address", KEPT, KEPT) == 2
    assert type_("subscribers", "address", "nobody@example.org", new) == 1
    (entry, *_) = type_.read("audit", "--about", KEPT)
    assert entry["action"] == "subscriber.address"
    assert "new-mailbox" not in str(entry)


def test_people_are_asked_whether_they_still_want_letters(type_: Typist) -> None:
    words = ("--list", "supporters", "--wording", "I still want letters.")
    assert type_.read("consents", "renew", *words, "--dry-run") == {"list": "supporters", "people": 25}
    assert type_.read("consents", "renewals") == []
    assert type_("consents", "renew", *words, "--before", "2020-01-01", "--dry-run") == 0
    assert "0 people" in type_.said
    assert type_("consents", "renew", *words, "--yes") == 0
    assert "Renewal 1: 25 people" in type_.said
    (one,) = type_.read("consents", "renewals")
    assert (one["asked"], one["yes"], one["silent"], one["state"]) == (25, 0, 0, "waiting")
    assert type_("consents", "renewals") == 0
    assert type_("consents", "lapse", "1", "--yes") == 1
    assert "They may answer until" in type_.aside
    for wrong in (("--before", "soon"), ("--days", "1")):
        assert type_("consents", "renew", *words, *wrong, "--yes") == 2
    assert type_("consents", "lapse", "7", "--yes") == 1
