"""Says what a letter is about: gathers key date, articles, helplines and sender for each variant, and has it compiled.

It never decides who gets a letter and never stores one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from campaign.actions import publishing
from campaign.actions.kit import Kit
from campaign.domain.calendar import KeyDate, Occurrence, Step
from campaign.domain.delivery import Kind
from campaign.domain.digest import ArticleCard, Choice, ContentRule, choose
from campaign.domain.editions import NOWHERE
from campaign.domain.errors import NotReady
from campaign.domain.helplines import Helplines
from campaign.domain.message import LetterRefused, LetterSpec, SenderIdentity
from campaign.domain.schedule import zone_of
from campaign.mail.composer import Compiled, compile_letter
from campaign.mail.words import Catalogue, read_words
from campaign.store import alerts, audiences, content, letters, lists, renewals
from campaign.store.campaigns import Campaign
from campaign.store.editions import Edition
from campaign.store.engine import Transaction
from campaign.store.letters import Message


@dataclass(frozen=True, slots=True)
class Made:
    """The compiled messages of an edition, or why there is nothing to send."""

    messages: tuple[Message, ...] = ()
    skip: str = ""
    zones: frozenset[str] = frozenset()
    """The time zones that people of the audience have."""


@dataclass(frozen=True, slots=True)
class Sources:
    """All that the variants of one edition share."""

    campaign: Campaign
    step: str
    occurrence: str
    key_date: KeyDate | None
    cards: tuple[ArticleCard, ...]
    bodies: Mapping[int, content.Article]
    sent: frozenset[int]
    helplines: Helplines
    catalogue: Catalogue
    sender: SenderIdentity
    list_name: str
    list_language: str | None
    today: date


@dataclass(frozen=True, slots=True)
class Draft:
    """One variant before it is compiled: its words, and why each article is in or out."""

    variant: str
    spec: LetterSpec
    choice: Choice


async def compile_edition(kit: Kit, campaign: Campaign, edition: Edition) -> Made:
    """Compile every variant (language and helpline country) that somebody of the audience needs.

    Where nothing new is to be said, a step around a key date sends the reminder alone; a recurring digest is skipped.
    """
    found = await sources(kit, campaign, edition.step, edition.occurrence)
    async with kit.store.read() as tx:
        kinds = await audiences.kinds(tx, campaign)
    wanted = _wanted(kit, found, {(language, country) for language, country, _ in kinds})
    drafts = [draft(kit, found, language, country, f"{edition.id}") for language, country in wanted]
    if campaign.definition.key_date is None and not any(one.choice.chosen for one in drafts):
        return Made(skip="Nothing new to say: no article is ready that was not sent before.")
    kept = [one for one in drafts if one.choice.chosen or campaign.definition.key_date]
    zones = frozenset(timezone for _, _, timezone in kinds if timezone)
    return Made(tuple([await _message(kit, edition.id, one) for one in kept]), zones=zones)


async def _message(kit: Kit, edition_id: int, one: Draft) -> Message:
    compiled = await compile_letter(kit.renderer, one.spec)
    articles = tuple(card.id for card in one.choice.chosen)
    packed = await asyncio.to_thread(compiled.dumps)
    return Message(edition_id, one.variant, one.spec.language, compiled.subject, packed, compiled.note, articles)


async def sources(kit: Kit, campaign: Campaign, step: str, occurrence: str) -> Sources:
    """Look up what the letters of one step of a campaign are made of."""
    kit.settings.require("sender", "base_url", "postal_address")
    definition = campaign.definition
    key_date = await publishing.key_date(kit, definition.key_date) if definition.key_date else None
    async with kit.store.read() as tx:
        articles = await content.every(tx)
        sent = await letters.articles_sent(tx, campaign.id)
        found = [one for slug in definition.lists if (one := await lists.find(tx, slug)) is not None]
    return Sources(
        campaign=campaign,
        step=step,
        occurrence=occurrence,
        key_date=key_date,
        cards=tuple(publishing.card(article) for article in articles),
        bodies={article.id: article for article in articles},
        sent=frozenset(sent),
        helplines=publishing.helplines(kit),
        catalogue=read_words(kit.renderer.folders),
        sender=identity(kit, campaign.slug, found[0].slug, ", ".join(one.name for one in found)),
        list_name=", ".join(one.name for one in found),
        list_language=next((one.language for one in found if one.language), None),
        today=kit.clock.now().date(),
    )


def identity(kit: Kit, campaign: str, list_slug: str, list_name: str) -> SenderIdentity:
    """Return who the letters of a list come from, and what mail programs are told about the list."""
    sender, contact = kit.settings.sender, kit.settings.contact
    if sender is None or contact is None:
        raise NotReady("No sender is set.", remedy="Set CAMPAIGN_SENDER in .env.")
    domain = sender.address.domain
    return SenderIdentity(
        from_name=sender.name or kit.settings.organisation,
        from_address=sender.address,
        list_label=list_slug,
        list_domain=domain,
        list_name=list_name,
        owner=f"mailto:{contact.wire}",
        help=f"mailto:{contact.wire}?subject=help",
        feedback=(campaign[:64], list_slug[:64], "campaign", domain[:64]),
        one_click=True,
    )


def draft(kit: Kit, found: Sources, language: str, country: str, prefix: str) -> Draft:
    """Word one variant: in `language` where there is something to say in it, else in the next language of the chain."""
    definition = found.campaign.definition
    choice, spoken = _choose(kit, found, language)
    step = Step.parse(found.step)
    organisation = {
        "name": kit.settings.organisation,
        "url": kit.settings.base_url or "",
        "postal_address": kit.settings.postal_address or "",
    }
    context: dict[str, Any] = {
        "subject": definition.subject,
        "organisation": organisation,
        "campaign": {"title": definition.title, "intro": definition.intro},
        "step": {"name": step.name},
        "list": {"name": found.list_name},
        "key_date": _key_date(found, step, spoken),
        "articles": [_article(found.bodies[card.id]) for card in choice.chosen],
        "helplines": _helplines(found, country, spoken),
    }
    template = "digest" if choice.chosen else "reminder"
    return Draft(f"{prefix}:{language}:{country}", LetterSpec(template, spoken, context, found.sender), choice)


def _choose(kit: Kit, found: Sources, language: str) -> tuple[Choice, str]:
    """Choose in the person's language, then the list's, the campaign's, ours, until something is found."""
    definition = found.campaign.definition
    chain = dict.fromkeys(filter(None, (language, found.list_language, definition.language, kit.settings.language)))
    first: Choice | None = None
    for one in chain:
        rule = ContentRule(definition.topics, (one,), definition.most, definition.pinned)
        choice = choose(found.cards, rule, found.sent, found.today)
        if choice.chosen:
            return choice, one
        first = first or choice
    return first or Choice((), ()), language


