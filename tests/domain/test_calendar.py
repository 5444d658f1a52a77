"""Steps and wall times: what a day and an hour mean in every zone there is."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.calendar import (
    EVERY,
    EXTRA,
    ON_THE_DAY,
    ONCE,
    Occurrence,
    Step,
    end_of_day,
    first_instant,
    instant_at,
    last_call,
    last_instant,
    local_day,
    parse_at,
    parse_day,
    parse_moment,
    parse_zone,
)
from campaign.domain.errors import BadInput

ZONES = {
    "Europe/Berlin": ("2024-03-31", "2024-10-27"),
    "America/New_York": ("2024-03-10", "2024-11-03"),
    "Africa/Cairo": ("2024-04-26", "2024-10-31"),
    "Asia/Beirut": ("2024-03-31", "2024-10-26"),
    "America/Santiago": ("2024-09-08", "2024-04-06"),
    "Australia/Lord_Howe": ("2024-10-06", "2024-04-07"),
    "Africa/Casablanca": ("2024-04-14", "2024-03-10"),
    "Pacific/Apia": ("2011-12-30", "2011-04-02"),
    "Asia/Kathmandu": ("1986-01-01", "2024-06-01"),
    "America/St_Johns": ("2024-03-10", "2024-11-03"),
    "Asia/Gaza": ("2024-04-20", "2024-10-26"),
    "Antarctica/Troll": ("2024-03-31", "2024-10-27"),
    "Atlantic/Azores": ("2024-03-31", "2024-10-27"),
    "UTC": ("2024-02-29", "2024-12-31"),
}
CLOCKS = ("00:00", "00:15", "00:30", "01:30", "02:00", "02:30", "09:00", "23:30")
ODD = [(zone, day, at) for zone, days in ZONES.items() for day in days for at in CLOCKS]
EVERYWHERE = sorted(available_timezones() - {"localtime", "posixrules", "Factory"})

days = st.dates(date(1970, 1, 2), date(2037, 12, 30))
clock_times = st.times().map(lambda t: t.replace(second=0, microsecond=0))
zones = st.sampled_from(EVERYWHERE).map(ZoneInfo)


def refusal_of(read: Callable[[str], object], text: str) -> BadInput | None:
    try:
        read(text)
    except BadInput as refusal:
        return refusal
    return None


def wall(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


def first_moment_at_or_past(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The definition, by walking: the first minute at which clocks show the wall time or have jumped past it."""
    aim = datetime.combine(day, at)
    instant = datetime.combine(day, at, tzinfo=UTC) - timedelta(hours=15)
    while wall(instant, zone) < aim:
        instant += timedelta(minutes=1)
    return instant


@pytest.mark.parametrize(("zone", "day", "at"), ODD)
def test_the_instant_is_the_first_at_which_clocks_show_the_time_or_have_passed_it(zone: str, day: str, at: str) -> None:
    found = instant_at(parse_day(day), parse_at(at), ZoneInfo(zone))
    assert found == first_moment_at_or_past(parse_day(day), parse_at(at), ZoneInfo(zone))
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("zone", "day", "at", "expected"),
    [
        ("Europe/Berlin", "2027-07-30", "09:00", "2027-07-30T07:00"),
        ("Europe/Berlin", "2024-03-31", "02:30", "2024-03-31T01:00"),
        ("Europe/Berlin", "2024-10-27", "02:30", "2024-10-27T00:30"),
        ("America/New_York", "2024-03-10", "02:30", "2024-03-10T07:00"),
        ("America/New_York", "2024-11-03", "01:30", "2024-11-03T05:30"),
        ("Africa/Cairo", "2024-04-26", "00:15", "2024-04-25T22:00"),
        ("Asia/Beirut", "2024-03-31", "00:00", "2024-03-30T22:00"),
        ("America/Santiago", "2024-09-08", "00:00", "2024-09-08T04:00"),
        ("America/Santiago", "2024-04-06", "23:30", "2024-04-07T02:30"),
        ("Australia/Lord_Howe", "2024-10-06", "02:15", "2024-10-05T15:30"),
        ("Antarctica/Troll", "2024-03-31", "01:30", "2024-03-31T01:00"),
        ("Atlantic/Azores", "2024-10-27", "00:30", "2024-10-27T00:30"),
        ("Pacific/Apia", "2011-12-30", "09:00", "2011-12-30T10:00"),
        ("Asia/Kathmandu", "1986-01-01", "00:00", "1985-12-31T18:30"),
        ("Pacific/Kiritimati", "2027-07-30", "09:00", "2027-07-29T19:00"),
        ("Etc/GMT+12", "2027-07-30", "09:00", "2027-07-30T21:00"),
    ],
)
def test_known_instants(zone: str, day: str, at: str, expected: str) -> None:
    assert instant_at(parse_day(day), parse_at(at), ZoneInfo(zone)) == datetime.fromisoformat(f"{expected}:00+00:00")


