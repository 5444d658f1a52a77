"""What else may be known about people: attributes by name, each of one kind, and how a value is read.

It never stores one.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from campaign.domain.addresses import printable
from campaign.domain.errors import BadInput
from campaign.domain.shapes import is_line

Value = str | int | float | bool
"""A value that a segment can ask for; days are ISO text, which sorts as days do."""

MAX_TEXT: Final = 1_000
MAX_CHOICE: Final = 100
_MAX_NAME: Final = 80
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")
_FIELDS: Final = {"address", "email", "name", "country", "language", "timezone", "topic", "topics"}
_IN_RULES: Final = {"list", "domain", "state", "joined", "and", "or", "not", "in", "is", "known", "unknown", "before"}
_TAKEN: Final = frozenset(_FIELDS | _IN_RULES | {"after", "yes", "no", "true", "false", "line", "reason"})
"""Words that mean something else already, in a table's header or in a segment's rule."""

_YES: Final = frozenset(("yes", "true", "1", "y", "x", "si", "sí", "oui", "ja", "sim"))
_NO: Final = frozenset(("no", "false", "0", "n", "non", "nein", "não", "nao"))


class AttributeKind(StrEnum):
    """What the values of an attribute are. Free text is sealed at rest, and no segment can ask for it."""

    TEXT = "text"
    CHOICE = "choice"
    NUMBER = "number"
    DAY = "day"
    YES_NO = "yes-no"


class ValueRefused(BadInput):
    """This is no value of that attribute."""

    code = "value_refused"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute. `choices` are the values that a choice may have; none named means any short text."""

    name: str
    kind: AttributeKind = AttributeKind.TEXT
    choices: tuple[str, ...] = ()
    description: str = ""

    @property
    def sealed(self) -> bool:
        """Whether its values are sealed at rest, so that no segment can ask for them."""
        return self.kind is AttributeKind.TEXT


def checked(attribute: Attribute) -> Attribute:
    """Return an attribute that may be declared; raise BadInput for what is no name, no choice or too much."""
    if not is_name(attribute.name):
        msg = f"{printable(attribute.name)} cannot be the name of an attribute."
        remedy = "Write small letters, digits, - and _, such as member-since; words that a rule uses are taken."
        raise BadInput(msg, remedy=remedy)
    if attribute.choices and attribute.kind is not AttributeKind.CHOICE:
        raise BadInput("Only a choice has choices.", remedy="Write --kind choice, or leave --choice out.")
    for choice in attribute.choices:
        if not choice or not is_line(choice, MAX_CHOICE):
            raise BadInput(
                f"{printable(choice)} cannot be a choice.", remedy=f"Write one line of {MAX_CHOICE} at most."
            )
    if not is_line(attribute.description):
        raise BadInput("A description is one line of text.", remedy="Make it shorter.")
    return attribute


def is_name(text: str) -> bool:
    """Tell whether an attribute may be called so."""
    return len(text) <= _MAX_NAME and bool(_NAME.fullmatch(text)) and text not in _TAKEN


def name_from(title: str) -> str | None:
    """Return the attribute's name that a column's title makes (`Shoe Size` is shoe-size), or None."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", title.casefold()) if not unicodedata.combining(c))
    name = re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")[:_MAX_NAME]
    return name if is_name(name) else None


def parse_value(attribute: Attribute, text: str) -> Value:
    """Read one value as people type it (never empty); raise ValueRefused naming the attribute and what it takes."""
    words = text.strip()
    if attribute.kind is AttributeKind.NUMBER:
        return _number(attribute, words)
    if attribute.kind is AttributeKind.DAY:
        return _day(attribute, words)
    if attribute.kind is AttributeKind.YES_NO:
        return _yes_or_no(attribute, words)
    if attribute.kind is AttributeKind.CHOICE:
        return _choice(attribute, words)
    if not is_line(words, MAX_TEXT):
        raise _refused(attribute, words, f"Write one line of {MAX_TEXT:,} characters at most.")
    return words


def _number(attribute: Attribute, text: str) -> int | float:
    """Read 12, -3.5 or 12,5; thousands are not divided, because nobody knows what 1.000 means."""
    plain = text.replace(",", ".") if text.count(",") == 1 and "." not in text else text
    if re.fullmatch(r"[+-]?[0-9]{1,15}", plain):
        return int(plain)
    if re.fullmatch(r"[+-]?[0-9]{1,15}\.[0-9]{1,10}", plain) and math.isfinite(float(plain)):
        return float(plain)
    raise _refused(attribute, text, "Write a number such as 12 or 3.5, without anything between thousands.")


def _day(attribute: Attribute, text: str) -> str:
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            pass
    raise _refused(attribute, text, "Write a day as 2026-11-24.")


def _yes_or_no(attribute: Attribute, text: str) -> bool:
    word = text.casefold()
    if word in _YES or word in _NO:
        return word in _YES
    raise _refused(attribute, text, "Write yes or no.")


def _choice(attribute: Attribute, text: str) -> str:
    if not attribute.choices:
        if is_line(text, MAX_CHOICE):
            return text
        raise _refused(attribute, text, f"Write one line of {MAX_CHOICE} characters at most.")
    meant = {choice.casefold(): choice for choice in attribute.choices}
    if text.casefold() in meant:
        return meant[text.casefold()]
    raise _refused(attribute, text, f"Write {one_of(attribute.choices)}.")


def one_of(words: Sequence[str]) -> str:
    """Give words as they are offered: `a`, `a or b`, `a, b or c`."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _refused(attribute: Attribute, text: str, remedy: str) -> ValueRefused:
    return ValueRefused(f"{printable(text)} is not a value of {attribute.name} ({attribute.kind}).", remedy=remedy)
