"""An admin's day, typed from the command line alone.

Forty people from a spreadsheet, a coalition's file, an angry caller erased, a segment, a merge, an undo, a proof of
consent. The coalition is small here; `python -m benchmarks.importing` brings a million.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.cli.homes import Typist, settle

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

COALITION = 5_000
SHEET = "Sign-up sheet, town hall, 3 October 2026: I would like to get your letters."
SHARED = "I agree that member organisations of the coalition write to me. Web form, 2026"
CALLER = "reader-07@example.org"
FRIEND, FRIENDS_OTHER = "reader-11@example.org", "reader-11.private@example.org"


class Admin(Typist):
    """Types commands in the office, where the files lie."""

    def types(self, *words: str, status: int = 0) -> str:
        assert self(*words) == status, f"{words}: {self.said}{self.aside}"
        return self.said + self.aside

    def states(self, slug: str) -> dict[str, str]:
        return {row["address"]: row["state"] for row in self.read("subscribers", "list", "--list", slug)}


def write_the_spreadsheet(path: Path) -> None:
    """As a spreadsheet program of Western Europe saves it: semicolons, Latin-1, a line that is no good."""
    rows = [["E-Mail", "Name", "Land", "Sprache", "Spende"]]
    rows += [
        [
            f"reader-{n:02}@example.org",
            f"Zoë Größe {n:02}",
            "DE" if n % 2 else "US",
            "de" if n % 2 else "en",
            str(n * 10),
        ]
        for n in range(1, 41)
    ]
    rows.append(["reader-41 at example.org", "Nobody", "DE", "de", "5"])
    with path.open("w", encoding="latin-1", newline="") as file:
        csv.writer(file, delimiter=";").writerows(rows)


def write_the_coalition(path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        sheet = csv.writer(file)
        sheet.writerow(["email", "name", "country", "language"])
        for n in range(1, COALITION + 1):
            who = CALLER if n == 7 else f"member-{n:05}@example.net"
            sheet.writerow([who, f"Member {n}", ("US", "GB", "KE")[n % 3], ("en", "es", "sw")[n % 3]])


@pytest.fixture
def admin(
    empty_database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Admin:
    folder = tmp_path / "office"
    folder.mkdir()
    (folder / ".env").write_text(f'CAMPAIGN_DATABASE_URL="{empty_database_url}"\n', "utf-8")
    write_the_spreadsheet(folder / "forty.csv")
    write_the_coalition(folder / "coalition.csv")
    monkeypatch.chdir(folder)
    made = Admin(folder, capsys)
    made.types("init")
    settle(folder)
    return made


def test_an_admins_day(admin: Admin) -> None:
    # Before anybody is mailed: who must never be.
    admin.types("suppressions", "add", "reader-40@example.org", "--yes")
    admin.types("suppressions", "add", "@example.com", "--yes")
    admin.types("suppressions", "check", "someone@example.com", status=1)

    # Forty people from a spreadsheet, looked at first.
    admin.types("lists", "add", "friends")
    admin.types("attributes", "add", "spende", "--kind", "number")
    forty = ("subscribers", "import", "forty.csv", "--list", "friends", "--consent", SHEET)
    looked = admin.read(*forty, "--dry-run")
    assert (looked["added"], looked["refused"]) == (39, 2)
    assert admin.read("subscribers", "list", "--list", "friends") == []
    admin.types(*forty, "--yes")
    assert admin.states("friends") == {f"reader-{n:02}@example.org": "active" for n in range(1, 40)}
    (friend,) = admin.read("subscribers", "find", FRIEND)
    assert friend["name"] == "Zoë Größe 11"

    # A caller is angry, and is gone: no file brings them back.
    receipt = admin.types("subscribers", "erase", CALLER, "--yes")
    assert "Receipt: 20" in receipt
    admin.types("lists", "add", "coalition")
    coalition = ("subscribers", "import", "coalition.csv", "--list", "coalition", "--consent", SHARED, "--yes")
    admin.types(*coalition)
    assert admin.read("lists", "show", "coalition")["active"] == COALITION - 1
    assert CALLER not in admin.states("coalition")
    admin.types(*coalition)
    newest, first, sheet = admin.read("imports", "list")
    assert (first["added"], first["refused"], first["state"], first["list"]) == (
        COALITION - 1,
        1,
        "finished",
        "coalition",
    )
    assert (newest["added"], newest["changed"]) == (0, 0)
    assert sheet["added"] == 39

    # A segment: a rule, counted as people are now.
    rule = 'country = "US" and language in ("en", "es") and spende >= 200 and not list "coalition"'
    admin.types("segments", "add", "donors", rule)
    assert admin.read("segments", "count", "donors")["people"] == len(
        [n for n in range(1, 40) if n % 2 == 0 and n >= 20]
    )
    said = admin.types("segments", "add", "broken", 'country = "US" and and language = "en"', status=2)
    assert "^" in said

    # One person with two mailboxes.
    admin.types("subscribers", "add", FRIENDS_OTHER, "--list", "friends", "--consent", "Asked on the phone, 2026")
    admin.types("subscribers", "merge", FRIEND, FRIENDS_OTHER, "--yes")
    assert FRIENDS_OTHER not in admin.states("friends")
    assert admin.states("friends")[FRIEND] == "active"

    # The coalition's file was a mistake. One of its people has left meanwhile, and stays so.
    admin.types("subscribers", "leave", "member-00002@example.net", "--yes")
    admin.types("imports", "undo", str(first["id"]), "--yes")
    assert admin.states("coalition") == {"member-00002@example.net": "left"}
    undone = next(row for row in admin.read("imports", "list") if row["id"] == first["id"])
    assert undone["state"] == "undone"
    assert admin.states("friends")[FRIEND] == "active"

    # Somebody asks how we come to write to them.
    proof = admin.types("consents", "proof", FRIEND)
    assert SHEET in proof
    assert "forty.csv" in proof
    assert "Asked on the phone, 2026" in proof

    # And all of it is on record, without an address in it.
    log = admin.read("audit")
    assert {"import.run", "import.undo", "segment.add", "suppression.add"} <= {row["action"] for row in log}
    assert "reader-" not in json.dumps(log)
    assert "member-" not in json.dumps(log)
