"""Reads a segment's rule: a small grammar, with errors that point at the character. It runs nothing and asks nobody.

rule   = both { "or" both }          both = one { "and" one }          one = "not" one | "(" rule ")" | term
term   = field ( "=" | "!=" | "<" | "<=" | ">" | ">=" | "before" | "after" ) value
       | field [ "not" ] "in" "(" value { "," value } ")"  |  field "is" ( "known" | "unknown" )
       | "topic" text  |  "list" text
value  = text in quotation marks | number | day such as 2026-11-24 | "yes" | "no"
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from campaign.domain.addresses import printable
from campaign.domain.attributes import Attribute, AttributeKind, Value, one_of, parse_value
from campaign.domain.errors import BadInput
from campaign.domain.localtime import zone_name
from campaign.domain.people import parse_country, parse_language
from campaign.domain.segments import BUILT_IN, JOINED, And, Compare, Known, Not, OneOf, OnList, Op, Or, Rule, Topic
from campaign.domain.shapes import MAX_LINE, is_line

MAX_RULE: Final = 4_000
MAX_DEPTH: Final = 50
MAX_TERMS: Final = 200
_MARGIN: Final = 60

_TOKENS: Final = re.compile(
    r"""(?P<space>\s+)
    |(?P<text>"(?:[^"]|"")*"|'(?:[^']|'')*')
    |(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2}(?![\w-]))
    |(?P<number>[+-]?[0-9]{1,15}(?:\.[0-9]{1,10})?(?![\w.]))
    |(?P<mark><=|>=|!=|<>|[=<>(),])
    |(?P<word>[^\W\d][\w-]*)""",
    re.VERBOSE,
)
_OPS: Final = {**{op.value: op for op in Op}, "<>": Op.DIFFERS, "before": Op.LESS, "after": Op.MORE}
_KEYWORDS: Final = frozenset(("and", "or", "not", "in", "is", "known", "unknown", "before", "after", "yes", "no"))
_TRUE: Final = {"yes": True, "true": True, "no": False, "false": False}
_ORDERED: Final = frozenset((AttributeKind.NUMBER, AttributeKind.DAY))


class RuleRefused(BadInput):
    """This is no rule; `at` is the place (characters from 0) where it stops being one."""

    code = "rule_refused"

    def __init__(self, rule: str, at: int, words: str, remedy: str) -> None:
        """Show the part of the rule around the place, with a mark below it."""
        start = max(at - _MARGIN, 0)
        shown = "".join(c if c.isprintable() else " " for c in rule[start : at + _MARGIN])
        before, after = ("…" if start else ""), ("…" if at + _MARGIN < len(rule) else "")
        mark = " " * (at - start + len(before)) + "^"
        super().__init__(f"{words}\n  {before}{shown}{after}\n  {mark} (character {at + 1})", remedy=remedy)
        self.at = at


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a rule can name: declared attributes, and lists."""

    attributes: Mapping[str, Attribute]
    lists: Collection[str] = ()


class _Token(NamedTuple):
    kind: str
    text: str
    at: int

    @property
    def word(self) -> str:
        """The token in small letters where it is a word."""
        return self.text.casefold() if self.kind == "word" else ""


def parse_rule(text: str, vocabulary: Vocabulary) -> Rule:
    """Read a rule; raise RuleRefused that points at what is no rule, or names what is not there."""
    if len(text) > MAX_RULE:
        words = f"A rule of {len(text):,} characters is too long."
        raise RuleRefused(text, MAX_RULE, words, f"Rules have {MAX_RULE:,} characters at most; save parts as segments.")
    return _Parser(text, vocabulary).whole()


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while at < len(text):
        match = _TOKENS.match(text, at)
        if match is None:
            raise _unread(text, at)
        if match.lastgroup != "space":
            found.append(_Token(match.lastgroup or "", match[0], at))
        at = match.end()
    return [*found, _Token("end", "", len(text.rstrip()))]


def _unread(text: str, at: int) -> RuleRefused:
    if text[at] in "\"'":
        return RuleRefused(text, at, "This quotation mark is never closed.", f"Add {text[at]} after the word.")
    if text[at] in "\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb":
        return RuleRefused(text, at, "A rule takes straight quotation marks.", 'Write "US".')
    if text[at].isdigit():
        return RuleRefused(text, at, "This is neither a number nor a day.", "Write 12, 3.5 or 2026-11-24.")
    remedy = "Write == as =; && as and; || as or; ! as not." if text[at] in "&|!" else "Take it out."
    return RuleRefused(text, at, f"A rule has no use for {printable(text[at])}.", remedy)


