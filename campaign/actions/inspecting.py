"""Looks a campaign over before somebody approves it: what would go to whom and when, and what should be looked at.

It never approves and never changes anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from campaign.actions import campaigning, covering, forecasting, reporting, wording
from campaign.actions.forecasting import Forecast
from campaign.actions.kit import Kit
from campaign.actions.wording import Draft, Sources
from campaign.domain.digest import Choice, LeftOut, Reason
from campaign.domain.editions import NOWHERE, CampaignState
from campaign.mail.composer import compile_letter
from campaign.store import audiences, campaigns
from campaign.store.campaigns import Approval, Campaign

_WORTH_TELLING: Final = frozenset({Reason.STALE, Reason.DRAFT, Reason.RETIRED, Reason.SENT})
"""Why a pinned article may be missing; any other article is missed only where it is past its review date."""


@dataclass(frozen=True, slots=True)
class Look:
    """One campaign with its people and its approval, as they are now."""

    campaign: Campaign
    people: int
    suppressed: int
    approval: Approval | None
    stands: bool
    """Whether the approval covers everything as it is at this moment."""
    digest: bytes
    """Of all that an approval would cover now."""


@dataclass(frozen=True, slots=True)
class Wording:
    """What the readers of some languages would get: their own, or the next that has something to say."""

    language: str
    readers: tuple[str, ...]
    people: int
    subject: str
    choice: Choice
    slow: str
    """Why each letter has to be rendered by itself; nothing when it has not."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that an approval covers, and what somebody should look at before."""

    look: Look
    coming: tuple[Forecast, ...]
    wordings: tuple[Wording, ...]
    warnings: tuple[str, ...]


async def look(kit: Kit, slug: str) -> Look:
    """Return a campaign with the size of its audience, and whether its approval stands."""
    campaign = await campaigning.find(kit, slug)
    digest = await covering.covered(kit, campaign)
    async with kit.store.read() as tx:
        people, suppressed = await audiences.count(tx, campaign)
        approval = await campaigns.last_approval(tx, campaign.id)
    stands = campaign.state is not CampaignState.DRAFT and approval is not None and approval.digest == digest
    return Look(campaign, people, suppressed, approval, stands, digest)


async def inspect(kit: Kit, slug: str) -> Inspection:
    """Look over a campaign and the letter of its next edition; raise TemplateRefused for a mistake in a template."""
    coming = await forecasting.forecast(kit, slug)
    first = coming[0].plan if coming else None
    today = kit.clock.now().date()
    step, occurrence, day = (first.step, first.occurrence, first.day) if first else ("extra", f"{today}", f"{today}")
    return await _inspect(kit, slug, (step, occurrence), coming, max(date.fromisoformat(day), today))


async def inspect_edition(kit: Kit, key: str | int) -> Inspection:
    """Look over one edition of a campaign that asks for each of them."""
    edition = await reporting.find_edition(kit, key)
    coming = [
        one
        for one in await forecasting.forecast(kit, edition.campaign, until=date.fromisoformat(edition.day))
        if (one.plan.step, one.plan.occurrence) == (edition.step, edition.occurrence)
    ]
    today = kit.clock.now().date()
    day = max(date.fromisoformat(edition.day), today)
    return await _inspect(kit, edition.campaign, (edition.step, edition.occurrence), coming, day)


async def _inspect(kit: Kit, slug: str, about: tuple[str, str], coming: Sequence[Forecast], day: date) -> Inspection:
    """Choose and compile as on the day of the edition: what is stale by then counts as stale."""
    found_look = await look(kit, slug)
    campaign = found_look.campaign
    found = replace(await wording.sources(kit, campaign, *about), today=day)
    async with kit.store.read() as tx:
        groups = await audiences.groups(tx, campaign)
    by_language = _counted((language, people) for language, _, _, people in groups)
    by_country = _counted((country, people) for _, country, _, people in groups)
    wordings = await _wordings(kit, found, by_language)
    warnings = [
        *_about_people(found_look),
        *_about_dates(coming),
        *_about_content(campaign, wordings),
        *_about_languages(found, by_language, wordings),
        *_about_helplines(found, by_country),
    ]
    return Inspection(found_look, tuple(coming), wordings, tuple(warnings))


