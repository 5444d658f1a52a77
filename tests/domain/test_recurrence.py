"""Days that come round again: plain words, RRULEs, and the ones that are refused."""

from __future__ import annotations

import calendar
import time as stopwatch
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.calendar import Recurrence, RecurrenceRefused
from campaign.domain.errors import BadInput

YEAR = (date(2027, 1, 1), date(2027, 12, 31))
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
NTH = {"first": 0, "second": 1, "third": 2, "fourth": 3, "last": -1}

months = st.tuples(st.integers(2024, 2035), st.integers(1, 12))


def month_days(year: int, month: int) -> list[date]:
    return [date(year, month, day + 1) for day in range(calendar.monthrange(year, month)[1])]


def rule_or_refusal(text: str) -> Recurrence | BadInput:
    try:
        return Recurrence.parse(text)
    except BadInput as refusal:
        return refusal


@pytest.mark.parametrize(
    ("text", "said", "first_days"),
    [
        ("first monday", "first monday", ["2027-01-04", "2027-02-01", "2027-03-01"]),
        ("The First Monday of the month", "first monday", ["2027-01-04", "2027-02-01", "2027-03-01"]),
        ("every 1st monday", "first monday", ["2027-01-04", "2027-02-01"]),
        ("last friday", "last friday", ["2027-01-29", "2027-02-26"]),
        ("monday", "monday", ["2027-01-04", "2027-01-11"]),
        ("every Monday", "monday", ["2027-01-04", "2027-01-11"]),
        ("thursdays and mondays", "monday and thursday", ["2027-01-04", "2027-01-07", "2027-01-11"]),
        ("monday, thursday and sunday", "monday, thursday and sunday", ["2027-01-03", "2027-01-04"]),
        ("day 15", "day 15", ["2027-01-15", "2027-02-15"]),
        ("day 31", "day 31", ["2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30"]),
        ("day 29", "day 29", ["2027-01-29", "2027-02-28", "2027-03-29"]),
        ("first day", "day 1", ["2027-01-01", "2027-02-01"]),
        ("last day of the month", "last day", ["2027-01-31", "2027-02-28"]),
        ("every day", "every day", ["2027-01-01", "2027-01-02"]),
        ("daily", "every day", ["2027-01-01", "2027-01-02"]),
        ("weekday", "every weekday", ["2027-01-01", "2027-01-04"]),
        ("last working day of march and september", "last weekday of March and September", ["2027-03-31"]),
        ("second sunday of may", "second sunday of May", ["2027-05-09"]),
        (
            "day 30 of january, february and april",
            "day 30 of January, February and April",
            ["2027-01-30", "2027-02-28"],
        ),
        ("every 2 weeks from 2027-01-04", "every 2 weeks from 2027-01-04", ["2027-01-04", "2027-01-18"]),
        ("every 10 days from 2026-12-30", "every 10 days from 2026-12-30", ["2027-01-09", "2027-01-19"]),
        ("every 1 month from 2027-01-31", "every 1 month from 2027-01-31", ["2027-01-31", "2027-02-28"]),
        ("every 1 year from 2024-02-29", "every 1 year from 2024-02-29", ["2027-02-28"]),
    ],
)
def test_words(text: str, said: str, first_days: list[str]) -> None:
    recurrence = Recurrence.parse(text)
    assert str(recurrence) == said
    assert [str(day) for day in recurrence.days(*YEAR)][: len(first_days)] == first_days
    assert Recurrence.parse(said) == recurrence


@given(months, st.sampled_from(sorted(NTH)), st.integers(0, 6))
def test_the_nth_weekday_is_counted_in_its_month(month: tuple[int, int], nth: str, weekday: int) -> None:
    whole = month_days(*month)
    expected = [day for day in whole if day.weekday() == weekday][NTH[nth]]
    assert Recurrence.parse(f"{nth} {WEEKDAYS[weekday]}").days(whole[0], whole[-1]) == [expected]


@given(months, st.integers(1, 31))
def test_a_day_of_the_month_comes_once_in_each_month(month: tuple[int, int], number: int) -> None:
    whole = month_days(*month)
    assert Recurrence.parse(f"day {number}").days(whole[0], whole[-1]) == [whole[min(number, len(whole)) - 1]]


