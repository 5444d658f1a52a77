"""Wall-clock times and where they fall on the one UTC line. It knows zones and odd days, but never the time now."""

from __future__ import annotations

import difflib
import functools
import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from campaign.domain.addresses import printable
from campaign.domain.errors import BadInput

MIDNIGHT: Final = time(0, 0)
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2999

_EAST: Final = timedelta(hours=14)
_WEST: Final = timedelta(hours=12)
_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)
_AT: Final = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_DAY_FORM: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_DAY_FIRST: Final = re.compile(r"([0-9]{1,2})[./-]([0-9]{1,2})[./-]([0-9]{4})")
_OFFSET: Final = re.compile(r"(?:utc|gmt)?[+-][0-9:]{1,5}", re.IGNORECASE)
_NOT_PLACES: Final = frozenset({"localtime", "posixrules", "Factory"})


def instant_at(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Give the UTC instant at which clocks in `zone` first show `day` and `at`.

    A time that clocks skip (a gap in spring, or a whole day as in Apia on 30 December 2011) becomes the first
    instant after the gap. A time that clocks show twice (the fold in autumn) is the first of the two.
    """
    wall = datetime.combine(day, at)
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if _wall(first, zone) == wall:
        return first
    return _end_of_gap(wall, zone, wall.replace(tzinfo=zone, fold=1).astimezone(UTC), first)


def _end_of_gap(wall: datetime, zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Halve the stretch until the second at which clocks jump past `wall`; zones only ever change on whole seconds."""
    low, high = before.replace(microsecond=0) - _SECOND, after.replace(microsecond=0) + _SECOND
    while high - low > _SECOND:
        middle = low + _SECOND * ((high - low) // _SECOND // 2)
        low, high = (low, middle) if _wall(middle, zone) >= wall else (middle, high)
    return high


def _wall(instant: datetime, zone: ZoneInfo) -> datetime:
    """Give what clocks in `zone` show at that instant, without its zone."""
    return instant.astimezone(zone).replace(tzinfo=None)


def local_day(instant: datetime, zone: ZoneInfo) -> date:
    """Give the calendar day that clocks in `zone` show at that instant."""
    return instant.astimezone(zone).date()


def end_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Give the UTC instant at which that local day is over: the first instant of the next local day.

    A day that never happened there ends when the day that took its place ends.
    """
    begins, ends = instant_at(day, MIDNIGHT, zone), instant_at(day + _DAY, MIDNIGHT, zone)
    return ends if ends > begins else instant_at(day + 2 * _DAY, MIDNIGHT, zone)


def last_call(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Give the UTC instant after which a letter meant for `day` and `at` would reach people on a later day.

    It is the end of the local day on which `instant_at` lands, and so always later than `instant_at`, even where
    clocks jump over `at` into the next day (Nuuk skips 23:00 to 24:00 on a Saturday in March).
    """
    return end_of_day(local_day(instant_at(day, at, zone), zone), zone)


def first_instant(day: date, at: time) -> datetime:
    """Give the earliest UTC instant that `day` and `at` can mean anywhere (UTC+14, Kiritimati)."""
    return datetime.combine(day, at, tzinfo=UTC) - _EAST


def last_instant(day: date, at: time) -> datetime:
    """Give the latest UTC instant that `day` and `at` can mean anywhere (UTC-12)."""
    return datetime.combine(day, at, tzinfo=UTC) + _WEST


def parse_zone(name: str) -> ZoneInfo:
    """Read a time zone by its IANA name, in any case; raise BadInput that offers the names that were perhaps meant."""
    known = _zone_names()
    found = known.get(name.strip().casefold())
    if found is not None:
        return ZoneInfo(found)
    msg = f"{printable(name)} is not a time zone."
    if _OFFSET.fullmatch(name.strip()):
        raise BadInput(msg, remedy="An offset knows no summer time; name a place instead, such as Europe/Berlin.")
    near = _near_zones(name.strip().casefold().replace(" ", "_"), known)
    hint = f"Did you mean {' or '.join(near)}?" if near else "Give an IANA name such as Europe/Berlin or UTC."
    raise BadInput(msg, remedy=hint)


def zone_name(text: str) -> str | None:
    """Give a zone's IANA name in its own capitals, or None; cheap, because it never searches for what was meant."""
    return _zone_names().get(text.strip().casefold())


@functools.cache
def _zone_names() -> dict[str, str]:
    """Every zone this Python knows, by its case-folded name. Read once: the list is part of the installation."""
    return {name.casefold(): name for name in sorted(available_timezones()) if name not in _NOT_PLACES}


def _near_zones(asked: str, known: dict[str, str]) -> list[str]:
    """Zones whose city is what was asked for, else zones that are spelt nearly like it, at most three."""
    if not asked or len(asked) > 60:  # noqa: PLR2004 -- longer than any zone's name; comparing would only cost time
        return []
    cities = [key for key in known if key.rpartition("/")[2] == asked.rpartition("/")[2] and "/" in key]
    spelt = difflib.get_close_matches(asked, known, n=3, cutoff=0.85)
    places = {key.rpartition("/")[2]: key for key in known if "/" in key}
    alike = [places[city] for city in difflib.get_close_matches(asked, places, n=3, cutoff=0.85)]
    return [known[key] for key in dict.fromkeys([*cities, *spelt, *alike])][:3]


def parse_at(text: str) -> time:
    """Read a time of day such as `09:00`, on the 24-hour clock."""
    found = _AT.fullmatch(text.strip())
    hour, minute = (int(found[1]), int(found[2])) if found else (99, 99)
    if (hour, minute) == (24, 0):
        msg = "A day has no 24:00."
        raise BadInput(msg, remedy="Write 00:00 of the next day, or 23:59.")
    try:
        return time(hour, minute)
    except ValueError:
        msg = f"{printable(text)} is not a time of day."
        raise BadInput(msg, remedy="Write hours and minutes on the 24-hour clock, such as 09:00 or 18:30.") from None


def parse_day(text: str) -> date:
    """Read a calendar day such as `2027-07-30`."""
    found = _DAY_FORM.fullmatch(text.strip())
    if found is None:
        msg = f"{printable(text)} is not a date."
        raise BadInput(msg, remedy=_day_remedy(text.strip()))
    year, month, day = (int(part) for part in found.groups())
    if not FIRST_YEAR <= year <= LAST_YEAR:
        msg = f"{printable(text)} is not in the years {FIRST_YEAR} to {LAST_YEAR}."
        raise BadInput(msg, remedy="Check the year.")
    try:
        return date(year, month, day)
    except ValueError:
        msg = f"{printable(text)} is not in the calendar."
        raise BadInput(msg, remedy="Check the month and the day; the order is year-month-day.") from None


def _day_remedy(text: str) -> str:
    """Say how to write a date, and offer the one that was surely meant where only one reading is possible."""
    found = _DAY_FIRST.fullmatch(text)
    readings: set[date] = set()
    for day, month in ((1, 2), (2, 1)) if found else ():
        try:
            readings.add(date(int(found[3]), int(found[month]), int(found[day])) if found else date.min)
        except ValueError:
            continue
    return f"Did you mean {readings.pop()}?" if len(readings) == 1 else "Write year-month-day, such as 2027-07-30."


def parse_moment(text: str) -> tuple[date, time]:
    """Read a local day and time such as `2027-01-11T09:00` (a space in place of the T will do)."""
    day, _, at = text.strip().replace(" ", "T", 1).partition("T")
    if not at:
        msg = f"{printable(text)} lacks a time of day."
        raise BadInput(msg, remedy="Write day and time together, such as 2027-01-11T09:00.")
    return parse_day(day), parse_at(at)
