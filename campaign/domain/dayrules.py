"""How a key date finds its days: `30 July`, `last friday`, `easter+1`, `hijri 1 9`, a table. It knows no names."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import ClassVar, Final, Literal, Protocol

from dateutil.easter import easter
from hijridate import Gregorian, Hijri

from campaign.domain.addresses import printable
from campaign.domain.errors import BadInput
from campaign.domain.localtime import parse_day
from campaign.domain.recurrence import MONTHS, Recurrence

_HIJRI_FIRST: Final = date(1924, 8, 1)
_HIJRI_LAST: Final = date(2077, 11, 16)
_HIJRI_YEARS: Final = (1343, 1500)
_HIJRI_MONTH: Final = 30
_LEAP_YEAR: Final = 2024
_MOST_DAYS: Final = 300
_FIRST_EASTER: Final = 1583
_DAY: Final = timedelta(days=1)


class RuleRefused(BadInput):
    """That is not a rule for a key date."""

    code = "rule_refused"


class Missing(StrEnum):
    """What happens in a year that lacks the day: left out, kept on the day before, or kept on the day after."""

    SKIP = "skip"
    BEFORE = "before"
    AFTER = "after"


class Rule(Protocol):
    """What finds the first days of a key date. `str()` gives the text that `parse_rule` reads back."""

    def starts(self, first: date, last: date) -> list[date]:
        """Give each first day from `first` to `last`, both included, in order."""
        ...

    @property
    def missing(self) -> Missing | None:
        """Give what happens in a year without the day; None where every year has it."""
        ...

    @property
    def known_until(self) -> date | None:
        """Give the last day up to which the rule has an answer; None for one that has no end."""
        ...


@dataclass(frozen=True, slots=True)
class FixedDay:
    """The same day of the same month each year, and what to do without a 29 February."""

    month: int
    day: int
    missing: Missing | None = None
    known_until: ClassVar[date | None] = None

    def starts(self, first: date, last: date) -> list[date]:
        """Give the day of each year in the stretch."""
        return _within(first, last, (self._in(year) for year in range(first.year, last.year + 1)))

    def _in(self, year: int) -> date | None:
        length = calendar.monthrange(year, self.month)[1]
        if self.day <= length:
            return date(year, self.month, self.day)
        last = date(year, self.month, length)
        return {Missing.BEFORE: last, Missing.AFTER: last + _DAY}.get(self.missing or Missing.SKIP)

    def __str__(self) -> str:
        """Give it as people write it: `30 July`."""
        return f"{self.day} {MONTHS[self.month - 1].capitalize()}"


@dataclass(frozen=True, slots=True)
class EasterDay:
    """So many days from Easter Sunday: the Western one, or the Orthodox one where `orthodox` is set."""

    offset: int = 0
    orthodox: bool = False
    missing: ClassVar[Missing | None] = None
    known_until: ClassVar[date | None] = None

    def starts(self, first: date, last: date) -> list[date]:
        """Give the day for each Easter, one year wider at both ends because the offset may cross New Year."""
        method: Literal[2, 3] = 2 if self.orthodox else 3  # dateutil's EASTER_ORTHODOX and EASTER_WESTERN
        years = range(max(first.year - 1, _FIRST_EASTER), last.year + 2)
        return _within(first, last, (easter(year, method) + timedelta(days=self.offset) for year in years))

    def __str__(self) -> str:
        """Give it as `easter+1` or `orthodox easter`."""
        return f"{'orthodox ' if self.orthodox else ''}easter{f'{self.offset:+d}' if self.offset else ''}"


@dataclass(frozen=True, slots=True)
class HijriDay:
    """A day of the Islamic calendar, by the Umm al-Qura tables (1343 to 1500 AH, 1924 to 2077).

    It is the civil day that the tables name: countries that watch for the moon may keep it a day earlier or later,
    and the observance itself begins on the evening before. There may be two in one year of ours.
    """

    month: int
    day: int
    missing: Missing | None = None
    known_until: ClassVar[date | None] = _HIJRI_LAST

    def starts(self, first: date, last: date) -> list[date]:
        """Give the day of each Hijri year that the stretch touches."""
        low, high = max(first, _HIJRI_FIRST), min(last, _HIJRI_LAST)
        if high < low:
            return []
        years = range(max(_hijri_year(low) - 1, _HIJRI_YEARS[0]), min(_hijri_year(high) + 1, _HIJRI_YEARS[1]) + 1)
        return _within(low, high, (self._in(year) for year in years))

    def _in(self, year: int) -> date | None:
        begins = Hijri(year, self.month, 1)
        length, opening = begins.month_length(), begins.to_gregorian()
        short = self.day > length
        if short and self.missing in {None, Missing.SKIP}:
            return None
        ahead = length - 1 if short and self.missing is Missing.BEFORE else self.day - 1
        return date(opening.year, opening.month, opening.day) + timedelta(days=ahead)

    def __str__(self) -> str:
        """Give it as `hijri DAY MONTH`, both in numbers."""
        return f"hijri {self.day} {self.month}"


def _hijri_year(day: date) -> int:
    return int(Gregorian(day.year, day.month, day.day).to_hijri().year)


@dataclass(frozen=True, slots=True)
class DayTable:
    """Days that somebody wrote down one by one, because no rule gives them."""

    days: tuple[date, ...]
    missing: ClassVar[Missing | None] = None

    def starts(self, first: date, last: date) -> list[date]:
        """Give those in the stretch."""
        return _within(first, last, self.days)

    @property
    def known_until(self) -> date | None:
        """Give the last day in the table."""
        return self.days[-1]

    def __str__(self) -> str:
        """Give it as `dates 2026-05-04 2027-05-03`."""
        return f"dates {' '.join(str(day) for day in self.days)}"


@dataclass(frozen=True, slots=True)
class ComesRound:
    """Whatever `Recurrence` can say: `second sunday of may`, an RRULE."""

    recurrence: Recurrence
    missing: ClassVar[Missing | None] = None
    known_until: ClassVar[date | None] = None

    def starts(self, first: date, last: date) -> list[date]:
        """Give each of its days in the stretch."""
        return self.recurrence.days(first, last)

    def __str__(self) -> str:
        """Give the recurrence's own words."""
        return str(self.recurrence)


