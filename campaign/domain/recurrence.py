"""Which days come round again: `first monday`, `day 15`, an RRULE. It knows calendar days, never a time of day."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, cast

from dateutil.rrule import rrule, rrulestr

from campaign.domain.localtime import MIDNIGHT, parse_day
from campaign.domain.rrules import MOST_APART, read_rrule, refused

MONTHS: Final = (
    "january february march april may june july august september october november december".split()  # noqa: SIM905 -- reads as the calendar does
)
WEEKDAYS: Final = {
    "monday": "MO",
    "tuesday": "TU",
    "wednesday": "WE",
    "thursday": "TH",
    "friday": "FR",
    "saturday": "SA",
    "sunday": "SU",
}
_NTH: Final = {"first": 1, "1st": 1, "second": 2, "2nd": 2, "third": 3, "3rd": 3, "fourth": 4, "4th": 4, "last": -1}
_ORDINALS: Final = {1: "first", 2: "second", 3: "third", 4: "fourth", -1: "last"}
_UNITS: Final = {"day": "DAILY", "week": "WEEKLY", "month": "MONTHLY", "year": "YEARLY"}
_WORKING: Final = "MO,TU,WE,TH,FR"
_MAX_TEXT: Final = 500
_SHORT_DAYS: Final = 28
_LONG_DAYS: Final = 31


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Days that come round again, as an RRULE on local calendar days (RFC 5545 s. 3.3.10), and how to say it.

    `start` is the day from which an interval or a count runs; None where the rule needs none.
    """

    words: str
    rule: str
    start: date | None = None

    @classmethod
    def parse(cls, text: str) -> Recurrence:
        """Read words or an RRULE; raise RecurrenceRefused with what can be written instead."""
        plain = " ".join(text.split())
        if len(plain) > _MAX_TEXT:
            raise refused(plain, "it is too long")
        recurrence = _from_rrule(plain) if "FREQ=" in plain.upper() else _from_words(plain)
        if not recurrence.ever():
            raise refused(plain, "no day fits it")
        return recurrence

    def days(self, first: date, last: date) -> list[date]:
        """Give every day of it from `first` to `last`, both included, in order."""
        if last < first:
            return []
        found = self._rrule(first).between(_midnight(first), _midnight(last), inc=True)
        return [moment.date() for moment in found]

    def ever(self) -> bool:
        """Tell whether any day at all fits; a rule such as 30 February never comes."""
        return next(iter(self._rrule(date(2000, 1, 1))), None) is not None

    def _rrule(self, first: date) -> rrule:
        """Build dateutil's rule, begun at its own start or at `first`; one RRULE alone never makes a set."""
        return cast("rrule", rrulestr(self.rule, dtstart=_midnight(self.start or first)))

    def __str__(self) -> str:
        """Give the words, or the RRULE with its start; `parse` reads them back to the same rule."""
        return self.words


def _midnight(day: date) -> datetime:
    return datetime.combine(day, MIDNIGHT)


def _from_rrule(text: str) -> Recurrence:
    """Read an RRULE, alone or behind the day from which it runs."""
    start, rule = read_rrule(text)
    return Recurrence(f"DTSTART:{start:%Y%m%d} RRULE:{rule}" if start else rule, rule, start)


def _from_words(text: str) -> Recurrence:
    """Read the plain forms. Articles and `of the month` are noise; what is left must fit one form as a whole."""
    words = text.lower().replace(" of the month", "").replace(" of every month", "")
    words = re.sub(r"^(?:on )?the ", "", words).strip(" .")
    for form, make in _FORMS:
        found = form.fullmatch(words)
        if found:
            return make(found)
    raise refused(text)


def _every_day(_: re.Match[str]) -> Recurrence:
    return Recurrence("every day", "FREQ=DAILY")


def _every_weekday(_: re.Match[str]) -> Recurrence:
    return Recurrence("every weekday", f"FREQ=WEEKLY;BYDAY={_WORKING}")


def _weekly(found: re.Match[str]) -> Recurrence:
    """Read `monday`, `monday and thursday`, in any order and with plurals."""
    named = {name.rstrip("s") for name in re.split(r",? and |, ?", found["days"])}
    ordered = [name for name in WEEKDAYS if name in named]
    rule = f"FREQ=WEEKLY;BYDAY={','.join(WEEKDAYS[name] for name in ordered)}"
    return Recurrence(" and ".join([", ".join(ordered[:-1]), ordered[-1]] if len(ordered) > 1 else ordered), rule)


