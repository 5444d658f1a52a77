"""What a key date is: its names, its rule, who proclaimed it, and when it falls. It sends nothing, reads no files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Final

from dateutil.relativedelta import relativedelta

from campaign.domain.addresses import printable
from campaign.domain.dayrules import Missing, Rule, parse_rule
from campaign.domain.errors import BadInput
from campaign.domain.shapes import MAX_SLUG, is_country, is_https, is_language, is_line, is_slug, language_chain

_FIELDS: Final = frozenset(
    {"slug", "names", "rule", "missing", "length", "since", "proclaimed_by", "source", "topics", "countries", "themes"}
    | {"notes"}
)


class KeyDatesRefused(BadInput):
    """Some key dates cannot be read."""

    code = "key_dates_refused"


class Length(StrEnum):
    """How long an occurrence lasts: a day, seven days, or a month."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A key date in one year: `world-day-against-trafficking/2027-07-30`. `start` and `end` both belong to it."""

    key_date: str
    start: date
    end: date

    @property
    def key(self) -> str:
        """Give the part of an edition's name that tells occurrences apart: the first day."""
        return self.start.isoformat()


@dataclass(frozen=True, slots=True)
class KeyDate:
    """An observance. `names` and `themes` go by language and by year; `since` is the first year it was kept.

    `countries` are the ISO 3166 codes it is meant for; none means everywhere. It informs organisers and choices of
    audience and never excludes anybody by itself.
    """

    slug: str
    names: Mapping[str, str]
    rule: Rule
    length: Length = Length.DAY
    proclaimed_by: str = ""
    source: str = ""
    topics: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    themes: Mapping[int, str] = field(default_factory=dict)
    since: int | None = None
    notes: str = ""

    def name(self, language: str = "en") -> str:
        """Give the name in that language, else in its parent (`pt` for `pt-BR`), else in English, else in any."""
        by_tag = {tag.casefold(): name for tag, name in self.names.items()}
        found = next((by_tag[tag] for tag in (*language_chain(language), "en") if tag in by_tag), None)
        return found or next(iter(self.names.values()))

    def theme(self, year: int) -> str:
        """Give the theme that was proclaimed for that year, or nothing where we do not know one."""
        return self.themes.get(year, "")

    def occurrences(self, first: date, last: date) -> list[Occurrence]:
        """Give each occurrence that begins from `first` to `last`, both included, in order."""
        begun = max(first, date(self.since, 1, 1)) if self.since else first
        return [Occurrence(self.slug, day, self._end(day)) for day in self.rule.starts(begun, last)]

    def next_after(self, day: date) -> Occurrence | None:
        """Give the first occurrence that begins on that day or later, looking nine years ahead (two leap days)."""
        return next(iter(self.occurrences(day, day + timedelta(days=9 * 366))), None)

    def _end(self, start: date) -> date:
        """Give the last day: the seventh, or the day before the same day of the next month."""
        if self.length is Length.MONTH:
            return start + relativedelta(months=1, days=-1)
        return start + timedelta(days=6 if self.length is Length.WEEK else 0)

    def mapping(self) -> dict[str, Any]:
        """Give it as plain JSON-able values, the same that `key_date_from` reads."""
        return {
            "slug": self.slug,
            "names": dict(self.names),
            "rule": str(self.rule),
            **({"missing": str(self.rule.missing)} if self.rule.missing else {}),
            "length": str(self.length),
            "proclaimed_by": self.proclaimed_by,
            "source": self.source,
            "topics": list(self.topics),
            "countries": list(self.countries),
            "themes": {str(year): theme for year, theme in self.themes.items()},
            **({"since": self.since} if self.since else {}),
            "notes": self.notes,
        }


def key_dates_from(parsed: Mapping[str, Any], origin: str = "key_dates.toml") -> list[KeyDate]:
    """Read a parsed TOML with `[[key_date]]` tables; raise KeyDatesRefused that names every mistake at once.

    `origin` is the file's name for the message. Slugs are unique within it.
    """
    entries = parsed.get("key_date", [])
    mistakes = [f"unknown table {printable(str(name))}" for name in parsed if name != "key_date"]
    if not isinstance(entries, list):
        entries, mistakes = [], [*mistakes, "key_date must be a list of tables: write [[key_date]]"]
    found: dict[str, KeyDate] = {}
    for number, entry in enumerate(entries, 1):
        label = f"key date {number}"
        try:
            key_date = key_date_from(entry if isinstance(entry, Mapping) else {})
        except KeyDatesRefused as error:
            mistakes.append(f"{label}: {error.message}")
            continue
        if key_date.slug in found:
            mistakes.append(f"{label}: the slug {key_date.slug} is there twice")
        found[key_date.slug] = key_date
    if mistakes:
        raise KeyDatesRefused("\n".join(f"{origin}: {one}" for one in mistakes), remedy="Mend each and try again.")
    return list(found.values())


