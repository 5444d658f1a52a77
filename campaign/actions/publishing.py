"""The verbs about content: bring articles in, find, change, retire them; know key dates, helplines. It never sends."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from campaign.actions import auditing, reading
from campaign.actions.auditing import Deed
from campaign.actions.kit import Kit
from campaign.actions.reading import Reading, Refusal
from campaign.assets import asset
from campaign.domain.articles import ArticleDraft, ArticleStatus, parse_article
from campaign.domain.calendar import KeyDate, key_date_from, key_dates_from
from campaign.domain.digest import ArticleCard
from campaign.domain.errors import BadInput, Conflict, NotFound
from campaign.domain.helplines import Helplines, helplines_from
from campaign.store import content
from campaign.store.content import Article, Filter, Hit
from campaign.store.engine import Transaction

T = TypeVar("T")

_MOST_WORDS: Final = 16
_LONGEST_WORD: Final = 64


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of each file: articles by `slug/language`, refused files, and what somebody should look at."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    remarks: tuple[tuple[str, str], ...] = ()


async def import_articles(kit: Kit, paths: Sequence[Path], *, status: ArticleStatus = ArticleStatus.READY) -> Imported:
    """Bring in files and folders; the same files again change nothing.

    An article is known by slug and language. A new one gets the status that its file names, else `status`; one that is
    there keeps its own unless the file names another. Files that cannot be read are refused one by one.
    """
    found = await asyncio.to_thread(reading.read_articles, paths, language=kit.settings.language)
    found, twins = _without_twins(found)
    outcome: dict[str, list[str]] = {"added": [], "changed": [], "unchanged": []}
    async with kit.store.begin() as tx:
        for one in found.readings:
            outcome[await _store(kit, tx, one, status)].append(_ref(one.draft))
        if outcome["added"] or outcome["changed"]:
            after = {name: outcome[name] for name in ("added", "changed")}
            await auditing.note(kit, tx, Deed("article.import", ", ".join(path.name for path in paths), after=after))
    known = set(outcome["unchanged"])
    fresh = [one.draft for one in found.readings if _ref(one.draft) not in known]
    remarks = [(_ref(draft), remark) for draft in fresh for remark in draft.remarks]
    done = {name: tuple(refs) for name, refs in outcome.items()}
    return Imported(
        done["added"], done["changed"], done["unchanged"], refused=(*found.refused, *twins), remarks=tuple(remarks)
    )


async def import_starters(kit: Kit) -> Imported:
    """Add the shipped articles that are not there, as ready; those that are there stay as they are, edited or not."""
    found = await asyncio.to_thread(reading.read_articles, [asset("config/articles")], language="en")
    added: list[str] = []
    kept: list[str] = []
    async with kit.store.begin() as tx:
        for one in found.readings:
            draft = replace(one.draft, status=ArticleStatus.READY)
            made = await content.add(tx, draft.slug, draft.language, _content(draft), kit.clock.now())
            (kept if made is None else added).append(_ref(draft))
    return Imported(tuple(added), unchanged=tuple(kept), refused=found.refused)


async def articles(kit: Kit, wanted: Filter) -> list[Article]:
    """Return the articles that match, by slug and language."""
    async with kit.store.read() as tx:
        return await content.every(tx, wanted)


async def article(kit: Kit, slug: str, language: str | None = None) -> Article:
    """Return one article: in `language`, else in the installation's, else in the only one there is."""
    async with kit.store.read() as tx:
        return _chosen(await content.of_slug(tx, slug), slug, language, kit.settings.language)


async def search(kit: Kit, text: str, wanted: Filter, most: int = 20) -> list[Hit]:
    """Return the articles that hold all words of `text`, the best first."""
    words = _words(text)
    async with kit.store.read() as tx:
        return await content.search(tx, words, wanted, most)


async def edit_article(kit: Kit, slug: str, language: str | None, change: Callable[[str], str]) -> tuple[Article, bool]:
    """Let `change` turn the article's text, with its front matter, into another; return it and whether it differs.

    Slug and language stay. Raises ArticleRefused for a text that is no article, Conflict when somebody else was faster.
    """
    before = await article(kit, slug, language)
    draft = parse_article(change(reading.as_text(before)), before.slug, language=before.language)
    if (draft.slug, draft.language) != (before.slug, before.language):
        msg = f"{before.slug} in {before.language} cannot get another slug or language."
        raise BadInput(msg, remedy="Import the text as a new article, and retire this one.")
    if (draft.digest(), draft.status) == (before.digest, before.status):
        return before, False
    async with kit.store.begin() as tx:
        if not await content.change(tx, before, _content(draft), kit.clock.now()):
            raise Conflict(
                f"Somebody else changed {slug} just now.", remedy="Look at it again, then repeat your change."
            )
        after = await content.find(tx, before.slug, before.language)
        changed = sorted(name for name, value in _content(draft).items() if getattr(before, name, value) != value)
        await auditing.note(kit, tx, Deed("article.edit", _ref(draft), after={"fields": changed}))
    return after or before, True


async def retire(kit: Kit, slug: str, language: str | None = None) -> tuple[str, ...]:
    """Take an article, in one or all of its languages, out of all digests to come; return what was retired just now."""
    done = []
    async with kit.store.begin() as tx:
        found = [one for one in await content.of_slug(tx, slug) if language in (None, one.language)]
        if not found:
            raise _unknown(slug)
        for one in found:
            if one.status != ArticleStatus.RETIRED:
                await content.change(tx, one, {"status": ArticleStatus.RETIRED}, kit.clock.now())
                done.append(f"{one.slug}/{one.language}")
        if done:
            await auditing.note(kit, tx, Deed("article.retire", slug, after={"articles": done}))
    return tuple(done)