async def _wordings(kit: Kit, found: Sources, by_language: Mapping[str, int]) -> tuple[Wording, ...]:
    """Make the letter of each language; languages whose readers get the same letter are told together."""
    tags = wording.languages(kit, found, by_language)
    people = _counted((_speaks(name, tags), count) for name, count in by_language.items())
    made: dict[tuple[str, Choice], Wording] = {}
    for tag in tags:
        draft: Draft = wording.draft(kit, found, tag, NOWHERE, "inspect")
        same = draft.spec.language, draft.choice
        if same in made:
            before = made[same]
            made[same] = replace(before, readers=(*before.readers, tag), people=before.people + people.get(tag, 0))
            continue
        compiled = await compile_letter(kit.renderer, draft.spec)
        made[same] = Wording(
            draft.spec.language, (tag,), people.get(tag, 0), compiled.subject, draft.choice, compiled.note
        )
    return tuple(made.values())


def _speaks(language: str, tags: Sequence[str]) -> str:
    """Return the compiled language that somebody gets: their own, its parent, else the first."""
    own = language.lower()
    return next((tag for wish in (own, own.partition("-")[0]) for tag in tags if tag.lower() == wish), tags[0])


def _counted(pairs: Iterable[tuple[str | None, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, people in pairs:
        found[name or ""] = found.get(name or "", 0) + people
    return found


def _about_people(found: Look) -> Iterator[str]:
    if not found.people:
        rule = found.campaign.definition.narrowing
        rule = f" and fits {rule}" if rule else ""
        lists = ", ".join(found.campaign.definition.lists)
        yield f"Nobody would get it: no active subscriber is on {lists}{rule}."


def _about_dates(coming: Sequence[Forecast]) -> Iterator[str]:
    if not coming:
        yield "Nothing of it is to come within a year."
    astray = [one for one in coming if one.wrong_day]
    if astray:
        worst = max(one.wrong_day for one in astray)
        yield f"{worst} of {astray[0].people} people would get it on another day than meant; --local-time avoids that."


def _about_content(campaign: Campaign, wordings: Sequence[Wording]) -> Iterator[str]:
    if not wordings[0].choice.chosen:
        alone = "goes out as a reminder alone" if campaign.definition.key_date else "is skipped"
        yield f"No article fits the next letter, so it {alone}."
    told: set[str] = set()
    for left in (left for one in wordings for left in one.choice.left_out):
        if _missed(left, campaign) and left.article.slug not in told:
            told.add(left.article.slug)
            yield f"The article {left.article.slug} is left out: {left.reason.value}."
    for one in wordings:
        if one.slow:
            yield f"Each letter in {one.language} is rendered by itself, which is slower: {one.slow}."


def _missed(left: LeftOut, campaign: Campaign) -> bool:
    pinned = left.article.slug in campaign.definition.pinned
    wanted = not campaign.definition.topics or set(campaign.definition.topics) & set(left.article.topics)
    return left.reason in _WORTH_TELLING if pinned else left.reason is Reason.STALE and bool(wanted)


def _about_languages(found: Sources, by_language: Mapping[str, int], wordings: Sequence[Wording]) -> Iterator[str]:
    """Tell of languages that readers asked for and letters do not speak."""
    spoken = set(found.catalogue.languages)
    for language, people in sorted(by_language.items()):
        tag = language.lower()
        if language and not {tag, tag.partition("-")[0]} & spoken:
            yield f"{_people(people)} read {language}, which letters do not speak; they get {wordings[0].language}."


def _about_helplines(found: Sources, by_country: Mapping[str, int]) -> Iterator[str]:
    """Tell of countries without a helpline, or with one that nobody has checked for too long."""
    without: dict[str, int] = {}
    for country, people in sorted(by_country.items()):
        serving = found.helplines.for_country(country, found.today)
        if serving.stale:
            names = ", ".join(line.name for line in serving.stale)
            yield f"Helplines for {country} are past their review date and left out: {names}."
        elif country and not serving.shown:
            without[country] = people
    if without:
        yield f"No helpline is known for {_people(sum(without.values())).lower()} in {', '.join(without)}."


def _people(count: int) -> str:
    return "One person" if count == 1 else f"{count} people"
