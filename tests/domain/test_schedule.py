"""From a definition to editions and waves: the right local day, and how late a letter may be."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.calendar import KeyDate, parse_rule
from campaign.domain.campaigns import Definition
from campaign.domain.schedule import EVERYBODY, extra_plan, plans, waves, zone_error

WORLD_DAY = KeyDate("world-day", {"en": "World Day"}, parse_rule("30 July"))
ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Africa/Cairo",
    "Asia/Beirut",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Asia/Gaza",
    "Antarctica/Troll",
    "Atlantic/Azores",
    "UTC",
]


def definition(**changes: object) -> Definition:
    return Definition(key_date="world-day", offsets=(-30, -7, 0), lists=("supporters",)).changed(changes)


def test_each_step_of_each_occurrence_is_one_edition_on_its_own_day() -> None:
    found = plans(definition(), WORLD_DAY, date(2027, 1, 1), date(2028, 12, 31))
    assert [(one.step, one.occurrence, one.day) for one in found] == [
        ("30d-before", "2027-07-30", "2027-06-30"),
        ("7d-before", "2027-07-30", "2027-07-23"),
        ("on-the-day", "2027-07-30", "2027-07-30"),
        ("30d-before", "2028-07-30", "2028-06-30"),
        ("7d-before", "2028-07-30", "2028-07-23"),
        ("on-the-day", "2028-07-30", "2028-07-30"),
    ]


def test_a_step_of_next_year_s_date_may_lie_in_this_year() -> None:
    new_year = KeyDate("new-year", {"en": "New Year"}, parse_rule("2 January"))
    found = plans(definition(offsets=(-7,)), new_year, date(2027, 12, 1), date(2027, 12, 31))
    assert [(one.occurrence, one.day) for one in found] == [("2028-01-02", "2027-12-26")]


@pytest.mark.parametrize("zone", ZONES)
@given(at=st.times().map(lambda t: t.replace(second=0, microsecond=0, tzinfo=None)), year=st.integers(2024, 2035))
def test_on_the_day_nobody_gets_it_on_their_day_before_or_after(zone: str, at: object, year: int) -> None:
    campaign = definition(at=f"{at:%H:%M}", offsets=(0,))
    [plan] = plans(campaign, WORLD_DAY, date(year, 7, 1), date(year, 8, 31))
    [wave] = [one for one in waves(campaign, plan, [zone], zone) if one.timezone == zone]
    assert wave.due_at.astimezone(ZoneInfo(zone)).date() == date(year, 7, 30)
    assert plan.starts_at <= wave.due_at <= plan.ends_at
    assert wave.due_at < wave.latest_start == wave.valid_until
    assert (wave.valid_until - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).date() == date(year, 7, 30)


def test_a_reminder_is_valid_until_the_day_itself_begins_and_may_start_six_hours_late() -> None:
    campaign = definition(offsets=(-7,))
    [plan] = plans(campaign, WORLD_DAY, date(2027, 7, 1), date(2027, 7, 31))
    [wave] = waves(campaign, plan, [], "Europe/Berlin")
    assert wave.due_at == datetime(2027, 7, 23, 7, tzinfo=UTC)
    assert wave.latest_start == datetime(2027, 7, 23, 13, tzinfo=UTC)
    assert wave.valid_until == datetime(2027, 7, 29, 22, tzinfo=UTC)


def test_a_recurring_digest_goes_to_everybody_at_one_instant_and_counts_the_wrong_days() -> None:
    campaign = Definition(every="first monday", at="23:30", zone="Europe/Berlin", lists=("supporters",))
    found = plans(campaign, None, date(2027, 1, 1), date(2027, 2, 28))
    assert [(one.step, one.occurrence) for one in found] == [("every", "2027-01-04"), ("every", "2027-02-01")]
    [wave] = waves(campaign, found[0], ["Asia/Tokyo"], "UTC")
    assert (wave.timezone, wave.due_at) == (EVERYBODY, datetime(2027, 1, 4, 22, 30, tzinfo=UTC))
    assert wave.valid_until - wave.due_at == timedelta(hours=48)
    assert zone_error(campaign, date(2027, 1, 4), [("Asia/Tokyo", 3), ("Europe/Berlin", 5)]) == 3


def test_once_happens_once_at_its_own_time() -> None:
    campaign = Definition(once="2027-01-11T09:15", at="09:15", zone="UTC", lists=("supporters",))
    [plan] = plans(campaign, None, date(2026, 1, 1), date(2028, 1, 1))
    assert (plan.step, plan.occurrence, plan.starts_at) == (
        "once",
        "2027-01-11",
        datetime(2027, 1, 11, 9, 15, tzinfo=UTC),
    )


def test_an_extra_edition_is_named_by_its_instant_or_by_a_key() -> None:
    now = datetime(2027, 7, 30, 9, 0, 0, 123456, tzinfo=UTC)
    assert extra_plan(None, now).occurrence == "20270730T090000.123456Z"
    plan = extra_plan("thanks", now)
    assert plan.occurrence == "thanks"
    [wave] = waves(definition(), plan, ["Asia/Tokyo"], "UTC")
    assert (wave.timezone, wave.due_at) == (EVERYBODY, now)
