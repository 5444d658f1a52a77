"""Key dates: their rules, their reading from plain values, and the shipped registry held against the proclamations."""

from __future__ import annotations

import json
import tomllib
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.calendar import (
    KeyDate,
    KeyDatesRefused,
    Missing,
    Occurrence,
    Rule,
    RuleRefused,
    key_date_from,
    key_dates_from,
    parse_rule,
)
from campaign.domain.errors import BadInput

SHIPPED = Path(__file__).parents[2] / "config" / "key_dates.toml"
SPAN = (date(2024, 1, 1), date(2035, 12, 31))


def shipped() -> dict[str, KeyDate]:
    return {key_date.slug: key_date for key_date in key_dates_from(tomllib.loads(SHIPPED.read_text("utf-8")))}


def a_key_date(**changes: Any) -> dict[str, Any]:
    return {"slug": "a-day", "names": {"en": "A Day"}, "rule": "30 July"} | changes


def rule_or_refusal(text: str) -> Rule | BadInput:
    try:
        return parse_rule(text)
    except BadInput as refusal:
        return refusal


# The dates of the proclamations, month-day to month-day; the same in each year.
PROCLAIMED = {
    "trafficking-prevention-month-us": ("01-01", "01-31"),
    "trafficking-awareness-day-us": ("01-11", "01-11"),
    "prayer-against-trafficking": ("02-08", "02-08"),
    "slavery-victims-remembrance": ("03-25", "03-25"),
    "world-day-against-child-labour": ("06-12", "06-12"),
    "world-day-against-trafficking": ("07-30", "07-30"),
    "slave-trade-remembrance": ("08-23", "08-23"),
    "girl-child": ("10-11", "10-11"),
    "eu-anti-trafficking-day": ("10-18", "10-18"),
    "anti-slavery-day-uk": ("10-18", "10-18"),
    "child-sexual-exploitation-prevention": ("11-18", "11-18"),
    "world-childrens-day": ("11-20", "11-20"),
    "violence-against-women": ("11-25", "11-25"),
    "abolition-of-slavery": ("12-02", "12-02"),
    "human-rights-day": ("12-10", "12-10"),
    "migrants-day": ("12-18", "12-18"),
}


def test_the_shipped_registry_has_exactly_the_decided_dates() -> None:
    assert shipped().keys() == PROCLAIMED.keys()


@pytest.mark.parametrize("slug", PROCLAIMED)
@pytest.mark.parametrize("year", range(2024, 2036))
def test_the_shipped_registry_gives_the_proclaimed_dates(slug: str, year: int) -> None:
    first, last = (date.fromisoformat(f"{year}-{day}") for day in PROCLAIMED[slug])
    found = shipped()[slug].occurrences(date(year, 1, 1), date(year, 12, 31))
    assert found == [Occurrence(slug, first, last)]
    assert found[0].key == first.isoformat()


@pytest.mark.parametrize("slug", PROCLAIMED)
def test_each_shipped_date_says_who_proclaimed_it_and_where(slug: str) -> None:
    key_date = shipped()[slug]
    assert key_date.proclaimed_by
    assert key_date.source.startswith("https://")
    assert key_date.name("en")
    assert key_date.topics
    assert bool(key_date.countries) == (slug[-2:] in {"us", "uk"} or slug.startswith("eu-"))


def test_the_world_day_was_first_marked_in_2014_and_has_its_names_and_themes() -> None:
    day = shipped()["world-day-against-trafficking"]
    assert [o.key for o in day.occurrences(date(2012, 1, 1), date(2015, 12, 31))] == ["2014-07-30", "2015-07-30"]
    assert day.name() == "World Day Against Trafficking in Persons"
    assert day.name("es-MX") == day.name("es") == "Día Mundial contra la Trata de Personas"
    assert day.name("xx") == day.name("en")
    assert day.theme(2023) == "Reach every victim of trafficking, leave no one behind"
    assert day.theme(2031) == ""


