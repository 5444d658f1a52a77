"""The calendar's front door: steps, and every name the other floors need for dates. It never asks what day it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from campaign.domain.addresses import printable
from campaign.domain.dayrules import Missing, Rule, RuleRefused, parse_rule
from campaign.domain.errors import BadInput
from campaign.domain.keydates import KeyDate, KeyDatesRefused, Length, Occurrence, key_date_from, key_dates_from
from campaign.domain.localtime import (
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
from campaign.domain.recurrence import Recurrence
from campaign.domain.rrules import RecurrenceRefused

__all__ = [
    "EVERY",
    "EXTRA",
    "ONCE",
    "ON_THE_DAY",
    "KeyDate",
    "KeyDatesRefused",
    "Length",
    "Missing",
    "Occurrence",
    "Recurrence",
    "RecurrenceRefused",
    "Rule",
    "RuleRefused",
    "Step",
    "end_of_day",
    "first_instant",
    "instant_at",
    "key_date_from",
    "key_dates_from",
    "last_call",
    "last_instant",
    "local_day",
    "parse_at",
    "parse_day",
    "parse_moment",
    "parse_rule",
    "parse_zone",
]

_DISTANCE: Final = re.compile(r"([0-9]{1,3}) ?(d|days?|w|weeks?)?", re.IGNORECASE)
_RUNG: Final = re.compile(r"([1-9][0-9]{0,2})d-(before|after)")
_MOST_DAYS: Final = 365


@dataclass(frozen=True, slots=True)
class Step:
    """One rung of a campaign, by its unique name and its distance in days: 30d-before, on-the-day, 3d-after.

    The names `every`, `once` and `extra` are for editions that stand around no key date; their distance is 0.
    """

    name: str
    offset_days: int

    @classmethod
    def before(cls, distance: str) -> Step:
        """Make the step that many days before (`30d`, `4w`, `30`); raise BadInput unless it is 1 to 365 days."""
        days = _days(distance)
        return cls(f"{days}d-before", -days)

    @classmethod
    def after(cls, distance: str) -> Step:
        """Make the step that many days after the last day of the occurrence."""
        days = _days(distance)
        return cls(f"{days}d-after", days)

    @classmethod
    def of(cls, offset_days: int) -> Step:
        """Make the step at that distance from a key date: below zero before it, zero on the day, above zero after."""
        if offset_days == 0:
            return ON_THE_DAY
        return cls.before(str(-offset_days)) if offset_days < 0 else cls.after(str(offset_days))

    @classmethod
    def parse(cls, name: str) -> Step:
        """Read a step by its name, as tables and commands hold it."""
        named = {step.name: step for step in (ON_THE_DAY, EVERY, ONCE, EXTRA)}.get(name)
        if named is not None:
            return named
        found = _RUNG.fullmatch(name)
        if found is None or int(found[1]) > _MOST_DAYS:
            msg = f"{printable(name)} is not a step."
            raise BadInput(msg, remedy="Steps are called 30d-before, on-the-day, 3d-after, every, once or extra.")
        return cls(name, int(found[1]) * (-1 if found[2] == "before" else 1))

    def day(self, occurrence: Occurrence) -> date:
        """Give the local day of this step: counted back from the first day, or on from the last of a longer one."""
        anchor = occurrence.end if self.offset_days > 0 else occurrence.start
        return anchor + timedelta(days=self.offset_days)

    def __str__(self) -> str:
        """Give the name."""
        return self.name


def _days(distance: str) -> int:
    """Read a distance in days or weeks."""
    found = _DISTANCE.fullmatch(distance.strip())
    days = int(found[1]) * (7 if found[2] and found[2][0] in "wW" else 1) if found else 0
    if not 1 <= days <= _MOST_DAYS:
        msg = f"{printable(distance)} is not a distance from 1 to {_MOST_DAYS} days."
        raise BadInput(msg, remedy="Write it like 30d or 4w; for the day itself use the step on the day.")
    return days


ON_THE_DAY: Final = Step("on-the-day", 0)
EVERY: Final = Step("every", 0)
ONCE: Final = Step("once", 0)
EXTRA: Final = Step("extra", 0)