def _within(first: date, last: date, days: Iterable[date | None]) -> list[date]:
    """Keep the days of the stretch, in order, each once."""
    return sorted({day for day in days if day is not None and first <= day <= last})


_FIXED: Final = re.compile(rf"([0-9]{{1,2}}) ({'|'.join(MONTHS)})|({'|'.join(MONTHS)}) ([0-9]{{1,2}})")
_EASTER: Final = re.compile(r"(orthodox )?easter ?([+-] ?[0-9]{1,3})?")
_HIJRI: Final = re.compile(r"hijri ([0-9]{1,2}) ([0-9]{1,2})")
_FORMS: Final = (
    "Write it like '30 July', 'second sunday of may', 'easter+1', 'orthodox easter-2', 'hijri 1 9' (day, month), "
    "'dates 2026-05-04 2027-05-03', or an RRULE."
)


def parse_rule(text: str, missing: Missing | None = None) -> Rule:
    """Read a rule; raise RuleRefused with the forms there are.

    A day that some years lack (29 February, the 30th of a Hijri month) must come with `missing`, because nobody can
    guess what is meant; any other rule must come without.
    """
    plain = " ".join(text.split())
    for read in (_fixed, _easter, _hijri, _table):
        rule = read(plain.lower(), missing)
        if rule is not None:
            break
    else:
        rule = _recurring(plain)
    if missing is not None and rule.missing is None:
        msg = f"{printable(plain)} is in every year."
        raise RuleRefused(msg, remedy="Take 'missing' away.")
    return rule


def _fixed(text: str, missing: Missing | None) -> Rule | None:
    found = _FIXED.fullmatch(text)
    if found is None:
        return None
    day, month = int(found[1] or found[4]), MONTHS.index(found[2] or found[3]) + 1
    if not 1 <= day <= calendar.monthrange(_LEAP_YEAR, month)[1]:
        msg = f"There is no {printable(text)} in any year."
        raise RuleRefused(msg, remedy="Check the day; for the end of each month write 'last day'.")
    return FixedDay(month, day, _policy(text, missing, sometimes=(month, day) == (2, 29)))


def _easter(text: str, _: Missing | None) -> Rule | None:
    found = _EASTER.fullmatch(text)
    if found is None:
        return None
    offset = int((found[2] or "0").replace(" ", ""))
    if abs(offset) > _MOST_DAYS:
        msg = f"{printable(text)} is too far from Easter."
        raise RuleRefused(msg, remedy=f"Keep within {_MOST_DAYS} days.")
    return EasterDay(offset, orthodox=bool(found[1]))


def _hijri(text: str, missing: Missing | None) -> Rule | None:
    found = _HIJRI.fullmatch(text)
    if found is None:
        return None
    day, month = int(found[1]), int(found[2])
    if not (1 <= day <= _HIJRI_MONTH and 1 <= month <= len(MONTHS)):
        msg = f"{printable(text)} is not a day of the Islamic calendar."
        raise RuleRefused(msg, remedy="Write 'hijri DAY MONTH' in numbers: 'hijri 1 9' is the first of Ramadan.")
    return HijriDay(month, day, _policy(text, missing, sometimes=day == _HIJRI_MONTH))


def _policy(text: str, missing: Missing | None, *, sometimes: bool) -> Missing | None:
    """Insist on a policy where some years lack the day; elsewhere there is none."""
    if sometimes and missing is None:
        msg = f"{printable(text)} is not in every year."
        raise RuleRefused(msg, remedy="Add missing = 'skip', 'before' or 'after' to say what happens in the others.")
    return missing if sometimes else None


def _table(text: str, _: Missing | None) -> Rule | None:
    if not text.startswith("dates"):
        return None
    days = sorted({parse_day(part) for part in re.split(r"[ ,]+", text.removeprefix("dates").strip()) if part})
    if not days:
        msg = "The table of dates is empty."
        raise RuleRefused(msg, remedy=_FORMS)
    return DayTable(tuple(days))


def _recurring(text: str) -> Rule:
    """Read it as a recurrence, but answer a mistake with the forms for key dates."""
    try:
        return ComesRound(Recurrence.parse(text))
    except BadInput as error:
        if "FREQ=" in text.upper():
            raise
        msg = f"{printable(text)} is not a rule for a key date."
        raise RuleRefused(msg, remedy=_FORMS) from error
