"""Which RRULEs (RFC 5545 s. 3.3.10) mean something for whole local days. It reads them and never works out a day."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from campaign.domain.addresses import printable
from campaign.domain.errors import BadInput
from campaign.domain.localtime import LAST_YEAR, parse_day

EXAMPLES: Final = (
    "Write it like 'first monday', 'last friday', 'monday', 'monday and thursday', 'day 15', 'last day', "
    "'every day', 'every weekday', 'every 2 weeks from 2027-01-04', or an RRULE such as FREQ=MONTHLY;BYDAY=1MO."
)
MOST_APART: Final = 1000

_WEEKDAY: Final = "(?:MO|TU|WE|TH|FR|SA|SU)"
_NUMBERS: Final = {
    "INTERVAL": (1, MOST_APART),
    "COUNT": (1, 10_000),
    "BYMONTH": (1, 12),
    "BYMONTHDAY": (-31, 31),
    "BYYEARDAY": (-366, 366),
    "BYWEEKNO": (-53, 53),
    "BYSETPOS": (-366, 366),
}
_FORMS: Final = {
    "FREQ": re.compile("DAILY|WEEKLY|MONTHLY|YEARLY"),
    "UNTIL": re.compile(r"[0-9]{8}(?:T[0-9]{6}Z?)?"),
    "WKST": re.compile(_WEEKDAY),
    "BYDAY": re.compile(rf"(?:[+-]?[1-9][0-9]?)?{_WEEKDAY}(?:,(?:[+-]?[1-9][0-9]?)?{_WEEKDAY})*"),
}
_SINGLE: Final = frozenset({"INTERVAL", "COUNT"})
_DAY_PARTS: Final = frozenset({"BYMONTHDAY", "BYDAY", "BYYEARDAY"})
_BARRED: Final = {
    "DAILY": frozenset({"BYMONTHDAY", "BYSETPOS", "BYYEARDAY", "BYWEEKNO"}),
    "WEEKLY": frozenset({"BYMONTHDAY", "BYSETPOS", "BYYEARDAY", "BYWEEKNO"}),
    "MONTHLY": frozenset({"BYYEARDAY", "BYWEEKNO"}),
    "YEARLY": frozenset[str](),
}
_MOST_OF: Final = {"DAILY": 0, "WEEKLY": 0, "MONTHLY": 5, "YEARLY": 53}
_LINE: Final = re.compile(r"(?:DTSTART(?:;VALUE=DATE)?[:=]([0-9]{8})[ ;])? ?(?:RRULE:)?(\S+)", re.IGNORECASE)


class RecurrenceRefused(BadInput):
    """That is not a rule for days that come round again."""

    code = "recurrence_refused"


def refused(text: str, reason: str = "") -> RecurrenceRefused:
    """Make the error that shows the text safely, with the reason and what can be written instead."""
    msg = f"{printable(text)} is not a rule for days that come round again{': ' if reason else ''}{reason}."
    return RecurrenceRefused(msg, remedy=EXAMPLES)


def read_rrule(text: str) -> tuple[date | None, str]:
    """Read an RRULE, alone or behind `DTSTART:20270104 `, and give its start, if it names one, and the bare rule.

    Raise RecurrenceRefused where it is malformed, speaks of hours, or leaves open which days it means. Parts that
    dateutil would search for thousands of years in vain are refused as well.
    """
    found = _LINE.fullmatch(text)
    if found is None:
        raise refused(text, "an RRULE has no spaces in it")
    digits, parts = found[1], _parts(text, found[2].upper())
    _check_together(text, parts, anchored=digits is not None)
    start = parse_day(f"{digits[:4]}-{digits[4:6]}-{digits[6:]}") if digits else None
    return start, ";".join(f"{name}={value}" for name, value in parts.items())


def _parts(text: str, body: str) -> dict[str, str]:
    """Take the rule apart; refuse what is unknown, doubled or out of range."""
    parts: dict[str, str] = {}
    for part in filter(None, body.split(";")):
        name, _, value = part.partition("=")
        if name in parts:
            raise refused(text, f"{name} is there twice")
        if name not in _NUMBERS and name not in _FORMS:
            raise refused(text, f"{printable(name)} cannot be used for whole days")
        if not _fits(name, value):
            raise refused(text, f"{name} cannot be {printable(value)}")
        parts[name] = value[:8] if name == "UNTIL" else value
    return parts


def _fits(name: str, value: str) -> bool:
    """Tell whether the value is one that the part can have."""
    if name == "UNTIL":
        return bool(_FORMS[name].fullmatch(value)) and _is_day(value[:8])
    if name in _FORMS:
        return bool(_FORMS[name].fullmatch(value))
    low, high = _NUMBERS[name]
    numbers = [value] if name in _SINGLE else value.split(",")
    return all(re.fullmatch(r"[+-]?[0-9]{1,5}", n) and low <= int(n) <= high and int(n) != 0 for n in numbers)


def _is_day(digits: str) -> bool:
    """Tell whether eight digits are a day that we reckon with."""
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).year <= LAST_YEAR
    except ValueError:
        return False


def _check_together(text: str, parts: dict[str, str], *, anchored: bool) -> None:
    """Refuse parts that cannot stand beside each other, or that leave the days open."""
    freq = parts.get("FREQ")
    if freq is None:
        raise refused(text, "it lacks FREQ")
    barred = sorted(_BARRED[freq] & parts.keys())
    if barred:
        raise refused(text, f"{' and '.join(barred)} cannot go with FREQ={freq}")
    most = _MOST_OF[freq] if "BYMONTH" not in parts else min(_MOST_OF[freq], _MOST_OF["MONTHLY"])
    if any(int(number) > most for number in re.findall("[0-9]+", parts.get("BYDAY", ""))):
        raise refused(text, f"BYDAY cannot count {f'beyond {most}' if most else 'weekdays'} with FREQ={freq}")
    if {"COUNT", "UNTIL"} <= parts.keys():
        raise refused(text, "COUNT and UNTIL cannot stand together")
    if freq == "DAILY" and "BYDAY" in parts and int(parts.get("INTERVAL", "1")) % 7 == 0:
        raise refused(text, "every so many whole weeks is FREQ=WEEKLY")
    if "BYWEEKNO" in parts and "BYDAY" not in parts:
        raise refused(text, "BYWEEKNO needs BYDAY to name the day of that week")
    counted = parts.get("INTERVAL", "1") != "1" or "COUNT" in parts
    if not anchored and (counted or (freq != "DAILY" and not _DAY_PARTS & parts.keys())):
        raise refused(text, "it needs the day from which it runs, such as 'DTSTART:20270104 RRULE:FREQ=...'")