def _nth_weekday(found: re.Match[str]) -> Recurrence:
    """Read `first monday`, `last friday of march and september`."""
    nth, name = _NTH[found["nth"]], found["day"]
    return _monthly(f"{_ORDINALS[nth]} {name}", f"BYDAY={nth}{WEEKDAYS[name]}", found["months"])


def _nth_working_day(found: re.Match[str]) -> Recurrence:
    """Read `last weekday`: the first or last day from Monday to Friday in the month."""
    nth = _NTH[found["nth"]]
    return _monthly(f"{_ORDINALS[nth]} weekday", f"BYDAY={_WORKING};BYSETPOS={nth}", found["months"])


def _day_of_month(found: re.Match[str]) -> Recurrence:
    """Read `day 15`. In a month that is too short, days 29 to 31 mean its last day: nobody waits two months."""
    day = int(found["number"])
    if not 1 <= day <= _LONG_DAYS:
        raise refused(found[0], "months have days 1 to 31")
    clamped = ",".join(str(number) for number in range(_SHORT_DAYS, day + 1))
    by = f"BYMONTHDAY={clamped};BYSETPOS=-1" if day > _SHORT_DAYS else f"BYMONTHDAY={day}"
    return _monthly(f"day {day}", by, found["months"])


def _edge_of_month(found: re.Match[str]) -> Recurrence:
    if found["edge"] == "first":
        return _monthly("day 1", "BYMONTHDAY=1", found["months"])
    return _monthly("last day", "BYMONTHDAY=-1", found["months"])


def _monthly(words: str, by: str, months: str | None) -> Recurrence:
    """Join a monthly rule with the months it is kept to, if any are named."""
    if not months:
        return Recurrence(words, f"FREQ=MONTHLY;{by}")
    numbers = sorted({MONTHS.index(name) + 1 for name in re.split(r",? and |, ?", months)})
    names = [MONTHS[number - 1].capitalize() for number in numbers]
    said = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return Recurrence(f"{words} of {said}", f"FREQ=MONTHLY;BYMONTH={','.join(map(str, numbers))};{by}")


def _spaced(found: re.Match[str]) -> Recurrence:
    """Read `every 2 weeks from 2027-01-04`: the day itself and each such stretch after it."""
    count, unit, start = int(found["count"]), found["unit"], parse_day(found["start"])
    if not 1 <= count <= MOST_APART:
        raise refused(found[0], f"the number must be from 1 to {MOST_APART}")
    by = ""
    if unit in {"month", "year"} and start.day > _SHORT_DAYS:
        by = f";BYMONTHDAY={','.join(str(n) for n in range(_SHORT_DAYS, start.day + 1))};BYSETPOS=-1"
        by += f";BYMONTH={start.month}" if unit == "year" else ""
    words = f"every {count} {unit}{'s' if count > 1 else ''} from {start}"
    return Recurrence(words, f"FREQ={_UNITS[unit]};INTERVAL={count}{by}", start)


_DAYS: Final = "|".join(WEEKDAYS)
_MONTHS: Final = "|".join(MONTHS)
_OF: Final = rf"(?: (?:of|in) (?P<months>(?:{_MONTHS})(?:(?:,? and |, ?)(?:{_MONTHS}))*))?"
_FORMS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Recurrence]], ...]] = tuple(
    (re.compile(form), make)
    for form, make in (
        (r"daily|(?:every |each )?day", _every_day),
        (r"(?:every |each )?(?:weekday|working day)", _every_weekday),
        (rf"(?:every |each )?(?P<days>(?:{_DAYS})s?(?:(?:,? and |, ?)(?:{_DAYS})s?)*)", _weekly),
        (rf"(?:every |each )?(?P<nth>{'|'.join(_NTH)}) (?P<day>{_DAYS}){_OF}", _nth_weekday),
        (rf"(?:every |each )?(?P<nth>first|1st|last) (?:weekday|working day){_OF}", _nth_working_day),
        (rf"(?:every |each )?day (?P<number>[0-9]{{1,2}}){_OF}", _day_of_month),
        (rf"(?:every |each )?(?P<edge>first|last) day{_OF}", _edge_of_month),
        (r"every (?P<count>[0-9]{1,4}) (?P<unit>day|week|month|year)s? from (?P<start>[0-9-]{10})", _spaced),
    )
)
