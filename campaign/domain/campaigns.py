"""What an organiser makes: the definition of a campaign, and the exact things an approval covers.

It never stores it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, time
from typing import Any, Final

from campaign.domain.addresses import printable
from campaign.domain.delivery import Policy
from campaign.domain.errors import BadInput
from campaign.domain.people import parse_country, parse_language
from campaign.domain.shapes import language_chain

LOCAL_TIME: Final = "local"
"""The zone rule under which each letter goes out at the wall-clock time of its own reader."""

MAX_ARTICLES: Final = 6


@dataclass(frozen=True, slots=True)
class Where:
    """The rule that narrows an audience: `country=US,GB language=en`.

    Every named attribute must match one of its values.
    """

    country: tuple[str, ...] = ()
    language: tuple[str, ...] = ()

    def admits(self, country: str | None, language: str | None) -> bool:
        """Say whether a person fits; `en` fits everybody who reads a kind of English, `en-GB` only that kind."""
        if self.country and (country or "").upper() not in self.country:
            return False
        return not self.language or bool(set(language_chain(language or "")) & set(self.language))

    def __str__(self) -> str:
        """Give the rule as it is written on the command line."""
        parts = {"country": self.country, "language": self.language}
        return " ".join(f"{name}={','.join(values)}" for name, values in parts.items() if values)


def parse_where(rules: tuple[str, ...] | list[str]) -> Where:
    """Read `country=US,GB` and `language=en`; raise BadInput naming what is allowed."""
    found: dict[str, tuple[str, ...]] = {}
    for rule in rules:
        name, equals, values = (part.strip() for part in rule.partition("="))
        words = tuple(word.strip() for word in values.split(",") if word.strip())
        if not equals or name not in {"country", "language"} or not words or name in found:
            msg = f"{printable(rule)} is not an audience rule."
            raise BadInput(msg, remedy="Write country=US,GB or language=en,es, each at most once.")
        read = parse_country if name == "country" else parse_language
        found[name] = tuple(dict.fromkeys(read(word) for word in words))
    return Where(found.get("country", ()), tuple(word.lower() for word in found.get("language", ())))


@dataclass(frozen=True, slots=True)
class Definition:
    """Everything that makes a campaign. Exactly one of `key_date`, `every` and `once` says when it happens."""

    key_date: str | None = None
    every: str | None = None
    once: str | None = None
    offsets: tuple[int, ...] = ()
    at: str = "09:00"
    zone: str = LOCAL_TIME
    lists: tuple[str, ...] = ()
    where: Where = Where()
    segment: str | None = None
    topics: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    language: str | None = None
    title: str = ""
    intro: str = ""
    subject: str = ""
    most: int = MAX_ARTICLES
    policy: Policy = Policy.HOLD
    each_edition: bool = False

    @property
    def local(self) -> bool:
        """Whether each reader's own time zone decides."""
        return self.zone == LOCAL_TIME

    @property
    def narrowing(self) -> str:
        """What narrows the lists' people, in one phrase; nothing where everybody on them is meant."""
        parts = (str(self.where), f"the segment {self.segment}" if self.segment else "")
        return " and ".join(part for part in parts if part)

    @property
    def wall_time(self) -> time:
        """The time on the wall at which letters go out."""
        return time.fromisoformat(self.at)

    @property
    def once_at(self) -> datetime | None:
        """The local moment of a campaign that happens once, without a zone."""
        return datetime.fromisoformat(self.once) if self.once else None

    def to_json(self) -> dict[str, Any]:
        """Return plain data for the database; `from_json` gives it back."""
        return asdict(self)

    def changed(self, changes: Mapping[str, Any]) -> Definition:
        """Return this definition with `changes` made."""
        return replace(self, **changes)


def definition_from(stored: Mapping[str, Any]) -> Definition:
    """Give back a definition that `to_json` made; unknown fields of a later version are left out."""
    known = {field.name for field in fields(Definition)}
    values: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in stored.items() if name in known
    }
    where = stored.get("where") or {}
    values["where"] = Where(tuple(where.get("country", ())), tuple(where.get("language", ())))
    values["policy"] = Policy(stored.get("policy", Policy.HOLD))
    return Definition(**values)


def checked(definition: Definition) -> Definition:
    """Return `definition` when it is whole; raise BadInput with what is missing otherwise."""
    if not definition.lists:
        msg = "A campaign needs an audience."
        raise BadInput(msg, remedy="Name a list: --list supporters.")
    if sum(bool(x) for x in (definition.key_date, definition.every, definition.once)) != 1:
        msg = "A campaign needs to know when: one of a key date, a recurrence or a single date."
        raise BadInput(msg, remedy="Give exactly one of --key-date, --every or --once.")
    if definition.key_date and not definition.offsets:
        msg = "A campaign around a key date needs at least one step."
        raise BadInput(msg, remedy="Add --remind 7d, --on-the-day or --after 3d.")
    if definition.offsets and not definition.key_date:
        msg = "Steps before and after belong to a key date."
        raise BadInput(msg, remedy="Add --key-date, or leave out --remind, --on-the-day and --after.")
    return definition


def approval_digest(
    definition: Definition, *, sender: str, templates: bytes, articles: Mapping[str, str], rule: str | None = None
) -> bytes:
    """Return the 32 bytes that an approval is bound to.

    Steps, audience with the `rule` of its segment, content rule, pinned articles, sender, templates.
    `templates` is a digest of the home's own templates (not of the shipped ones: an upgrade must not silence 30 July);
    `articles` maps each pinned article to a digest of its content.
    """
    covered: dict[str, Any] = {
        "definition": definition.to_json(),
        "sender": sender,
        "templates": templates.hex(),
        "articles": dict(articles),
    }
    if rule is None:  # as it was before there were segments: an upgrade must not void an approval
        del covered["definition"]["segment"]
    else:
        covered["rule"] = rule
    return hashlib.sha256(json.dumps(covered, sort_keys=True, ensure_ascii=True).encode()).digest()