@given(days, clock_times, zones)
def test_a_time_that_exists_is_met_exactly_and_one_that_does_not_is_just_passed(
    day: date, at: time, zone: ZoneInfo
) -> None:
    found, aim = instant_at(day, at, zone), datetime.combine(day, at)
    shown = wall(found, zone)
    assert shown >= aim
    assert shown == aim or wall(found - timedelta(microseconds=1), zone) < aim
    assert wall(found - timedelta(minutes=1), zone) != aim


@given(days, st.lists(clock_times, min_size=2, max_size=2).map(sorted), zones)
def test_later_on_the_wall_is_never_earlier_in_truth(day: date, times: list[time], zone: ZoneInfo) -> None:
    assert instant_at(day, times[0], zone) <= instant_at(day, times[1], zone)


@given(days, clock_times, zones)
def test_the_outermost_instants_bound_every_zone(day: date, at: time, zone: ZoneInfo) -> None:
    assert first_instant(day, at) <= instant_at(day, at, zone) <= last_instant(day, at)


def test_the_outermost_instants_are_reached_by_real_places() -> None:
    day, at = date(2027, 7, 30), time(9)
    everywhere = [instant_at(day, at, ZoneInfo(name)) for name in EVERYWHERE]
    assert min(everywhere) == first_instant(day, at)
    assert max(everywhere) == last_instant(day, at)


@pytest.mark.parametrize("name", [*ZONES, "Pacific/Chatham", "America/Nuuk", "Pacific/Kwajalein", "Asia/Tehran"])
@pytest.mark.parametrize(("first", "count"), [("2011-12-25", 10), ("1993-08-18", 6), ("2024-03-01", 250)])
def test_days_follow_each_other_without_a_hole(name: str, first: str, count: int) -> None:
    zone, day = ZoneInfo(name), parse_day(first)
    for offset in range(count):
        today = day + timedelta(days=offset)
        ends = end_of_day(today, zone)
        assert ends > instant_at(today, time(0), zone)
        assert local_day(ends, zone) > today
        assert wall(ends, zone).time() in {time(0), time(0, 30), time(1)}
        assert timedelta(hours=22) <= ends - instant_at(today, time(0), zone) <= timedelta(hours=26)


def test_a_skipped_day_ends_with_the_day_that_took_its_place() -> None:
    apia = ZoneInfo("Pacific/Apia")
    assert end_of_day(date(2011, 12, 29), apia) == datetime(2011, 12, 30, 10, tzinfo=UTC)
    assert end_of_day(date(2011, 12, 30), apia) == datetime(2011, 12, 31, 10, tzinfo=UTC)
    assert end_of_day(date(2011, 12, 31), apia) == datetime(2011, 12, 31, 10, tzinfo=UTC)


@given(days, clock_times, zones)
def test_there_is_always_some_time_left_between_the_instant_and_the_last_call(
    day: date, at: time, zone: ZoneInfo
) -> None:
    due, call = instant_at(day, at, zone), last_call(day, at, zone)
    assert due < call
    assert local_day(call - timedelta(seconds=1), zone) <= local_day(call, zone)


def test_the_last_call_is_the_end_of_the_day_wherever_the_time_exists() -> None:
    berlin, day = ZoneInfo("Europe/Berlin"), date(2027, 7, 30)
    assert last_call(day, time(9), berlin) == end_of_day(day, berlin) == datetime(2027, 7, 30, 22, tzinfo=UTC)


def test_a_time_that_jumps_into_the_next_day_may_still_go_out_on_that_day() -> None:
    nuuk, day = ZoneInfo("America/Nuuk"), date(2024, 3, 30)
    due = instant_at(day, time(23, 30), nuuk)
    assert due == end_of_day(day, nuuk)
    assert last_call(day, time(23, 30), nuuk) == end_of_day(date(2024, 3, 31), nuuk) > due


@pytest.mark.parametrize("name", ["Europe/Berlin", "europe/berlin", " Europe/Berlin ", "UTC", "utc", "EST5EDT"])
def test_zones_are_found_in_any_case(name: str) -> None:
    assert parse_zone(name).key.casefold() == name.strip().casefold()


def test_every_zone_of_the_installation_can_be_read() -> None:
    assert {parse_zone(name).key for name in EVERYWHERE} == set(EVERYWHERE)


