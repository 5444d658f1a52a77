"""Which articles go into a letter, in which order, and why the others do not. It never sends or stores a choice."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from campaign.domain.articles import ArticleStatus
from campaign.domain.shapes import language_chain


class Reason(StrEnum):
    """Why an article is left out; where several hold, the first of this list is given."""

    RETIRED = "retired"
    DRAFT = "draft"
    STALE = "past its review date"
    LANGUAGE = "other language"
    TOPIC = "other topic"
    OLD = "too old"
    VERSION = "better language version"
    SENT = "already sent"
    FULL = "no room"


@dataclass(frozen=True, slots=True)
class ArticleCard:
    """What a choice needs to know of a stored article. Versions in several languages share a slug."""

    id: int
    slug: str
    language: str
    status: ArticleStatus
    topics: tuple[str, ...] = ()
    published_on: date | None = None
    review_on: date | None = None


@dataclass(frozen=True, slots=True)
class ContentRule:
    """What a campaign wants in a letter.

    Any of these topics (none named: all); the languages in order of preference (none: all); at most so many articles;
    the pinned slugs in order; and how many days old an article may be. Pinned articles need no topic and are never
    too old; everything else holds for them as well.
    """

    topics: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    most: int = 6
    pinned: tuple[str, ...] = ()
    max_age_days: int | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An article that is not in the letter, and the reason."""

    article: ArticleCard
    reason: Reason


@dataclass(frozen=True, slots=True)
class Choice:
    """The articles of one letter in their order, and every other one with its reason, by id."""

    chosen: tuple[ArticleCard, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class Shortlist:
    """What everybody with the same rule could get on one day, best first. Made once, asked for each person."""

    candidates: tuple[ArticleCard, ...]
    left_out: tuple[LeftOut, ...]
    most: int
    slugs: Mapping[int, str]

    def pick(self, already_sent: Collection[int]) -> tuple[ArticleCard, ...]:
        """Give the articles for a person who has had these, by article id; an article counts in any language."""
        had = self._had(already_sent)
        return tuple(card for card in self.candidates if card.slug not in had)[: max(self.most, 0)]

    def explain(self, already_sent: Collection[int]) -> Choice:
        """Give the same articles as `pick`, and the reason for each other one."""
        had, chosen = self._had(already_sent), self.pick(already_sent)
        taken = {card.id for card in chosen}
        others = [card for card in self.candidates if card.id not in taken]
        told = [LeftOut(card, Reason.SENT if card.slug in had else Reason.FULL) for card in others]
        return Choice(chosen, tuple(sorted([*self.left_out, *told], key=lambda left: left.article.id)))

    def _had(self, already_sent: Collection[int]) -> set[str]:
        return {self.slugs[number] for number in already_sent if number in self.slugs}


def shortlist(articles: Sequence[ArticleCard], rule: ContentRule, today: date) -> Shortlist:
    """Sort out what nobody may get, and put the rest in order: pinned as pinned, then newest, then by id.

    Give it the articles of all statuses and languages: only so can it tell why one is missing, and that a person has
    had another language version.
    """
    chain = [tag for language in rule.languages for tag in language_chain(language)]
    left: list[LeftOut] = []
    best: dict[str, ArticleCard] = {}
    for card in sorted(articles, key=lambda card: (_rank(card, chain), card.id)):
        reason = _unfit(card, rule, chain, today) or (Reason.VERSION if card.slug in best else None)
        if reason:
            left.append(LeftOut(card, reason))
        else:
            best[card.slug] = card
    ordered = sorted(best.values(), key=lambda card: _place(card, rule))
    by_id = sorted(left, key=lambda one: one.article.id)
    return Shortlist(tuple(ordered), tuple(by_id), rule.most, {card.id: card.slug for card in articles})


def choose(articles: Sequence[ArticleCard], rule: ContentRule, already_sent: Collection[int], today: date) -> Choice:
    """Choose for one person. Every article given is either chosen or left out with a reason, never both."""
    return shortlist(articles, rule, today).explain(already_sent)


def _unfit(card: ArticleCard, rule: ContentRule, chain: Sequence[str], today: date) -> Reason | None:
    """Give the first reason for which nobody under this rule may get it."""
    if card.status is not ArticleStatus.READY:
        return Reason.RETIRED if card.status is ArticleStatus.RETIRED else Reason.DRAFT
    if card.review_on is not None and today > card.review_on:
        return Reason.STALE
    if rule.languages and _rank(card, chain) == len(chain):
        return Reason.LANGUAGE
    return None if card.slug in rule.pinned else _unwanted(card, rule, today)


def _unwanted(card: ArticleCard, rule: ContentRule, today: date) -> Reason | None:
    """Give the reason for which the rule would not choose it by itself."""
    if rule.topics and not set(rule.topics) & set(card.topics):
        return Reason.TOPIC
    if rule.max_age_days is not None and card.published_on is not None:
        return Reason.OLD if card.published_on < today - timedelta(days=rule.max_age_days) else None
    return None


def _rank(card: ArticleCard, chain: Sequence[str]) -> int:
    """Give the place of its language in the chain: 0 is best, and the chain's length is none of them."""
    tags = language_chain(card.language)
    return min((chain.index(tag) for tag in tags if tag in chain), default=len(chain))


def _place(card: ArticleCard, rule: ContentRule) -> tuple[int, int, int]:
    """Give what candidates are sorted by."""
    if card.slug in rule.pinned:
        return (0, rule.pinned.index(card.slug), card.id)
    return (1, -card.published_on.toordinal() if card.published_on else 0, card.id)