def languages(kit: Kit, found: Sources, wanted: Iterable[str]) -> list[str]:
    """Return the languages to compile: first the campaign's own, for everybody whose language has no words here."""
    default = found.campaign.definition.language or found.list_language or kit.settings.language
    known = set(found.catalogue.languages)
    spoken = {tag for tag in wanted if tag.lower() in known or tag.lower().partition("-")[0] in known}
    return [default, *sorted({tag.lower() for tag in spoken} - {default})]


def _wanted(kit: Kit, found: Sources, groups: Iterable[tuple[str | None, str | None]]) -> list[tuple[str, str]]:
    """Return the (language, country) variants that somebody needs, each language also without a helpline block.

    The campaign's own language stands first: it serves everybody whose language has no words here.
    """
    pairs = list(groups)
    tags = languages(kit, found, {language for language, _ in pairs if language})
    wanted = {(tag, NOWHERE) for tag in tags}
    for language, country in pairs:
        tag = (language or "").lower()
        if country and found.helplines.for_country(country, found.today).shown:
            wanted.add((tag if tag in tags else tags[0], country.upper()))
    return sorted(wanted, key=lambda pair: (pair[0] != tags[0], pair[0], pair[1] != NOWHERE, pair[1]))


def _key_date(found: Sources, step: Step, language: str) -> dict[str, Any] | None:
    if found.key_date is None:
        return None
    start = date.fromisoformat(found.occurrence[:10]) if step.name != "extra" else None
    occurrence = (
        next((one for one in found.key_date.occurrences(start, start)), None)
        if start
        else found.key_date.next_after(found.today)
    ) or Occurrence(found.key_date.slug, start or found.today, start or found.today)
    days = (occurrence.start - found.today).days if step.name == "extra" else -step.offset_days
    return {
        "name": found.key_date.name(language),
        "date": occurrence.start.isoformat(),
        "end": occurrence.end.isoformat(),
        "days_until": days,
        "proclaimed_by": found.key_date.proclaimed_by,
        "source": found.key_date.source,
        "theme": found.key_date.theme(occurrence.start.year),
    }


