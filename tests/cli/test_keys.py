"""Seal keys are checked and changed; and whoever steals the database finds nobody's name or address in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.actions import resealing
from campaign.store import seals
from tests.cli.homes import Typist


def test_every_sealed_column_is_looked_at() -> None:
    assert {str(place) for place in seals.PLACES} == seals.sealed_columns()


def seal_keys(home: Path) -> list[str]:
    line = next(
        line for line in (home / ".env").read_text("utf-8").splitlines() if line.startswith("CAMPAIGN_SEAL_KEY")
    )
    return line.partition("=")[2].strip("\"'").split(",")


def under(typist: Typist) -> set[str]:
    return {key for one in typist.read("keys", "check")["columns"] for key in one["keys"]}


def test_a_fresh_key_takes_over_and_the_old_one_goes(type_: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    assert type_("subscribers", "edit", "reader-01@example.org", "--set", "note=tall") == 0
    before, people = seal_keys(type_.home), type_.read("subscribers", "list")
    [old] = under(type_)
    assert type_("keys", "rotate", "--drop-old", "--yes") == 0
    assert "no old key" in type_.said
    assert type_("keys", "rotate", "--yes") == 0
    after = seal_keys(type_.home)
    assert after[1:] == before
    assert (type_.home / ".env").stat().st_mode & 0o777 == 0o600
    [new] = under(type_)
    assert new != old
    assert type_("keys", "rotate", "--drop-old", "--yes") == 0
    assert seal_keys(type_.home) == after[:1]
    assert type_.read("subscribers", "list") == people
    assert type_.read("subscribers", "show", "reader-01@example.org")["attributes"] == {"note": "tall"}


def test_a_rotation_that_was_interrupted_goes_on_with_its_own_key(
    type_: Typist, monkeypatch: pytest.MonkeyPatch
) -> None:

    async def interrupted(kit: object, tell: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:  # the power goes after the key was written
        patched.setattr(resealing, "reseal", interrupted)
        assert type_("keys", "rotate", "--yes") == 130
    made = seal_keys(type_.home)
    assert len(made) == 2
    assert type_("keys", "rotate", "--drop-old", "--yes") == 1
    assert "still lies under" in type_.aside
    assert type_("keys", "rotate", "--yes") == 0
    assert seal_keys(type_.home) == made
    assert len(under(type_)) == 1


def test_keys_that_stand_elsewhere_are_not_written(type_: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    env = type_.home / ".env"
    text, [seal] = env.read_text("utf-8"), seal_keys(type_.home)
    env.write_text(text.replace("CAMPAIGN_SEAL_KEY", "OTHER_KEY"), "utf-8")
    monkeypatch.setenv("CAMPAIGN_SEAL_KEY", seal)
    assert type_("keys", "rotate", "--yes") == 1
    assert "comes from the environment" in type_.aside


def test_a_stolen_database_names_nobody(type_: Typist, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    lines = [
        "email,name,country,note",
        *(f"secret-{n}@hidden.example.net,Hidden Person,US,met at Hidden" for n in range(9)),
    ]
    path.write_text("\n".join([*lines, "secret-9-at-hidden,Hidden,US,x"]), "utf-8")
    words = ("subscribers", "import", str(path), "--list", "empty", "--consent", "By phone", "--yes")
    assert type_(*words) == 0
    path.write_text("\n".join([lines[0], "secret-1@hidden.example.net,Hidden Other,GB,met Hidden twice"]), "utf-8")
    assert type_(*words) == 0
    assert type_("subscribers", "erase", "secret-2@hidden.example.net", "--yes") == 0
    assert type_("subscribers", "leave", "secret-3@hidden.example.net", "--yes") == 0
    assert type_("subscribers", "suppress", "secret-4@hidden.example.net", "--yes") == 0
    assert type_("subscribers", "merge", "secret-5@hidden.example.net", "secret-6@hidden.example.net", "--yes") == 0
    assert (
        type_("subscribers", "edit", "secret-7@hidden.example.net", "--name", "Hidden Third", "--set", "note=Hidden")
        == 0
    )
    assert type_("subscribers", "add", "secret-20@hidden.example.net", "--list", "supporters") == 0
    assert type_("imports", "undo", "2", "--yes") == 0
    stolen = b"".join(file.read_bytes() for file in type_.home.glob("campaign.db*"))
    assert b"hidden.example.net" in stolen, "a domain is not sealed: decision 0008"
    for word in (b"secret-", b"Hidden", b"SECRET-"):
        assert word not in stolen
