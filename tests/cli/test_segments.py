"""Segments and attributes at the command line: saved, tried, counted, and what they do to a campaign's audience."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import update

from campaign import bootstrap
from campaign.settings import load_settings
from campaign.store.schema.people import subscribers
from tests.cli.homes import Typist


def know(typist: Typist, number: int, **values: Any) -> None:
    """Write down what is known about one of the sample readers (by the order in which they came)."""

    async def go() -> None:
        async with bootstrap.kit(load_settings(typist.home, {}), operator="local:test") as kit, kit.store.begin() as tx:
            await tx.execute(update(subscribers).where(subscribers.c.id == number).values(**values))

    asyncio.run(go())


def approval(typist: Typist) -> str:
    assert typist("show", "thanks") == 0
    return "changed since" if "has changed since" in typist.said else "approved" if "approved by" in typist.said else ""


@pytest.fixture
def office(type_: Typist) -> Typist:
    assert type_("attributes", "add", "gift", "--kind", "number", "--description", "What they gave") == 0
    assert type_("attributes", "add", "role", "--kind", "choice", "--choice", "editor", "--choice", "teacher") == 0
    know(type_, 1, attributes={"gift": 20}, topics=["policy"])
    know(type_, 2, attributes={"gift": 5, "role": "editor"})
    return type_


def test_attributes_are_declared_listed_and_taken_away(office: Typist) -> None:
    assert [(row["attribute"], row["people"]) for row in office.read("attributes", "list")] == [
        ("gift", 2),
        ("role", 1),
    ]
    assert office("attributes", "add", "gift", "--kind", "number", "--description", "What they gave") == 0
    assert office("attributes", "add", "gift", "--kind", "text") == 1
    assert "already: number" in office.aside
    assert office("attributes", "add", "Country", "--kind", "text") == 2
    assert office("attributes", "edit", "role", "--choice", "nurse") == 0
    assert office("segments", "add", "editors", 'role = "nurse"') == 0
    assert office("attributes", "remove", "role", "--yes") == 1
    assert "editors" in office.aside
    assert office("segments", "retire", "editors", "--yes") == 0
    assert office("attributes", "remove", "role", "--yes") == 0
    assert "1 people" in office.said
    assert office.read("segments", "count", "--rule", "gift is known")["people"] == 2


def test_a_segment_is_saved_tried_counted_and_retired(office: Typist) -> None:
    assert office("segments", "add", "givers", "gift>=10   and topic 'policy'", "--description", "They gave") == 0
    (row,) = office.read("segments", "list")
    assert row["rule"] == 'gift >= 10 and topic "policy"'
    assert office.read("segments", "count", "givers") == {"segment": "givers", "people": 1, "suppressed": 0}
    (person, *_) = office.read("segments", "people", "givers")
    assert office("subscribers", "suppress", person["address"], "--yes") == 0
    assert office.read("segments", "count", "givers")["suppressed"] == 1
    assert office.read("segments", "count", "--rule", "gift < 10", "--list", "supporters")["people"] == 1
    assert office.read("segments", "count", "--rule", "gift < 10", "--list", "empty")["people"] == 0
    assert office("segments", "add", "givers", "gift >= 11") == 1
    assert office("segments", "edit", "givers", "--rule", "gift >= 11") == 0
    assert office("segments", "count", "givers", "--rule", "gift = 1") == 2
    assert office("segments", "count", "nobody") == 1
    assert "Known: givers" in office.aside
    assert office("segments", "retire", "givers", "--yes") == 0
    assert office.read("segments", "list") == []
    assert [one["segment"] for one in office.read("segments", "list", "--all")] == ["givers"]


def test_a_list_that_a_rule_names_is_neither_retired_nor_merged_away(office: Typist) -> None:
    assert office("segments", "add", "outsiders", 'not list "empty"') == 0
    for words in (("retire", "empty"), ("merge", "empty", "supporters")):
        assert office("lists", *words, "--yes") == 1
        assert "outsiders names the list empty" in office.aside
    assert office("segments", "retire", "outsiders", "--yes") == 0
    assert office("lists", "merge", "empty", "supporters", "--yes") == 0


def test_a_broken_rule_is_shown_where_it_breaks(office: Typist) -> None:
    assert office("segments", "add", "broken", 'country = "US" and and gift > 1') == 2
    lines = office.aside.splitlines()
    at = next(number for number, line in enumerate(lines) if "^" in line)
    assert lines[at - 1][lines[at].index("^") :].startswith("and gift")


def test_a_segment_narrows_a_campaign_and_its_change_revokes_the_approval(office: Typist) -> None:
    assert office("segments", "add", "givers", "gift >= 10") == 0
    words = ("new", "thanks", "--every", "first monday", "--list", "supporters")
    assert office(*words, "--segment", "nobody") == 1
    assert office(*words, "--segment", "givers") == 0
    assert "the segment givers: one person now" in office.said.replace("1 person", "one person")
    assert office("approve", "thanks", "--yes") == 0
    assert approval(office) == "approved"
    (person, *_) = office.read("segments", "people", "givers")
    assert {row["in"] for row in office.read("plan", "thanks", "--subscriber", person["address"])} == {True}
    (other, *_) = office.read("segments", "people", "--rule", "gift < 10")
    reasons = office.read("plan", "thanks", "--subscriber", other["address"])[0]["reasons"]
    assert reasons == ["does not fit the segment givers"]

    assert office("segments", "retire", "givers", "--yes") == 1
    assert "thanks" in office.aside
    assert office("send", "thanks", "--now", "--key", "one", "--yes") == 0
    assert office("segments", "edit", "givers", "--rule", "gift >= 1") == 0
    assert "campaign approve thanks" in office.aside
    assert approval(office) == "changed since"
    assert office("approve", "thanks", "--yes") == 0
    assert office("edit", "thanks", "--segment", "") == 0
    assert office.read("show", "thanks")["segment"] is None
    assert office("segments", "retire", "givers", "--yes") == 0