@pytest.mark.parametrize(
    ("rule", "missing", "expected"),
    [
        ("30 July", None, ["2026-07-30", "2027-07-30", "2028-07-30"]),
        ("july 30", None, ["2026-07-30", "2027-07-30", "2028-07-30"]),
        ("31 January", None, ["2026-01-31", "2027-01-31", "2028-01-31"]),
        ("29 February", "skip", ["2028-02-29"]),
        ("29 February", "before", ["2026-02-28", "2027-02-28", "2028-02-29"]),
        ("29 February", "after", ["2026-03-01", "2027-03-01", "2028-02-29"]),
        ("second sunday of may", None, ["2026-05-10", "2027-05-09", "2028-05-14"]),
        ("last sunday of november", None, ["2026-11-29", "2027-11-28", "2028-11-26"]),
        ("FREQ=YEARLY;BYMONTH=9;BYDAY=3SA", None, ["2026-09-19", "2027-09-18", "2028-09-16"]),
        ("easter", None, ["2026-04-05", "2027-03-28", "2028-04-16"]),
        ("easter-2", None, ["2026-04-03", "2027-03-26", "2028-04-14"]),
        ("Easter + 49", None, ["2026-05-24", "2027-05-16", "2028-06-04"]),
        ("orthodox easter", None, ["2026-04-12", "2027-05-02", "2028-04-16"]),
        ("hijri 1 9", None, ["2026-02-18", "2027-02-08", "2028-01-28"]),
        ("hijri 1 1", None, ["2026-06-16", "2027-06-06", "2028-05-25"]),
        ("dates 2028-05-02, 2026-05-04", None, ["2026-05-04", "2028-05-02"]),
    ],
)
def test_rules(rule: str, missing: str | None, expected: list[str]) -> None:
    parsed = parse_rule(rule, Missing(missing) if missing else None)
    assert [str(day) for day in parsed.starts(date(2026, 1, 1), date(2028, 12, 31))] == expected
    assert parse_rule(str(parsed), parsed.missing) == parsed


def test_an_easter_offset_may_cross_new_year() -> None:
    days = parse_rule("easter-100").starts(date(2026, 12, 1), date(2027, 1, 31))
    assert days == [date(2027, 3, 28) - timedelta(days=100)] == [date(2026, 12, 18)]


def test_a_lunar_date_may_come_twice_in_one_year() -> None:
    assert parse_rule("hijri 1 9").starts(date(2030, 1, 1), date(2030, 12, 31)) == [
        date(2030, 1, 5),
        date(2030, 12, 26),
    ]


def test_lunar_dates_end_with_the_tables_and_say_so() -> None:
    rule = parse_rule("hijri 1 9")
    assert rule.known_until == date(2077, 11, 16)
    assert rule.starts(date(2078, 1, 1), date(2090, 1, 1)) == []
    assert len(rule.starts(date(1900, 1, 1), date(2200, 1, 1))) == 158
    assert parse_rule("dates 2027-05-04 2028-05-02").known_until == date(2028, 5, 2)
    assert parse_rule("30 July").known_until is None


@pytest.mark.parametrize("missing", Missing)
def test_the_thirtieth_of_a_lunar_month_of_29_days_follows_the_policy(missing: Missing) -> None:
    days = parse_rule("hijri 30 9", missing).starts(*SPAN)
    certain = set(parse_rule("hijri 30 9", Missing.SKIP).starts(*SPAN))
    other = set(days) - certain
    next_month = set(parse_rule("hijri 1 10").starts(*SPAN))
    assert certain <= set(days)
    assert bool(other) == (missing is not Missing.SKIP)
    if missing is Missing.AFTER:
        assert other <= next_month
    if missing is Missing.BEFORE:
        assert {day + timedelta(days=1) for day in other} <= next_month


