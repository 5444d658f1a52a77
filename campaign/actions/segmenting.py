"""Segments are saved, tried, changed and closed: rules by which people are counted and found. It mails nobody.

A segment is live: whoever fits it at the moment of freezing gets the letter. So a change of its rule revokes the
approval of every campaign that it narrows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from campaign.actions import auditing, finding, listing
from campaign.actions.auditing import Deed
from campaign.actions.kit import Kit
from campaign.domain.editions import EditionState, check_slug
from campaign.domain.errors import BadInput, Conflict, NotFound
from campaign.domain.people import PersonRow, folded
from campaign.domain.segments import Rule
from campaign.domain.shapes import is_line
from campaign.store import audiences, editions, roster, segments
from campaign.store.engine import Transaction
from campaign.store.segments import Segment

_PAGE: Final = 2_000


@dataclass(frozen=True, slots=True)
class Counted:
    """How many people fit a rule now, and how many of them are suppressed, so that they get nothing."""

    people: int
    suppressed: int


async def add(kit: Kit, slug: str, rule: str, description: str = "") -> bool:
    """Save a rule under a name; return False when it is there just so, raise Conflict when the name means another."""
    check_slug(slug)
    async with kit.store.begin() as tx:
        words = str(await segments.read(tx, rule))
        found = await segments.find(tx, slug)
        if found is not None:
            if found.retired_at is None and (found.rule, found.description) == (words, _line(description)):
                return False
            raise Conflict(
                f"A segment {slug} is {'retired' if found.retired_at else 'there'} already.",
                remedy=f"Choose another name, or change it: campaign segments edit {slug}.",
            )
        await segments.add(tx, slug, words, _line(description), kit.clock.now())
        await auditing.note(kit, tx, Deed("segment.add", slug, after={"rule": words}))
    return True


async def edit(kit: Kit, slug: str, rule: str | None = None, description: str | None = None) -> bool:
    """Change a segment; return False when nothing is different. Raises Conflict while an audience is frozen by it."""
    async with kit.store.begin() as tx:
        found = await require(tx, slug)
        words = found.rule if rule is None else str(await segments.read(tx, rule))
        line = found.description if description is None else _line(description)
        if (words, line) == (found.rule, found.description):
            return False
        if words != found.rule:
            await _refuse_while_freezing(tx, slug)
        await segments.change(tx, found.id, words, line, kit.clock.now())
        await auditing.note(kit, tx, Deed("segment.edit", slug, before={"rule": found.rule}, after={"rule": words}))
    return True


async def retire(kit: Kit, slug: str) -> None:
    """Close a segment; raise Conflict while a campaign is narrowed by it."""
    async with kit.store.begin() as tx:
        found = await require(tx, slug)
        if using := [name for name, _ in await segments.used_by(tx, slug)]:
            raise Conflict(
                f"The segment {slug} narrows {', '.join(using)}.",
                remedy=f'Take it out first (campaign edit {using[0]} --segment ""), or cancel that campaign.',
            )
        await segments.retire(tx, found.id, kit.clock.now())
        await auditing.note(kit, tx, Deed("segment.retire", slug, before={"rule": found.rule}))


async def every(kit: Kit, *, retired: bool = False) -> list[Segment]:
    """Return the segments in use by name, and on demand the retired ones too."""
    async with kit.store.read() as tx:
        return list(await segments.every(tx, retired=retired))


async def show(kit: Kit, slug: str) -> tuple[Segment, list[str]]:
    """Return a segment, also a retired one, and the campaigns that it narrows."""
    async with kit.store.read() as tx:
        found = await require(tx, slug, retired=True)
        return found, [name for name, _ in await segments.used_by(tx, slug)]


async def count(kit: Kit, slug: str | None, rule: str | None = None, on_list: str | None = None) -> Counted:
    """Count who fits a segment, or a rule that is only tried, now; of one list only the active people."""
    async with kit.store.read() as tx:
        asked = await _asked(tx, slug, rule)
        within = segments.on_list((await listing.require(tx, on_list, retired=True)).id) if on_list else None
        everybody = await segments.count(tx, asked, within=within)
        reachable = audiences.not_suppressed() if within is None else within & audiences.not_suppressed()
        return Counted(everybody, everybody - await segments.count(tx, asked, within=reachable))


async def people(kit: Kit, slug: str | None, rule: str | None = None) -> AsyncIterator[PersonRow]:
    """Give the people who fit, page by page, one row for each of their lists."""
    async with kit.store.read() as tx:
        asked = await _asked(tx, slug, rule)
    after = 0
    while True:
        async with kit.store.read() as tx:
            ids = await segments.people(tx, asked, after, _PAGE)
            page = await roster.of_people(tx, ids)
        if not ids:
            return
        for entry in page:
            yield finding.row_of(kit, entry)
        after = ids[-1]


@dataclass(frozen=True, slots=True)
class Search:
    """Who is looked for: by a part of an address or name, a rule of segments, a state. All that is given counts."""

    text: str = ""
    rule: str | None = None
    state: str | None = None


async def find(kit: Kit, search: Search) -> AsyncIterator[PersonRow]:
    """Give the people who fit a search. With a rule, those who fit it are opened; without, see `finding.find`."""
    wanted = folded(search.text.strip())
    if search.rule is not None:
        rows = people(kit, None, search.rule)
    elif search.state is not None and not wanted:
        rows = finding.rows(kit)
    else:
        rows, wanted = finding.find(kit, search.text), ""
    async for row in rows:
        if finding.holds(row, wanted) and search.state in (None, row.state):
            yield row


async def require(tx: Transaction, slug: str, *, retired: bool = False) -> Segment:
    """Return a segment by its name; raise NotFound naming those there are."""
    found = await segments.find(tx, slug)
    if found is not None and (retired or found.retired_at is None):
        return found
    known = ", ".join(one.slug for one in await segments.every(tx)) or "none yet"
    remedy = f"Known: {known}. A new one: campaign segments add {slug} 'country = \"US\"'."
    raise NotFound(f"There is no segment {slug!r}.", remedy=remedy)


async def _asked(tx: Transaction, slug: str | None, rule: str | None) -> Rule:
    if (slug is None) is (rule is None):
        raise BadInput("Name a segment, or give a rule to try.", remedy="One of the two: SEGMENT, or --rule '…'.")
    return await segments.read(tx, rule if rule is not None else (await require(tx, slug or "", retired=True)).rule)


async def _refuse_while_freezing(tx: Transaction, slug: str) -> None:
    """Half of an audience by the old rule and half by the new one would be nobody's wish."""
    for name, id_ in await segments.used_by(tx, slug):
        if any(one.state is EditionState.FREEZING for one in await editions.of_campaign(tx, id_)):
            raise Conflict(f"The audience of {name} is being written down by this rule.", remedy="Try in a minute.")


def _line(text: str) -> str:
    line = " ".join(text.split())
    if not is_line(line):
        raise BadInput("A description is one line of text.", remedy="Make it shorter.")
    return line
