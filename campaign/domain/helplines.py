"""Whom people can call, by country, and until when we may say so. It never looks a number up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

from campaign.domain.addresses import printable
from campaign.domain.errors import BadInput
from campaign.domain.shapes import is_country, is_https, is_language, is_line, is_slug, language_chain

_WAYS: Final = {"call": "tel:", "text": "sms:", "chat": ""}
_NUMBER: Final = re.compile(r"\+?[0-9][0-9 ()-]{1,20}")
_FIELDS: Final = frozenset({"slug", "countries", "name", "numbers", "languages", "notes", "source", "review_on"})


class HelplinesRefused(BadInput):
    """Some helplines cannot be read."""

    code = "helplines_refused"


@dataclass(frozen=True, slots=True)
class Number:
    """One way to reach a helpline: `call` or `text` with a number as people write it, `chat` with an https link."""

    way: str
    value: str

    @property
    def link(self) -> str:
        """The link that a telephone or browser opens (RFC 3966 for tel, RFC 5724 for sms)."""
        return f"{_WAYS[self.way]}{re.sub('[ ()-]', '', self.value) if _WAYS[self.way] else self.value}"


@dataclass(frozen=True, slots=True)
class Helpline:
    """One service, the countries it serves, its languages (`*` for an interpreter in many) and notes by language."""

    slug: str
    countries: tuple[str, ...]
    name: str
    numbers: tuple[Number, ...]
    source: str
    review_on: date
    languages: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)

    def note(self, language: str = "en") -> str:
        """Give the note in that language, else in its parent, else in English, else nothing."""
        return next((self.notes[tag] for tag in (*language_chain(language), "en") if tag in self.notes), "")

    def plain(self, country: str, language: str = "en") -> dict[str, str]:
        """Give what a letter shows: name, country, phone, text, url and note, each empty where there is none."""
        first = {way: next((n.value for n in self.numbers if n.way == way), "") for way in _WAYS}
        shown = {"phone": first["call"], "text": first["text"], "url": first["chat"]}
        return {"name": self.name, "country": country, **shown, "note": self.note(language)}

    def stale(self, today: date) -> bool:
        """Tell whether the day by which somebody had to check it again is over."""
        return today > self.review_on


@dataclass(frozen=True, slots=True)
class ForCountry:
    """What may be shown for a country today, and what is left out until somebody reviews it."""

    shown: tuple[Helpline, ...]
    stale: tuple[Helpline, ...]


@dataclass(frozen=True, slots=True)
class Helplines:
    """All helplines that are known here, in the order of the file."""

    entries: tuple[Helpline, ...] = ()

    def for_country(self, country: str | None, today: date) -> ForCountry:
        """Give those that serve the country; none where the country is not known."""
        code = (country or "").strip().upper()
        serving = [entry for entry in self.entries if code in entry.countries]
        return ForCountry(
            tuple(entry for entry in serving if not entry.stale(today)),
            tuple(entry for entry in serving if entry.stale(today)),
        )

    def stale(self, today: date) -> tuple[Helpline, ...]:
        """Give every entry that somebody has to review."""
        return tuple(entry for entry in self.entries if entry.stale(today))

    def reviewed(self, until: date) -> Helplines:
        """Give the same helplines as if each had been checked and were good until that day."""
        return Helplines(tuple(replace(entry, review_on=until) for entry in self.entries))

    def overlaid(self, own: Helplines) -> Helplines:
        """Give these with the entries of `own` in the place of those of the same slug, and the rest of `own` after."""
        chosen = {entry.slug: entry for entry in self.entries} | {entry.slug: entry for entry in own.entries}
        return Helplines(tuple(chosen.values()))


def helplines_from(parsed: Mapping[str, Any], origin: str = "helplines.toml") -> Helplines:
    """Read a parsed TOML with `[[helpline]]` tables; raise HelplinesRefused that names every mistake at once."""
    entries = parsed.get("helpline", [])
    mistakes = [f"unknown table {printable(str(name))}" for name in parsed if name != "helpline"]
    if not isinstance(entries, list):
        entries, mistakes = [], [*mistakes, "helpline must be a list of tables: write [[helpline]]"]
    found: dict[str, Helpline] = {}
    for number, entry in enumerate(entries, 1):
        wrong = list(_mistakes(entry)) if isinstance(entry, Mapping) else ["it is not a table"]
        slug = entry.get("slug") if isinstance(entry, Mapping) else None
        if not wrong and slug in found:
            wrong = ["this slug is there twice"]
        label = slug if is_slug(slug) else "no slug"
        mistakes += [f"helpline {number} ({label}): {one}" for one in wrong]
        if not wrong:
            found[entry["slug"]] = _helpline(entry)
    if mistakes:
        raise HelplinesRefused("\n".join(f"{origin}: {one}" for one in mistakes), remedy="Mend each and try again.")
    return Helplines(tuple(found.values()))


def _helpline(entry: Mapping[str, Any]) -> Helpline:
    """Build one from values that were found right."""
    return Helpline(
        slug=entry["slug"],
        countries=tuple(entry["countries"]),
        name=entry["name"],
        numbers=tuple(Number(way, value) for number in entry["numbers"] for way, value in number.items()),
        source=entry["source"],
        review_on=entry["review_on"],
        languages=tuple(entry.get("languages", ())),
        notes={tag.casefold(): note for tag, note in entry.get("notes", {}).items()},
    )


def _mistakes(entry: Mapping[str, Any]) -> Iterator[str]:
    """Name what is wrong with one entry."""
    for name in sorted(str(key) for key in entry.keys() - _FIELDS):
        yield f"{printable(name)} is not a field of a helpline"
    if not is_slug(entry.get("slug")):
        yield "slug must be small letters, digits and hyphens"
    if not _filled(entry.get("countries"), is_country):
        yield "countries must list two-letter codes such as US"
    if not is_line(entry.get("name")) or not str(entry["name"]).strip():
        yield "name must be one line of text"
    if not _filled(entry.get("numbers"), _is_number):
        yield 'numbers must list tables such as { call = "116 006" }, { text = "233733" } or { chat = "https://..." }'
    if not is_https(entry.get("source")):
        yield "source must be the https link where it was checked"
    if type(entry.get("review_on")) is not date:
        yield "review_on must be a date such as 2027-06-30, without quotes"
    if "languages" in entry and not _filled(entry["languages"], lambda tag: tag == "*" or is_language(tag)):
        yield 'languages must list tags such as en, or "*"'
    notes = entry.get("notes", {})
    if not isinstance(notes, Mapping) or not all(is_language(tag) and is_line(note) for tag, note in notes.items()):
        yield "notes must hold one line of text by language, such as notes.en"


def _filled(values: object, fits: Callable[[object], bool]) -> bool:
    return isinstance(values, list) and bool(values) and all(fits(value) for value in values)


def _is_number(value: object) -> bool:
    """Tell whether it is one way to reach somebody, with a number or a link that fits it."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return False
    ((way, given),) = value.items()
    if way == "chat":
        return is_https(given)
    return way in _WAYS and isinstance(given, str) and bool(_NUMBER.fullmatch(given))