@pytest.mark.parametrize(
    ("rule", "missing", "reason"),
    [
        ("29 February", None, "not in every year"),
        ("hijri 30 9", None, "not in every year"),
        ("30 July", "skip", "in every year"),
        ("last day", "before", "in every year"),
        ("easter", "after", "in every year"),
        ("30 February", None, "no '30 february' in any year"),
        ("31 April", None, "no '31 april' in any year"),
        ("0 May", None, "in any year"),
        ("easter+301", None, "too far"),
        ("hijri 31 1", None, "not a day of the Islamic calendar"),
        ("hijri 1 13", None, "not a day of the Islamic calendar"),
        ("dates", None, "empty"),
        ("dates 2027-02-30", None, "not in the calendar"),
        ("dates tomorrow", None, "not a date"),
        ("whenever", None, "not a rule for a key date"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", None, "no day fits"),
    ],
)
def test_rules_that_are_refused(rule: str, missing: str | None, reason: str) -> None:
    with pytest.raises(BadInput, match=reason) as caught:
        parse_rule(rule, Missing(missing) if missing else None)
    assert caught.value.remedy


@given(st.text(max_size=40))
def test_no_text_breaks_the_rule_reader(text: str) -> None:
    for attempt in (text, f"hijri {text}", f"easter{text}", f"dates {text}"):
        found = rule_or_refusal(attempt)
        if isinstance(found, BadInput):
            assert str(found).isprintable()
        else:
            assert parse_rule(str(found), found.missing) == found


@pytest.mark.parametrize(
    ("rule", "length", "first", "last"),
    [
        ("1 March", "day", "2027-03-01", "2027-03-01"),
        ("first monday of march", "week", "2027-03-01", "2027-03-07"),
        ("1 February", "month", "2027-02-01", "2027-02-28"),
        ("1 December", "month", "2027-12-01", "2027-12-31"),
        ("15 May", "month", "2027-05-15", "2027-06-14"),
        ("31 January", "month", "2027-01-31", "2027-02-27"),
    ],
)
def test_lengths(rule: str, length: str, first: str, last: str) -> None:
    key_date = key_date_from(a_key_date(rule=rule, length=length))
    (found,) = key_date.occurrences(date(2027, 1, 1), date(2027, 12, 31))
    assert (str(found.start), str(found.end)) == (first, last)


@given(
    st.dates(*SPAN), st.integers(0, 800), st.sampled_from(["30 July", "easter+1", "hijri 10 1", "last monday of may"])
)
def test_occurrences_begin_in_the_stretch_that_was_asked_for(first: date, length: int, rule: str) -> None:
    key_date, last = key_date_from(a_key_date(rule=rule)), first + timedelta(days=length)
    found = [occurrence.start for occurrence in key_date.occurrences(first, last)]
    whole = [o.start for o in key_date.occurrences(first - timedelta(days=500), last + timedelta(days=500))]
    assert found == [day for day in whole if first <= day <= last] == sorted(set(found))


def test_the_next_occurrence_includes_today_and_survives_eight_years_without_a_leap_day() -> None:
    day = key_date_from(a_key_date())
    assert day.next_after(date(2027, 7, 30)) == Occurrence("a-day", date(2027, 7, 30), date(2027, 7, 30))
    assert day.next_after(date(2027, 7, 31)) == Occurrence("a-day", date(2028, 7, 30), date(2028, 7, 30))
    leap = key_date_from(a_key_date(rule="29 February", missing="skip"))
    assert leap.next_after(date(2096, 3, 1)) == Occurrence("a-day", date(2104, 2, 29), date(2104, 2, 29))
    assert key_date_from(a_key_date(rule=["2026-05-01"])).next_after(date(2026, 5, 2)) is None


def test_dates_may_be_listed_as_toml_has_them() -> None:
    parsed = tomllib.loads('[[key_date]]\nslug="a"\nnames.en="A"\nrule=[2026-05-01, "2027-05-03"]\n')
    assert str(key_dates_from(parsed)[0].rule) == "dates 2026-05-01 2027-05-03"


def test_the_plain_mapping_survives_json_and_reads_back() -> None:
    leap = key_date_from(a_key_date(rule="29 February", missing="after", since=2024, themes={"2024": "Time"}))
    for key_date in [*shipped().values(), leap]:
        assert key_date_from(json.loads(json.dumps(key_date.mapping()))) == key_date


def test_every_mistake_is_named_at_once() -> None:
    parsed = {
        "key_date": [
            a_key_date(slug="A b", rule="31 June", length="year", source="http://x", topics=["A"], colour="red"),
            a_key_date(names={"en": "x\nBcc: y"}, countries=["us"], themes={"x": 1}, since="now", missing="maybe"),
            "not a table",
            a_key_date(slug="twice"),
            a_key_date(slug="twice"),
        ],
        "keydate": [],
    }
    with pytest.raises(KeyDatesRefused) as caught:
        key_dates_from(parsed, "own.toml")
    told = caught.value.message.splitlines()
    assert all(line.startswith("own.toml: ") for line in told)
    for expected in [
        "'keydate'", "key date 1", "slug must", "'31 june'", "length must", "https", "topics must", "'colour'",
        "key date 2", "the name in 'en'", "countries must", "theme of 'x'", "since must", "missing must",
        "key date 3", "key date 5: the slug twice is there twice",
    ]:  # fmt: skip
        assert expected in caught.value.message


@pytest.mark.parametrize("parsed", [{"key_date": "x"}, {"key_date": {"slug": "a"}}, {"x": 1}])
def test_a_file_of_another_shape_is_refused(parsed: dict[str, Any]) -> None:
    with pytest.raises(KeyDatesRefused):
        key_dates_from(parsed)


def test_an_empty_file_has_no_key_dates() -> None:
    assert key_dates_from({}) == []


def test_a_rule_error_is_a_bad_input_of_its_own() -> None:
    with pytest.raises(RuleRefused):
        parse_rule("31 November")
