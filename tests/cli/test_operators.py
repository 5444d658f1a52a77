"""Operators at the command line: who may do what, and that all of it is on record without anybody's address."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from campaign import store
from tests.cli.homes import Typist


@pytest.fixture
def staff(type_: Typist, monkeypatch: pytest.MonkeyPatch) -> Typist:
    monkeypatch.setenv("CAMPAIGN_OPERATOR", "root")
    assert type_("operators", "add", "reader", "--role", "viewer") == 1
    assert "campaign operators add root --role admin" in type_.aside
    assert type_("operators", "add", "root", "--role", "admin") == 0
    for role in ("organiser", "author", "viewer"):
        assert type_("operators", "add", f"an-{role}", "--role", role) == 0
    return type_


ALLOWED = {
    ("lists", "list"): {"an-organiser", "an-author", "an-viewer"},
    ("status",): {"an-organiser", "an-author", "an-viewer"},
    ("lists", "add", "more"): {"an-organiser"},
    ("subscribers", "leave", "reader-01@example.org", "--yes"): {"an-organiser"},
    ("articles", "retire", "nothing", "--yes"): {"an-organiser", "an-author"},
    ("subscribers", "erase", "reader-02@example.org", "--yes"): set(),
    ("operators", "add", "more", "--role", "admin"): set(),
    ("operators", "list"): {"an-organiser", "an-author", "an-viewer"},
    ("imports", "undo", "1", "--yes"): set(),
    ("audit",): {"an-organiser", "an-author", "an-viewer"},
}


@pytest.mark.parametrize("words", ALLOWED)
def test_everybody_does_what_they_may(staff: Typist, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    for who in ("an-viewer", "an-author", "an-organiser", "a-stranger", "root"):
        monkeypatch.setenv("CAMPAIGN_OPERATOR", who)
        staff(*words)
        refused = "may not do this" in staff.aside
        assert refused is (who not in {*ALLOWED[words], "root"}), f"{who}: {staff.aside}"
        if refused:
            assert "root can give it" in staff.aside


def test_the_last_admin_stays(staff: Typist) -> None:
    assert staff("operators", "edit", "root", "--role", "viewer") == 1
    assert staff("operators", "retire", "root", "--yes") == 1
    assert "last admin" in staff.aside
    assert staff("operators", "edit", "an-author", "--role", "admin", "--title", "Office") == 0
    assert staff("operators", "retire", "root", "--yes") == 0
    assert staff("operators", "list") == 1
    assert "root is no operator here" in staff.aside


def test_what_was_done_is_on_record_newest_first(staff: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPAIGN_OPERATOR", "an-organiser")
    assert staff("lists", "add", "more", "--name", "More") == 0
    assert staff("lists", "edit", "more", "--name", "Even more") == 0
    assert staff("subscribers", "suppress", "reader-03@example.org", "--yes") == 0
    rows = staff.read("audit", "--operator", "an-organiser")
    assert [row["action"] for row in rows] == ["suppression.add", "list.edit", "list.add"]
    assert (rows[1]["before"], rows[1]["after"]) == ({"name": "More"}, {"name": "Even more"})
    assert [row["action"] for row in staff.read("audit", "--about", "reader-03@example.org")] == ["suppression.add"]
    assert [row["action"] for row in staff.read("audit", "--action", "list", "--limit", "1")] == ["list.edit"]
    assert staff.read("audit", "--since", "2999-01-01") == []
    assert staff("audit", "--since", "soon") == 2
    assert "reader-03" not in json.dumps(staff.read("audit"))


def test_what_is_done_to_campaigns_and_people_is_on_record(type_: Typist) -> None:
    new = ("--once", "2030-06-01T09:00", "--list", "supporters", "--title", "Summer")
    assert type_("new", "summer", *new) == 0, type_.aside
    assert type_("edit", "summer", "--title", "High summer") == 0, type_.aside
    assert type_("cancel", "summer", "--yes") == 0, type_.aside
    assert type_("subscribers", "add", "reader-71@example.org", "--list", "supporters", "--consent", "by post") == 0
    found = {one["action"]: one for one in type_.read("audit", "--json")}
    assert found["campaign.create"]["after"]["title"] == "Summer"
    assert (found["campaign.edit"]["before"], found["campaign.edit"]["after"]) == (
        {"title": "Summer"},
        {"title": "High summer"},
    )
    assert found["campaign.cancel"]["subject"] == "summer"
    assert found["subscriber.add"]["after"]["list"] == "supporters"
    assert "reader-71" not in json.dumps(found["subscriber.add"])


def test_no_statement_changes_or_deletes_what_is_on_record() -> None:
    """The audit log only grows: the store has no other word for it."""
    rooms = [path.read_text("utf-8") for path in Path(store.__path__[0]).rglob("*.py")]
    assert any("insert(audit)" in text for text in rooms)
    assert not [text for text in rooms if re.search(r"(update|delete)\(\s*audit\b|audit\.(update|delete)\(", text)]