@given(
    st.sampled_from(["monday", "last day", "every day", "first weekday", "day 31", "FREQ=YEARLY;BYDAY=20MO"]),
    st.dates(date(2024, 1, 1), date(2030, 1, 1)),
    st.integers(0, 400),
    st.integers(0, 400),
)
def test_days_do_not_depend_on_where_the_question_starts(rule: str, first: date, skip: int, length: int) -> None:
    recurrence = Recurrence.parse(rule)
    last = first + timedelta(days=skip + length)
    whole = recurrence.days(first, last)
    assert recurrence.days(first + timedelta(days=skip), last) == [d for d in whole if (d - first).days >= skip]
    assert whole == sorted(set(whole))


@pytest.mark.parametrize(
    ("text", "said", "expected"),
    [
        ("FREQ=MONTHLY;BYDAY=1MO", "FREQ=MONTHLY;BYDAY=1MO", ["2027-01-04", "2027-02-01"]),
        ("rrule:freq=monthly;byday=-1fr", "FREQ=MONTHLY;BYDAY=-1FR", ["2027-01-29", "2027-02-26"]),
        ("FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", "FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", ["2027-11-25"]),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", ["2027-05-17"]),
        ("FREQ=YEARLY;BYYEARDAY=-1", "FREQ=YEARLY;BYYEARDAY=-1", ["2027-12-31"]),
        ("FREQ=DAILY;BYMONTH=2;BYDAY=MO", "FREQ=DAILY;BYMONTH=2;BYDAY=MO", ["2027-02-01", "2027-02-08"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31", "FREQ=MONTHLY;BYMONTHDAY=31", ["2027-01-31", "2027-03-31"]),
        (
            "DTSTART;VALUE=DATE:20270104\nRRULE:FREQ=WEEKLY;INTERVAL=2;UNTIL=20270201T235959Z",
            "DTSTART:20270104 RRULE:FREQ=WEEKLY;INTERVAL=2;UNTIL=20270201",
            ["2027-01-04", "2027-01-18", "2027-02-01"],
        ),
        ("DTSTART:20261230 RRULE:FREQ=DAILY;COUNT=4", "DTSTART:20261230 RRULE:FREQ=DAILY;COUNT=4",
         ["2027-01-01", "2027-01-02"]),
    ],
)  # fmt: skip
def test_rrules(text: str, said: str, expected: list[str]) -> None:
    recurrence = Recurrence.parse(text)
    assert str(recurrence) == said
    assert [str(day) for day in recurrence.days(*YEAR)][: len(expected)] == expected
    assert Recurrence.parse(said) == recurrence


def test_a_rule_that_has_ended_gives_no_more_days() -> None:
    assert Recurrence.parse("FREQ=MONTHLY;BYMONTHDAY=1;UNTIL=20261231").days(*YEAR) == []
    assert Recurrence.parse("every day").days(YEAR[1], YEAR[0]) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a rule"),
        ("sometimes", "not a rule"),
        ("fifth monday", "not a rule"),
        ("day 0", "days 1 to 31"),
        ("day 32", "days 1 to 31"),
        ("first monday of smarch", "not a rule"),
        ("every 0 days from 2027-01-01", "from 1 to 1000"),
        ("every 2 weeks from 2027-02-30", "not in the calendar"),
        ("FREQ=WEEKLY", "needs the day from which it runs"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", "needs the day from which it runs"),
        ("FREQ=DAILY;COUNT=3", "needs the day from which it runs"),
        ("FREQ=SECONDLY", "FREQ cannot be"),
        ("FREQ=DAILY;BYHOUR=9", "cannot be used for whole days"),
        ("FREQ=DAILY;FREQ=DAILY", "there twice"),
        ("INTERVAL=1;XFREQ=DAILY", "cannot be used"),
        ("FREQ=WEEKLY;BYMONTHDAY=3", "cannot go with"),
        ("FREQ=WEEKLY;BYDAY=1MO", "cannot count weekdays"),
        ("FREQ=MONTHLY;BYDAY=6MO", "beyond 5"),
        ("FREQ=YEARLY;BYMONTH=2;BYDAY=-53MO", "beyond 5"),
        ("FREQ=YEARLY;BYDAY=54MO", "beyond 53"),
        ("FREQ=YEARLY;BYWEEKNO=3", "needs BYDAY"),
        ("FREQ=MONTHLY;BYDAY=ZZ", "BYDAY cannot be"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY cannot be"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "BYMONTHDAY cannot be"),
        ("FREQ=MONTHLY;BYMONTHDAY=1_0", "BYMONTHDAY cannot be"),
        ("FREQ=DAILY;BYMONTH=13", "BYMONTH cannot be"),
        ("FREQ=DAILY;UNTIL=20270230", "UNTIL cannot be"),
        ("FREQ=DAILY;UNTIL=99991231", "UNTIL cannot be"),
        ("DTSTART:20270104 RRULE:FREQ=DAILY;COUNT=99999999999", "COUNT cannot be"),
        ("DTSTART:20270104 RRULE:FREQ=DAILY;INTERVAL=1001", "INTERVAL cannot be"),
        ("DTSTART:20270230 RRULE:FREQ=DAILY;INTERVAL=2", "not in the calendar"),
        ("FREQ=DAILY BYDAY=MO", "no spaces"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "no day fits"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6", "no day fits"),
        ("DTSTART:20270104 RRULE:FREQ=DAILY;INTERVAL=7;BYDAY=TU", "is FREQ=WEEKLY"),
        ("FREQ=YEARLY;BYDAY=MO,TU;BYSETPOS=300", "no day fits"),
        ("DTSTART:20270104 RRULE:FREQ=DAILY;BYMONTH=2;UNTIL=20270110", "no day fits"),
        ("DTSTART:20270104 RRULE:FREQ=DAILY;COUNT=3;UNTIL=20270110", "COUNT and UNTIL"),
        ("FREQ=DAILY" + ";" * 1000, "too long"),
    ],
)
def test_refused_with_a_reason_and_in_good_time(text: str, reason: str) -> None:
    began = stopwatch.perf_counter()
    with pytest.raises(Exception, match=reason) as caught:
        Recurrence.parse(text)
    assert isinstance(caught.value, RecurrenceRefused) or "calendar" in str(caught.value)
    assert stopwatch.perf_counter() - began < 20


@given(st.text(alphabet="FREQYALMONTHDICUB=;,:+-0123456789 \n\t\x00é", max_size=60))
def test_no_rule_breaks_the_reader(text: str) -> None:
    for attempt in (text, f"FREQ=MONTHLY;{text}", f"FREQ=MONTHLY;BYDAY={text}"):
        found = rule_or_refusal(attempt)
        assert str(found).isprintable() if isinstance(found, BadInput) else found.ever()


numbers = st.lists(st.integers(-400, 400), min_size=1, max_size=2).map(lambda found: ",".join(map(str, found)))
weekdays = st.tuples(st.sampled_from(["", "1", "-1", "+5", "53", "-53", "99"]), st.sampled_from(["MO", "SU"])).map(
    "".join
)
parts = st.fixed_dictionaries(
    {"FREQ": st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"])},
    optional={
        "INTERVAL": st.sampled_from(["1", "2", "7", "1000"]),
        "COUNT": st.sampled_from(["1", "30"]),
        "UNTIL": st.sampled_from(["20271231", "20000101T000000Z"]),
        "BYDAY": weekdays,
        "BYMONTH": st.integers(1, 12).map(str),
        "BYMONTHDAY": numbers,
        "BYYEARDAY": numbers,
        "BYWEEKNO": numbers,
        "BYSETPOS": numbers,
    },
)


@given(parts, st.sampled_from(["", "DTSTART:20240229 RRULE:"]))
def test_every_rule_that_is_taken_can_be_worked_out_and_read_back(rule: dict[str, str], start: str) -> None:
    found = rule_or_refusal(start + ";".join(f"{name}={value}" for name, value in rule.items()))
    if isinstance(found, Recurrence):
        days = found.days(*YEAR)
        assert days == sorted(set(days))
        assert Recurrence.parse(str(found)) == found