class _Parser:
    """Recursive descent over the tokens, no deeper than MAX_DEPTH."""

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        self._text, self._vocabulary = text, vocabulary
        self._tokens = _tokens(text)
        self._next = self._depth = self._terms = 0

    def whole(self) -> Rule:
        if self._peek().kind == "end":
            raise self._refused(self._peek(), "The rule is empty.", 'Write something like country = "US".')
        rule = self._any()
        if self._peek().kind != "end":
            raise self._unexpected("Join terms with and or or.")
        return rule

    def _any(self) -> Rule:
        rules = [self._all()]
        while self._take("or"):
            rules.append(self._all())
        return Or(tuple(rules)) if len(rules) > 1 else rules[0]

    def _all(self) -> Rule:
        rules = [self._one()]
        while self._take("and"):
            rules.append(self._one())
        return And(tuple(rules)) if len(rules) > 1 else rules[0]

    def _one(self) -> Rule:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._refused(self._peek(), "This rule is nested too deeply.", f"At most {MAX_DEPTH} levels.")
        if self._take("not"):
            rule: Rule = Not(self._one())
        elif self._take("("):
            rule = self._any()
            self._expect(")", "Close the parenthesis.")
        else:
            rule = self._term()
        self._depth -= 1
        return rule

    def _term(self) -> Rule:
        self._terms += 1
        subject = self._peek()
        if self._terms > MAX_TERMS:
            raise self._refused(subject, f"A rule has {MAX_TERMS} terms at most.", "Take several segments.")
        if subject.kind != "word" or subject.word in _KEYWORDS:
            raise self._unexpected('Here a term begins, such as country = "US".')
        self._next += 1
        if subject.word == "topic":
            return Topic(self._name_of("topic"))
        if subject.word == "list":
            return OnList(self._list())
        name, attribute = self._field(subject)
        return self._about(name, attribute)

    def _about(self, name: str, attribute: Attribute) -> Rule:
        if self._take("is"):
            if not (unknown := self._take("unknown")) and not self._take("known"):
                raise self._unexpected("Write is known or is unknown.")
            return Known(name, negated=unknown)
        negated = self._take("not")
        if self._take("in"):
            return OneOf(name, self._values(attribute), negated=negated)
        token = self._peek()
        op = None if negated else _OPS.get(token.word or token.text)
        if op is None:
            remedy = f"After {name} comes = or != or in (…)" + (", < or >" if attribute.kind in _ORDERED else "")
            raise self._unexpected(f"{remedy}, or is known.")
        self._next += 1
        if op not in {Op.IS, Op.DIFFERS} and attribute.kind not in _ORDERED:
            raise self._refused(token, f"Nothing is more or less than a {name}.", "Write = or !=.")
        return Compare(name, op, self._value(attribute))

    def _field(self, token: _Token) -> tuple[str, Attribute]:
        if token.word in BUILT_IN:
            kind = AttributeKind.DAY if token.word == JOINED else AttributeKind.CHOICE
            return token.word, Attribute(token.word, kind)
        known = self._vocabulary.attributes
        attribute = known.get(token.text) or known.get(token.word)
        if attribute is None:
            names = sorted({*BUILT_IN, "topic", "list", *(one.name for one in known.values() if not one.sealed)})
            near = difflib.get_close_matches(token.word, names, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(names)}."
            raise self._refused(token, f"Nothing is called {printable(token.text)}.", hint)
        if attribute.sealed:
            remedy = "Declare what a rule asks for as a choice, a number, a day or yes-no: campaign attributes add."
            raise self._refused(token, f"{attribute.name} is free text, which is sealed.", remedy)
        return attribute.name, attribute

    def _values(self, attribute: Attribute) -> tuple[Value, ...]:
        self._expect("(", 'Write in ("US", "GB").')
        values = [self._value(attribute)]
        while self._take(","):
            values.append(self._value(attribute))
        self._expect(")", "Close the parenthesis, or put a comma between values.")
        if len(values) > MAX_TERMS:
            raise self._refused(self._tokens[self._next - 1], f"At most {MAX_TERMS} values.", "Take several terms.")
        return tuple(dict.fromkeys(values))

    def _value(self, attribute: Attribute) -> Value:
        token = self._peek()
        if token.kind == "word" and token.word not in _TRUE:
            raise self._unexpected(f'Put it into quotation marks: "{token.text}".')
        if token.kind not in {"text", "number", "day", "word"}:
            raise self._unexpected("Here a value is missing.")
        self._next += 1
        words = _unquoted(token.text) if token.kind == "text" else token.text
        try:
            return _read(attribute, words)
        except BadInput as error:
            raise self._refused(token, error.message, error.remedy) from error

    def _list(self) -> str:
        token = self._peek()
        slug = self._name_of("list")
        if slug not in self._vocabulary.lists:
            known = one_of(sorted(self._vocabulary.lists)[:20]) or "none yet"
            raise self._refused(token, f"There is no list {printable(slug)}.", f"Known: {known}.")
        return slug

    def _name_of(self, noun: str) -> str:
        token = self._peek()
        if token.kind != "text" or not (name := _unquoted(token.text).strip()) or not is_line(name, MAX_LINE):
            raise self._unexpected(f'After {noun} comes its name in quotation marks: {noun} "press".')
        self._next += 1
        return name

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, wanted: str) -> bool:
        token = self._peek()
        taken = wanted in {token.word, token.text if token.kind == "mark" else ""}
        self._next += taken
        return taken

    def _expect(self, wanted: str, remedy: str) -> None:
        if not self._take(wanted):
            raise self._unexpected(remedy)

    def _unexpected(self, remedy: str) -> RuleRefused:
        token = self._peek()
        words = "The rule ends too early." if token.kind == "end" else f"{printable(token.text)} cannot stand here."
        return self._refused(token, words, remedy)

    def _refused(self, token: _Token, words: str, remedy: str) -> RuleRefused:
        return RuleRefused(self._text, token.at, words, remedy)


def _read(attribute: Attribute, words: str) -> Value:
    """Read a value of a field, in its usual form."""
    if attribute.name == "country":
        return parse_country(words)
    if attribute.name == "language":
        return parse_language(words)
    if attribute.name == "timezone":
        if (zone := zone_name(words)) is None:
            raise BadInput(f"{printable(words)} is not a time zone.", remedy="Write a name such as Europe/Berlin.")
        return zone
    if attribute.name == "domain":
        return words.strip().lower()
    return parse_value(attribute, words)


def _unquoted(text: str) -> str:
    return text[1:-1].replace(text[0] * 2, text[0])
