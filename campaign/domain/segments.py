"""What a segment's rule says: terms about people, joined by and, or, not. It finds nobody.

A term is true or false, never unknown: what is not known about somebody equals nothing, differs from nothing, and is
neither more nor less; only `is unknown` finds it. So `country != "US"` means people known to live elsewhere, and
`not country = "US"` also those of whom nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final

from campaign.domain.attributes import Value
from campaign.domain.shapes import language_chain

JOINED: Final = "joined"
LANGUAGE: Final = "language"
BUILT_IN: Final = ("country", LANGUAGE, "timezone", "domain", JOINED)
"""Fields that everybody has besides declared attributes; `joined` is the day (UTC) since when somebody is known."""


class Op(StrEnum):
    """How a field is compared."""

    IS = "="
    DIFFERS = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="


@dataclass(frozen=True, slots=True)
class Compare:
    """`field op value`. A language is compared with its kinds: `en` is every kind of English."""

    field: str
    op: Op
    value: Value

    def __str__(self) -> str:
        return f"{self.field} {self.op} {written(self.value)}"


@dataclass(frozen=True, slots=True)
class OneOf:
    """`field in (…)`, or `field not in (…)`, which is about people whose value is known."""

    field: str
    values: tuple[Value, ...]
    negated: bool = False

    def __str__(self) -> str:
        return f"{self.field} {'not ' if self.negated else ''}in ({', '.join(map(written, self.values))})"


@dataclass(frozen=True, slots=True)
class Known:
    """`field is known`, or `field is unknown`."""

    field: str
    negated: bool = False

    def __str__(self) -> str:
        return f"{self.field} is {'unknown' if self.negated else 'known'}"


@dataclass(frozen=True, slots=True)
class Topic:
    """`topic "policy"`: somebody who chose that topic."""

    name: str

    def __str__(self) -> str:
        return f"topic {written(self.name)}"


@dataclass(frozen=True, slots=True)
class OnList:
    """`list "press"`: somebody active on that list."""

    slug: str

    def __str__(self) -> str:
        return f"list {written(self.slug)}"


@dataclass(frozen=True, slots=True)
class Not:
    """`not …`."""

    rule: Rule

    def __str__(self) -> str:
        return f"not {_inside(self.rule, And, Or)}"


@dataclass(frozen=True, slots=True)
class And:
    """`… and …`: all of them."""

    rules: tuple[Rule, ...]

    def __str__(self) -> str:
        return " and ".join(_inside(rule, And, Or) for rule in self.rules)


@dataclass(frozen=True, slots=True)
class Or:
    """`… or …`: any of them."""

    rules: tuple[Rule, ...]

    def __str__(self) -> str:
        return " or ".join(_inside(rule, Or) for rule in self.rules)


Term = Compare | OneOf | Known | Topic | OnList
Rule = Term | Not | And | Or


@dataclass(frozen=True, slots=True)
class Someone:
    """What a rule can ask about a person."""

    domain: str
    joined: date
    country: str | None = None
    language: str | None = None
    timezone: str | None = None
    attributes: Mapping[str, Value] = field(default_factory=dict)
    topics: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    """The lists on which they are active."""

    def value(self, name: str) -> Value | None:
        """Return the value of a field, or None where it is not known."""
        if name == JOINED:
            return self.joined.isoformat()
        return getattr(self, name) if name in BUILT_IN else self.attributes.get(name)


def admits(rule: Rule, who: Someone) -> bool:
    """Say whether a person fits a rule."""
    match rule:
        case And():
            return all(admits(one, who) for one in rule.rules)
        case Or():
            return any(admits(one, who) for one in rule.rules)
        case Not():
            return not admits(rule.rule, who)
    return _fits(rule, who)


def _fits(term: Term, who: Someone) -> bool:
    if isinstance(term, Topic):
        return term.name in who.topics
    if isinstance(term, OnList):
        return term.slug in who.lists
    value = who.value(term.field)
    if isinstance(term, Known):
        return (value is None) is term.negated
    if isinstance(term, OneOf):
        return value is not None and any(_same(term.field, value, one) for one in term.values) is not term.negated
    return value is not None and _compared(term, value)


def _compared(rule: Compare, value: Value) -> bool:
    if rule.op in {Op.IS, Op.DIFFERS}:
        return _same(rule.field, value, rule.value) is (rule.op is Op.IS)
    less = value < rule.value  # type: ignore[operator]  # the check of a rule lets only numbers and days come here
    same = value == rule.value
    return {Op.LESS: less, Op.AT_MOST: less or same, Op.MORE: not less and not same, Op.AT_LEAST: not less}[rule.op]


def _same(name: str, value: Value, wanted: Value) -> bool:
    if name == LANGUAGE:
        return str(wanted).casefold() in language_chain(str(value))
    return value == wanted


def lists_of(rule: Rule) -> frozenset[str]:
    """Return the lists that a rule names."""
    match rule:
        case OnList():
            return frozenset({rule.slug})
        case Not():
            return lists_of(rule.rule)
        case And() | Or():
            return frozenset().union(*map(lists_of, rule.rules))
    return frozenset()


def fields_of(rule: Rule) -> frozenset[str]:
    """Return the fields and attributes that a rule asks for."""
    match rule:
        case Compare() | OneOf() | Known():
            return frozenset({rule.field})
        case Not():
            return fields_of(rule.rule)
        case And() | Or():
            return frozenset().union(*map(fields_of, rule.rules))
    return frozenset()


def written(value: Value) -> str:
    """Give a value as it stands in a rule."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        plain = f"{value:.10f}".rstrip("0")
        return f"{plain}0" if plain.endswith(".") else plain
    return '"' + value.replace('"', '""') + '"'


def _inside(rule: Rule, *kinds: type) -> str:
    return f"({rule})" if isinstance(rule, kinds) else str(rule)