def key_date_from(entry: Mapping[str, Any]) -> KeyDate:
    """Read one key date from plain values; raise KeyDatesRefused that names every mistake in it."""
    mistakes = list(_mistakes(entry))
    slug = entry.get("slug")
    label = slug if is_slug(slug) else "(no slug)"
    rule: Rule | None = None
    try:
        rule = _rule(entry)
    except BadInput as error:
        mistakes.append(str(error))
    if mistakes or rule is None:
        msg = f"{label}: {'; '.join(mistakes)}"
        raise KeyDatesRefused(msg)
    return KeyDate(
        slug=label,
        names=dict(entry["names"]),
        rule=rule,
        length=Length(entry.get("length", "day")),
        proclaimed_by=entry.get("proclaimed_by", ""),
        source=entry.get("source", ""),
        topics=tuple(entry.get("topics", ())),
        countries=tuple(entry.get("countries", ())),
        themes={int(year): theme for year, theme in entry.get("themes", {}).items()},
        since=entry.get("since"),
        notes=entry.get("notes", ""),
    )


def _rule(entry: Mapping[str, Any]) -> Rule:
    """Read the rule: words, or a list of dates as TOML has them."""
    given, missing = entry.get("rule"), entry.get("missing")
    if isinstance(given, list) and given:
        given = f"dates {' '.join(str(day) for day in given)}"
    if not isinstance(given, str) or not given.strip():
        msg = "rule is missing: say when it falls, such as '30 July'"
        raise KeyDatesRefused(msg)
    if missing is not None and missing not in list(Missing):
        msg = "missing must be skip, before or after"
        raise KeyDatesRefused(msg)
    return parse_rule(given, Missing(missing) if missing is not None else None)


def _mistakes(entry: Mapping[str, Any]) -> Iterator[str]:
    """Name what is wrong with everything but the rule."""
    slug = entry.get("slug")
    if not is_slug(slug):
        yield f"slug must be small letters, digits and hyphens, at most {MAX_SLUG}"
    for name in sorted(str(key) for key in entry.keys() - _FIELDS):
        yield f"{printable(name)} is not a field of a key date"
    yield from _name_mistakes(entry.get("names"))
    for name in ("proclaimed_by", "source", "notes"):
        if not is_line(entry.get(name, "")):
            yield f"{name} must be one line of text"
    if entry.get("length", "day") not in list(Length):
        yield "length must be day, week or month"
    since = entry.get("since")
    if since is not None and not (isinstance(since, int) and not isinstance(since, bool) and 1 <= since <= 2999):  # noqa: PLR2004 -- any year a date can have
        yield "since must be a year"
    if entry.get("source") and not is_https(entry["source"]):
        yield "source must be an https link"
    yield from _list_mistakes(entry)
    yield from _theme_mistakes(entry.get("themes", {}))


def _name_mistakes(names: object) -> Iterator[str]:
    if not isinstance(names, Mapping) or not names:
        yield "names must hold at least one name, such as names.en"
        return
    for language, name in names.items():
        if not is_language(language):
            yield f"{printable(str(language))} is not a language tag"
        if not is_line(name) or not name.strip():
            yield f"the name in {printable(str(language))} must be one line of text"


def _list_mistakes(entry: Mapping[str, Any]) -> Iterator[str]:
    for name, fits, wanted in (
        ("topics", is_slug, "words of small letters and hyphens"),
        ("countries", is_country, "two-letter codes such as US"),
    ):
        values = entry.get(name, [])
        if not isinstance(values, list | tuple) or not all(fits(value) for value in values):
            yield f"{name} must be a list of {wanted}"


def _theme_mistakes(themes: object) -> Iterator[str]:
    if not isinstance(themes, Mapping):
        yield "themes must go by year"
        return
    for year, theme in themes.items():
        if not re.fullmatch("[0-9]{4}", str(year)) or not is_line(theme):
            yield f"the theme of {printable(str(year))} must be one line of text under a year"