def _article(article: content.Article) -> dict[str, Any]:
    return {
        "title": article.title,
        "summary": article.summary,
        "body": article.body,
        "source_name": article.source_name,
        "source_url": article.source_url,
        "published_on": article.published_on.isoformat() if article.published_on else "",
        "sensitivity": article.sensitivity,
        "language": article.language,
    }


def _helplines(found: Sources, country: str, language: str) -> list[dict[str, Any]]:
    if country == NOWHERE:
        return []
    return [line.plain(country, language) for line in found.helplines.for_country(country, found.today).shown]


async def fallback_zone(kit: Kit, tx: Transaction, campaign: Campaign) -> str:
    """Return the time zone of people who declared none: the first list's, else the installation's."""
    found = [await lists.find(tx, slug) for slug in campaign.definition.lists]
    declared = next((one.timezone for one in found if one is not None and one.timezone), None)
    return zone_of(declared, kit.settings.timezone.key)


def pick_variant(variants: Sequence[str], language: str | None, country: str | None) -> str | None:
    """Return the variant for a person as they are now: their language, its parent, else the first.

    Their country, else none.
    """
    parsed = [(variant, *variant.rsplit(":", 2)[1:]) for variant in variants]
    tag = (language or "").lower()
    for wanted in (tag, tag.partition("-")[0], parsed[0][1] if parsed else ""):
        mine = {place: variant for variant, spoken, place in parsed if spoken.lower() == wanted}
        if mine:
            return mine.get((country or "").upper()) or mine.get(NOWHERE) or next(iter(mine.values()))
    return None


async def compile_service(kit: Kit, kind: Kind, variant: str) -> Compiled:
    """Compile a service letter (confirmation and the like): short, neutral, without an organiser's words.

    But for the exact words of the consent that somebody is asked to renew, and what an alert is about: they come with
    the variant's renewal, or alert.
    """
    kit.settings.require("sender", "base_url", "postal_address")
    ours = {"name": kit.settings.organisation, "postal_address": kit.settings.postal_address or ""}
    context: dict[str, Any] = {"organisation": ours}
    slug, name = kind.value, ""
    if kind is Kind.RENEW:
        async with kit.store.read() as tx:
            renewal = await renewals.find(tx, renewals.id_in(variant))
        if renewal is None:
            raise LetterRefused(f"There is no renewal for {variant}.")
        slug, name = renewal.list, renewal.list_name
        context |= {"wording": renewal.wording, "list": {"name": name}}
    if kind is Kind.ALERT:
        context |= {"alert": await _alert(kit, variant)}
    spec = LetterSpec(kind.value, variant.rpartition(":")[2], context, identity(kit, kind.value, slug, name), kind)
    return await compile_letter(kit.renderer, spec)


async def _alert(kit: Kit, variant: str) -> dict[str, Any]:
    """Return what an alert's letter is about; foreign words in it were made harmless before they were written down."""
    alert_id, number = alerts.id_in(variant)
    async with kit.store.read() as tx:
        found = await alerts.find(tx, alert_id)
    if found is None:
        raise LetterRefused(f"There is no alert for {variant}.")
    zone = kit.settings.timezone
    return {
        **found.facts,
        "trouble": found.trouble.value,
        "since": f"{found.first_at.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key})",
        "said": found.said,
        "commands": list(found.commands),
        "again": number > 1,
    }
