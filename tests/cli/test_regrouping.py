"""Lists that are copied, moved, merged, and lists that end: who is where afterwards, and who stays out."""

from __future__ import annotations

import pytest

from tests.cli.homes import Typist


def on(typist: Typist, slug: str) -> dict[str, str]:
    return {row["address"]: row["state"] for row in typist.read("subscribers", "list", "--list", slug)}


@pytest.fixture
def office(type_: Typist) -> Typist:
    """Twenty-five people on `supporters`: one has left it, two are on `empty`, one of whom left that."""
    rows = type_.read("subscribers", "list", "--list", "supporters")
    first, second, third = (row["address"] for row in rows[:3])
    for who in (first, second):
        assert type_("subscribers", "add", who, "--list", "empty", "--consent", "By phone") == 0
    assert type_("subscribers", "leave", second, "--list", "empty", "--yes") == 0
    assert type_("subscribers", "leave", third, "--list", "supporters", "--yes") == 0
    return type_


def test_a_copy_has_the_same_people_and_consents(office: Typist) -> None:
    counts = office.read("lists", "copy", "supporters", "empty", "--dry-run")
    assert counts == {"done": False, "coming": 22, "there": 1, "left_before": 1, "not_active": 1}
    before = on(office, "supporters")
    assert office("lists", "copy", "supporters", "empty", "--yes") == 0
    assert "22 people" in office.said
    assert on(office, "supporters") == before
    states = on(office, "empty")
    assert sorted(states.values()) == ["active"] * 23 + ["left"]
    who = next(address for address in states if states[address] == "active" and address not in list(before)[:3])
    consents = office.read("subscribers", "show", who)["consents"]
    assert {one["list"]: one["wording"] for one in consents}.keys() == {"supporters", "empty"}
    assert len({(one["wording"], one["given_at"]) for one in consents}) == 1
    assert office("lists", "copy", "supporters", "empty", "--yes") == 0
    assert "0 people" in office.said


def test_a_merge_keeps_who_left_out_and_retires_the_first(office: Typist) -> None:
    before = on(office, "supporters")
    assert office("lists", "merge", "supporters", "empty", "--yes") == 0
    states = on(office, "empty")
    assert len(states) == 25
    assert sorted(states.values()) == ["active"] * 23 + ["left"] * 2
    assert states[next(who for who in before if before[who] == "left")] == "left"
    assert office("subscribers", "add", "reader-60@example.org", "--list", "supporters", "--consent", "x") == 1
    assert "retired" in office.aside


def test_a_move_by_a_segment_takes_only_those_who_fit(office: Typist) -> None:
    assert office("segments", "add", "spain", 'country = "ES"') == 0
    expected = office.read("segments", "count", "spain", "--list", "supporters")["people"]
    assert expected
    assert office("lists", "move", "supporters", "empty", "--segment", "spain", "--yes") == 0
    assert office.read("segments", "count", "spain", "--list", "supporters")["people"] == 0
    assert office("lists", "move", "supporters", "supporters", "--yes") == 2


def test_a_list_in_use_is_not_merged_away(office: Typist) -> None:
    assert office("new", "monthly", "--every", "first monday", "--list", "supporters") == 0
    assert office("lists", "merge", "supporters", "empty", "--yes") == 1
    assert "monthly" in office.aside
    assert len(on(office, "supporters")) == 25


def test_a_list_ends_and_can_be_given_a_later_end(office: Typist) -> None:
    assert office("lists", "add", "march", "--ends", "2020-03-31") == 2
    assert "is over" in office.aside
    assert office("lists", "add", "march", "--ends", "2999-03-31", "--timezone", "Europe/Berlin") == 0
    assert office.read("lists", "show", "march")["ends_at"] == "2999-03-31T22:00:00Z"
    assert office("lists", "edit", "march", "--ends", "") == 0
    assert office.read("lists", "show", "march")["ends_at"] is None
    assert office("lists", "edit", "march", "--ends", "soon") == 2
