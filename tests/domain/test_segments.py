"""A segment's rule: what it means, how it is written, and that every mistake is shown where it is."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.attributes import Attribute, AttributeKind
from campaign.domain.segment_rules import MAX_DEPTH, RuleRefused, Vocabulary, parse_rule
from campaign.domain.segments import (
    And,
    Compare,
    Known,
    Not,
    OneOf,
    OnList,
    Op,
    Or,
    Rule,
    Someone,
    Topic,
    admits,
    fields_of,
    lists_of,
)

WORDS = Vocabulary(
    {
        "gift": Attribute("gift", AttributeKind.NUMBER),
        "since": Attribute("since", AttributeKind.DAY),
        "member": Attribute("member", AttributeKind.YES_NO),
        "role": Attribute("role", AttributeKind.CHOICE),
        "size": Attribute("size", AttributeKind.CHOICE, ("S", "M", "L")),
        "story": Attribute("story", AttributeKind.TEXT),
    },
    {"press", "supporters"},
)
WHO = Someone(
    "example.org",
    date(2026, 5, 1),
    country="US",
    language="en-GB",
    attributes={"gift": 20, "since": "2024-02-29", "member": True, "role": "editor"},
    topics=frozenset({"policy"}),
    lists=frozenset({"supporters"}),
)


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ('country = "US" and language in ("en","es") and topic "policy" and not list "press"', True),
        ('country = "us"', True),
        ("country = 'GB'", False),
        ('country != "GB"', True),
        ('timezone != "UTC"', False),
        ('not timezone = "UTC"', True),
        ("timezone is unknown", True),
        ("timezone is known or COUNTRY IS KNOWN", True),
        ('language = "en"', True),
        ('language = "en-GB"', True),
        ('language = "en-US"', False),
        ('language not in ("es", "fr")', True),
        ("gift >= 20 and gift <= 20 and not gift > 20 and not gift < 20", True),
        ("gift < 20.5", True),
        ("gift in (1, 2, 3)", False),
        ("since before 2024-03-01", True),
        ('since after "2024-02-29"', False),
        ("joined after 2026-04-30 and joined before 2026-05-02", True),
        ("member = yes", True),
        ("member != yes", False),
        ('role = "editor" or gift = 1 and gift = 2', True),
        ('(role = "editor" or gift = 1) and gift = 2', False),
        ('size = "m"', False),
        ('domain = "Example.org"', True),
        ('topic "Policy"', False),
    ],
)
def test_a_rule_means_what_it_says(rule: str, fits: bool) -> None:
    assert admits(parse_rule(rule, WORDS), WHO) is fits


@pytest.mark.parametrize(
    ("rule", "mark", "words"),
    [
        ("", "", "empty"),
        ("country", "", "too early"),
        ("country =", "", "missing|too early"),
        ('country = "US" and', "", "too early"),
        ('country = "US" and and language = "en"', "and language", "cannot stand here"),
        ('country = "US" language = "en"', "language", "and or or"),
        ("country = US", "US", "quotation marks"),
        ('country = "USA"', '"USA"', "not a country code"),
        ('countri = "US"', "countri", "country"),
        ('country = "US', '"US', "never closed"),
        ("country = \u201cUS\u201d", "\u201c", "straight"),
        ('country > "US"', ">", "more or less"),
        ("gift = many", "many", "quotation"),
        ('gift = "many"', '"many"', "number"),
        ("gift = 1.000.000", "1.000.000", "neither"),
        ("since = 2026-02-30", "2026-02-30", "day"),
        ('list "nobody"', '"nobody"', "press"),
        ("list press", "press", "quotation"),
        ('story = "x"', "story", "sealed"),
        ('(country = "US"', "", "parenthesis"),
        ('country in "US"', '"US"', "in \\("),
        ('country in ("US" "GB")', '"GB"', "comma"),
        ('country == "US"', '= "US"', "missing"),
        ('country = "US" && gift = 1', "&&", "no use"),
        ('size = "XL"', '"XL"', "S, M or L"),
        ("drop table subscribers", "drop", "Nothing is called"),
        ("not", "", "too early"),
        ("gift is", "", "is known"),
    ],
)
def test_every_mistake_is_shown_where_it_is(rule: str, mark: str, words: str) -> None:
    with pytest.raises(RuleRefused, match=f"(?s){words}") as refused:
        parse_rule(rule, WORDS)
    at = rule.index(mark) if mark else len(rule)
    assert refused.value.at == at
    shown, pointer = refused.value.message.splitlines()[1:3]
    assert shown[pointer.index("^") :].startswith(rule[at : at + 5])
    assert refused.value.remedy


@pytest.mark.parametrize(
    "rule",
    ["(" * 10_000, "not " * 900 + "gift = 1", "(" * (MAX_DEPTH + 1) + "gift = 1", " or ".join(["gift = 1"] * 300)],
)
def test_no_rule_is_too_much_for_us(rule: str) -> None:
    with pytest.raises(RuleRefused):
        parse_rule(rule, WORDS)


@given(st.text(alphabet=st.sampled_from("countrygift=<>!()\"' ,andorti0123456789.-\n“"), max_size=80))
def test_whatever_is_typed_is_read_or_refused(text: str) -> None:
    try:
        rule = parse_rule(text, WORDS)
    except RuleRefused as error:
        shown = error.at
    else:
        shown = len(str(rule))
    assert 0 <= shown <= 2 * len(text) + 40


_STRINGS = st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=8).filter(
    lambda text: text == text.strip() and text
)
_NUMBERS = st.one_of(st.integers(-(10**14), 10**14), st.decimals(-1000, 1000, places=4, allow_nan=False).map(float))
_TERMS: st.SearchStrategy[Rule] = st.one_of(
    st.builds(Compare, st.just("country"), st.sampled_from([Op.IS, Op.DIFFERS]), st.sampled_from(["US", "GB"])),
    st.builds(Compare, st.just("language"), st.sampled_from([Op.IS, Op.DIFFERS]), st.sampled_from(["en", "en-GB"])),
    st.builds(Compare, st.just("gift"), st.sampled_from(Op), _NUMBERS),
    st.builds(Compare, st.sampled_from(["since", "joined"]), st.sampled_from(Op), st.dates().map(date.isoformat)),
    st.builds(Compare, st.just("member"), st.sampled_from([Op.IS, Op.DIFFERS]), st.booleans()),
    st.builds(Compare, st.just("role"), st.just(Op.IS), _STRINGS),
    st.builds(
        OneOf, st.just("role"), st.lists(_STRINGS, min_size=1, max_size=3, unique=True).map(tuple), st.booleans()
    ),
    st.builds(Known, st.sampled_from(["country", "gift", "since"]), st.booleans()),
    st.builds(Topic, _STRINGS),
    st.builds(OnList, st.sampled_from(["press", "supporters"])),
)
RULES: st.SearchStrategy[Rule] = st.recursive(
    _TERMS,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)


@given(RULES)
def test_a_rule_that_is_written_down_reads_the_same(rule: Rule) -> None:
    assert parse_rule(str(rule), WORDS) == rule


def test_a_rule_tells_what_it_names() -> None:
    rule = parse_rule('gift > 1 and (country is known or not list "press") and topic "x" and role in ("a")', WORDS)
    assert fields_of(rule) == {"gift", "country", "role"}
    assert lists_of(rule) == {"press"}