@pytest.mark.parametrize(
    ("asked", "offered"),
    [
        ("Berlin", "Europe/Berlin"),
        ("Europe/Berln", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("Europe/Kathmandu", "Asia/Kathmandu"),
        ("UTC+2", "summer time"),
        ("+05:30", "summer time"),
        ("", "such as Europe/Berlin"),
        ("../../etc/passwd", "such as Europe/Berlin"),
        ("localtime", "such as Europe/Berlin"),
        ("x" * 100_000, "such as Europe/Berlin"),
        ("Europe/Berlin\x00", "Europe/Berlin"),
    ],
)
def test_a_wrong_zone_is_answered_with_the_one_meant(asked: str, offered: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_zone(asked)
    assert offered in caught.value.remedy
    assert len(str(caught.value)) < 300


@given(st.text(max_size=30))
def test_no_text_breaks_the_readers(text: str) -> None:
    for read in (parse_zone, parse_at, parse_day, parse_moment, Step.parse, Step.before, Step.after):
        refusal = refusal_of(read, text)
        assert refusal is None or (refusal.remedy and str(refusal).isprintable())


@pytest.mark.parametrize(("text", "expected"), [("09:00", time(9)), ("9:05", time(9, 5)), (" 23:59 ", time(23, 59))])
def test_times_of_day(text: str, expected: time) -> None:
    assert parse_at(text) == expected


@pytest.mark.parametrize("text", ["24:00", "9", "9am", "09:60", "25:00", "09:00:00", "０９:００", "-1:00", ""])
def test_wrong_times_of_day(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_at(text)
    assert ":" in caught.value.remedy


@given(st.dates(date(1970, 1, 1), date(2999, 12, 31)))
def test_days_read_back(day: date) -> None:
    assert parse_day(day.isoformat()) == day


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("30/07/2027", "2027-07-30"),
        ("30.7.2027", "2027-07-30"),
        ("07/30/2027", "2027-07-30"),
        ("11/01/2027", "Write year-month-day"),
        ("2027-02-29", "Check the month"),
        ("2027-13-01", "Check the month"),
        ("20270730", "Write year-month-day"),
        ("2027-W30-5", "Write year-month-day"),
        ("0001-01-01", "Check the year"),
        ("9999-12-31", "Check the year"),
        ("٢٠٢٧-٠٧-٣٠", "Write year-month-day"),
    ],
)
def test_wrong_days_are_answered_with_the_right_form(text: str, remedy: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_day(text)
    assert remedy in caught.value.remedy


def test_a_moment_is_a_day_and_a_time() -> None:
    assert parse_moment("2027-01-11T09:00") == parse_moment("2027-01-11 09:00") == (date(2027, 1, 11), time(9))
    with pytest.raises(BadInput, match="lacks a time"):
        parse_moment("2027-01-11")


@pytest.mark.parametrize(
    ("step", "name", "offset"),
    [
        (Step.before("30d"), "30d-before", -30),
        (Step.before("7"), "7d-before", -7),
        (Step.before("2w"), "14d-before", -14),
        (Step.before("3 weeks"), "21d-before", -21),
        (Step.after("3d"), "3d-after", 3),
        (Step.after("1 day"), "1d-after", 1),
        (ON_THE_DAY, "on-the-day", 0),
        (EVERY, "every", 0),
        (ONCE, "once", 0),
        (EXTRA, "extra", 0),
    ],
)
def test_steps_have_one_name_each(step: Step, name: str, offset: int) -> None:
    assert (step.name, str(step), step.offset_days) == (name, name, offset)
    assert Step.parse(name) == step


@given(st.integers(-365, 365))
def test_a_step_is_made_from_its_distance(offset: int) -> None:
    step = Step.of(offset)
    assert step.offset_days == offset
    assert Step.parse(step.name) == step


@pytest.mark.parametrize("text", ["0d", "", "d", "366d", "53w", "-3d", "3m", "3.5d", "9999999999d", "٣d"])
def test_distances_that_are_none(text: str) -> None:
    for make in (Step.before, Step.after):
        with pytest.raises(BadInput):
            make(text)


@pytest.mark.parametrize("name", ["", "0d-before", "366d-after", "007d-before", "on the day", "30d-during", "Every"])
def test_names_that_are_no_step(name: str) -> None:
    with pytest.raises(BadInput):
        Step.parse(name)


def test_distances_beyond_a_year_are_no_step() -> None:
    with pytest.raises(BadInput):
        Step.of(366)


def test_steps_count_back_from_the_first_day_and_on_from_the_last() -> None:
    day = Occurrence("d", date(2027, 7, 30), date(2027, 7, 30))
    assert Step.before("30d").day(day) == date(2027, 6, 30)
    assert ON_THE_DAY.day(day) == date(2027, 7, 30)
    assert Step.after("3d").day(day) == date(2027, 8, 2)
    month = Occurrence("m", date(2027, 1, 1), date(2027, 1, 31))
    assert Step.before("7d").day(month) == date(2026, 12, 25)
    assert ON_THE_DAY.day(month) == date(2027, 1, 1)
    assert Step.after("3d").day(month) == date(2027, 2, 3)


def test_steps_cross_leap_days_by_counting_days() -> None:
    first_of_march = Occurrence("d", date(2028, 3, 1), date(2028, 3, 1))
    assert Step.before("1d").day(first_of_march) == date(2028, 2, 29)
    assert Step.before("365d").day(first_of_march) == date(2027, 3, 2)


def test_the_sample_subscribers_live_in_zones_that_can_be_read() -> None:
    sample = Path(__file__).parents[2] / "config" / "demo" / "subscribers.csv"
    rows = list(csv.DictReader(sample.read_text("utf-8").splitlines()))
    assert len({row["email"] for row in rows}) == 25
    assert len({parse_zone(row["timezone"]).key for row in rows}) >= 20
    assert {row["language"] for row in rows} == {"en", "es", "fr", "pt", "ar", "de"}
