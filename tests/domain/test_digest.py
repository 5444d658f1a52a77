"""The choice of articles: who gets what, in which order, and a reason for each one that is left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.articles import ArticleStatus
from campaign.domain.digest import ArticleCard, Choice, ContentRule, Reason, choose, shortlist

TODAY = date(2027, 7, 1)
CARD = ArticleCard(1, "a", "en", ArticleStatus.READY, ("rights",), date(2027, 5, 1), date(2028, 1, 1))


def ids(choice: Choice) -> list[int]:
    return [card.id for card in choice.chosen]


def reasons(choice: Choice) -> dict[int, Reason]:
    return {left.article.id: left.reason for left in choice.left_out}


@pytest.mark.parametrize(
    ("card", "rule", "reason"),
    [
        (replace(CARD, status=ArticleStatus.DRAFT), ContentRule(), Reason.DRAFT),
        (replace(CARD, status=ArticleStatus.RETIRED), ContentRule(pinned=("a",)), Reason.RETIRED),
        (replace(CARD, review_on=TODAY - timedelta(days=1)), ContentRule(pinned=("a",)), Reason.STALE),
        (CARD, ContentRule(languages=("es", "fr")), Reason.LANGUAGE),
        (CARD, ContentRule(languages=("es",), pinned=("a",)), Reason.LANGUAGE),
        (CARD, ContentRule(topics=("children", "history")), Reason.TOPIC),
        (CARD, ContentRule(max_age_days=30), Reason.OLD),
        (CARD, ContentRule(most=0), Reason.FULL),
        (replace(CARD, status=ArticleStatus.DRAFT, review_on=date(2020, 1, 1)), ContentRule(), Reason.DRAFT),
    ],
)
def test_reasons(card: ArticleCard, rule: ContentRule, reason: Reason) -> None:
    choice = choose([card], rule, set(), TODAY)
    assert (ids(choice), reasons(choice)) == ([], {1: reason})


@pytest.mark.parametrize(
    ("card", "rule"),
    [
        (CARD, ContentRule()),
        (replace(CARD, review_on=TODAY), ContentRule()),
        (replace(CARD, review_on=None), ContentRule()),
        (CARD, ContentRule(topics=("children", "rights"))),
        (CARD, ContentRule(topics=("children",), pinned=("a",))),
        (CARD, ContentRule(max_age_days=30, pinned=("a",))),
        (CARD, ContentRule(max_age_days=61)),
        (replace(CARD, published_on=None), ContentRule(max_age_days=30)),
        (CARD, ContentRule(languages=("es", "en"))),
        (CARD, ContentRule(languages=("en-GB",))),
        (replace(CARD, language="en-GB"), ContentRule(languages=("en",))),
        (replace(CARD, language="pt-BR"), ContentRule(languages=("PT_br",))),
    ],
)
def test_what_fits_is_chosen(card: ArticleCard, rule: ContentRule) -> None:
    assert ids(choose([card], rule, set(), TODAY)) == [1]


def test_nobody_gets_the_same_article_twice_in_any_language() -> None:
    cards = [CARD, replace(CARD, id=2, language="es"), replace(CARD, id=3, slug="b")]
    choice = choose(cards, ContentRule(languages=("es", "en")), {1}, TODAY)
    assert ids(choice) == [3]
    assert reasons(choice) == {1: Reason.VERSION, 2: Reason.SENT}


def test_each_article_comes_in_the_readers_best_language_that_is_fit_to_send() -> None:
    cards = [CARD, replace(CARD, id=2, language="es"), replace(CARD, id=3, language="fr")]
    assert ids(choose(cards, ContentRule(languages=("es", "en")), set(), TODAY)) == [2]
    assert ids(choose(cards, ContentRule(languages=("de", "fr", "en")), set(), TODAY)) == [3]
    stale = [CARD, replace(CARD, id=2, language="es", review_on=date(2027, 1, 1))]
    choice = choose(stale, ContentRule(languages=("es", "en")), set(), TODAY)
    assert (ids(choice), reasons(choice)) == ([1], {2: Reason.STALE})
    assert len(choose(cards, ContentRule(), set(), TODAY).chosen) == 1


def test_the_order_is_pinned_then_newest_then_by_id() -> None:
    cards = [
        replace(CARD, id=1, slug="oldest", published_on=date(2020, 1, 1)),
        replace(CARD, id=2, slug="no-date", published_on=None),
        replace(CARD, id=3, slug="newest", published_on=date(2027, 6, 30)),
        replace(CARD, id=5, slug="same-day", published_on=date(2027, 6, 1)),
        replace(CARD, id=4, slug="same-day-too", published_on=date(2027, 6, 1)),
        replace(CARD, id=6, slug="pin-b", published_on=date(2019, 1, 1)),
        replace(CARD, id=7, slug="pin-a", published_on=date(2027, 6, 29)),
    ]
    rule = ContentRule(pinned=("pin-b", "missing", "pin-a"), most=10)
    assert ids(choose(cards, rule, set(), TODAY)) == [6, 7, 3, 4, 5, 1, 2]
    short = choose(cards, replace(rule, most=3), {7}, TODAY)
    assert ids(short) == [6, 3, 4]
    assert reasons(short) == {1: Reason.FULL, 2: Reason.FULL, 5: Reason.FULL, 7: Reason.SENT}


def test_with_nothing_new_the_choice_is_empty_and_says_why() -> None:
    choice = choose([CARD], ContentRule(), {1, 99}, TODAY)
    assert (choice.chosen, reasons(choice)) == ((), {1: Reason.SENT})
    assert choose([], ContentRule(), set(), TODAY) == Choice((), ())


cards = st.lists(
    st.builds(
        ArticleCard,
        id=st.integers(1, 60),
        slug=st.sampled_from("abcdefgh"),
        language=st.sampled_from(["en", "es", "pt-BR", "pt"]),
        status=st.sampled_from(ArticleStatus),
        topics=st.lists(st.sampled_from(["x", "y", "z"]), max_size=2).map(tuple),
        published_on=st.none() | st.dates(date(2025, 1, 1), TODAY),
        review_on=st.none() | st.dates(date(2027, 1, 1), date(2028, 1, 1)),
    ),
    unique_by=lambda card: card.id,
    max_size=25,
)
rules = st.builds(
    ContentRule,
    topics=st.lists(st.sampled_from(["x", "y"]), max_size=2).map(tuple),
    languages=st.lists(st.sampled_from(["es", "pt-BR", "en"]), max_size=3, unique=True).map(tuple),
    most=st.integers(0, 8),
    pinned=st.lists(st.sampled_from("abc"), max_size=2, unique=True).map(tuple),
    max_age_days=st.none() | st.integers(1, 900),
)


@given(cards, rules, st.sets(st.integers(1, 60)))
def test_every_article_is_accounted_for_exactly_once(
    found: list[ArticleCard], rule: ContentRule, had: set[int]
) -> None:
    choice = choose(found, rule, had, TODAY)
    assert sorted([*ids(choice), *reasons(choice)]) == sorted(card.id for card in found)
    assert len(choice.chosen) <= rule.most
    assert len({card.slug for card in choice.chosen}) == len(choice.chosen)
    assert not {card.slug for card in choice.chosen} & {card.slug for card in found if card.id in had}
    assert all(card.status is ArticleStatus.READY for card in choice.chosen)
    assert all(card.review_on is None or card.review_on >= TODAY for card in choice.chosen)


@given(cards, rules, st.sets(st.integers(1, 60)))
def test_the_choice_does_not_depend_on_the_order_it_is_asked_in(
    found: list[ArticleCard], rule: ContentRule, had: set[int]
) -> None:
    assert choose(found[::-1], rule, had, TODAY) == choose(found, rule, had, TODAY)
    once = shortlist(found, rule, TODAY)
    assert once.pick(had) == once.explain(had).chosen == choose(found, rule, had, TODAY).chosen


@given(cards, rules)
def test_letter_after_letter_nothing_repeats_and_nothing_fit_is_forgotten(
    found: list[ArticleCard], rule: ContentRule
) -> None:
    once, had, sent = shortlist(found, rule, TODAY), set[int](), list[str]()
    while letter := once.pick(had):
        sent += [card.slug for card in letter]
        had |= {card.id for card in letter}
    assert len(sent) == len(set(sent))
    assert set(sent) == ({card.slug for card in once.candidates} if rule.most else set())