async def require_articles(kit: Kit, slugs: Iterable[str]) -> None:
    """Raise NotFound naming the first of `slugs` that is no article."""
    async with kit.store.read() as tx:
        for slug in slugs:
            if not await content.of_slug(tx, slug):
                raise _unknown(slug)


async def digests(kit: Kit, slugs: Iterable[str]) -> dict[str, str]:
    """Return a digest of each of these articles in each language: what an approval of pinned articles is bound to."""
    async with kit.store.read() as tx:
        found = [one for slug in slugs for one in await content.of_slug(tx, slug)]
    return {f"{one.slug}/{one.language}": one.digest.hex() for one in found}


def card(one: Article) -> ArticleCard:
    """Return what a choice of articles needs to know of one.

    It is as new as the day it came in where it has no date.
    """
    status, published = ArticleStatus(one.status), one.published_on or one.created_at.date()
    return ArticleCard(one.id, one.slug, one.language, status, one.topics, published, one.review_on)


async def key_dates(kit: Kit) -> list[KeyDate]:
    """Return all key dates by slug: the shipped, over them those of the home's file, then those in the database."""
    path = kit.settings.home / "config" / "key_dates.toml"
    found = {one.slug: one for one in _overlaid(asset("config/key_dates.toml"), path, key_dates_from)}
    async with kit.store.read() as tx:
        added = await content.added_key_dates(tx)
    found |= {slug: key_date_from(definition) for slug, definition in added}
    return [found[slug] for slug in sorted(found)]


async def key_date(kit: Kit, slug: str) -> KeyDate:
    """Return one key date; raise NotFound with those that are near."""
    known = {one.slug: one for one in await key_dates(kit)}
    if slug not in known:
        near = [other for other in known if set(slug.lower().split("-")) & set(other.split("-"))]
        raise NotFound(
            f"There is no key date {slug!r}.",
            remedy=f"{'Near: ' + ', '.join(near) + '. ' if near else ''}All: campaign keydates list.",
        )
    return known[slug]


def helplines(kit: Kit) -> Helplines:
    """Return the helplines: the shipped ones, and over them those of the home's file."""
    shipped, own = (
        _toml(path) for path in (asset("config/helplines.toml"), kit.settings.home / "config" / "helplines.toml")
    )
    found = helplines_from(shipped or {}, "helplines.toml")
    return found if own is None else found.overlaid(helplines_from(own, "config/helplines.toml"))


async def _store(kit: Kit, tx: Transaction, one: Reading, status: ArticleStatus) -> str:
    """Add or change one article."""
    draft, now = one.draft, kit.clock.now()
    before = await content.find(tx, draft.slug, draft.language)
    if before is None:
        new = draft if one.names_status else replace(draft, status=status)
        await content.add(tx, draft.slug, draft.language, _content(new), now)
        return "added"
    kept = draft if one.names_status else replace(draft, status=ArticleStatus(before.status))
    if (kept.digest(), kept.status) == (before.digest, before.status):
        return "unchanged"
    await content.change(tx, before, _content(kept), now)
    return "changed"


def _content(draft: ArticleDraft) -> dict[str, Any]:
    columns = ("title", "summary", "body", "source_name", "source_url", "published_on", "review_on", "topics")
    values = {name: getattr(draft, name) for name in columns}
    return {**values, "sensitivity": str(draft.sensitivity), "status": str(draft.status), "digest": draft.digest()}


def _ref(draft: ArticleDraft) -> str:
    return f"{draft.slug}/{draft.language}"


def _without_twins(found: reading.Readings) -> tuple[reading.Readings, list[Refusal]]:
    """Refuse a second file of one import that would overwrite the first."""
    first: dict[str, Reading] = {}
    twins = []
    for one in found.readings:
        other = first.setdefault(_ref(one.draft), one)
        if other is not one:
            msg = f"{one.path}: {other.path} has the slug {one.draft.slug} in {one.draft.language}, too."
            twins.append(
                Refusal(
                    one.path, BadInput(msg, remedy="Give one of them another title, or a slug in its front matter.")
                )
            )
    return replace(found, readings=tuple(first.values())), twins


def _chosen(found: Sequence[Article], slug: str, language: str | None, usual: str) -> Article:
    by_language = {one.language: one for one in found}
    if not found:
        raise _unknown(slug)
    wanted = language or (usual if usual in by_language else "")
    if wanted in by_language:
        return by_language[wanted]
    if language is None and len(found) == 1:
        return found[0]
    msg = f"{slug} is there in {', '.join(sorted(by_language))}."
    raise NotFound(msg, remedy="Name one of them with --language.")


def _unknown(slug: str) -> NotFound:
    return NotFound(
        f"There is no article {slug!r}.", remedy="See campaign articles list, or campaign articles search WORDS."
    )


def _words(text: str) -> list[str]:
    """Cut what somebody looks for into words without signs that any search language could mean something by."""
    clean = "".join(c if c.isprintable() and not "\ud800" <= c <= "\udfff" else " " for c in text)
    words = [word[:_LONGEST_WORD] for word in clean.split() if any(c.isalnum() for c in word)]
    if not words:
        raise BadInput("There is no word to look for.", remedy="Write, for example: campaign articles search labour")
    return words[:_MOST_WORDS]


def _overlaid(shipped: Path, own: Path, read: Callable[[Mapping[str, Any], str], list[T]]) -> list[T]:
    """Read the shipped file and the home's after it; a mistake in either names its file."""
    return [
        one
        for path, name in ((shipped, shipped.name), (own, f"config/{own.name}"))
        for one in read(_toml(path) or {}, name)
    ]


def _toml(path: Path) -> dict[str, Any] | None:
    """Read a TOML file, or None where there is none; raise BadInput that names file and line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not TOML: {error}.", remedy="Mend it, or move it away.") from error
