"""Lists are made, edited and closed. It never touches a person on one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from campaign.actions import auditing
from campaign.actions.auditing import Deed
from campaign.actions.kit import Kit
from campaign.domain.addresses import printable
from campaign.domain.editions import check_slug
from campaign.domain.errors import BadInput, Conflict, NotFound
from campaign.domain.lists import Terms, checked
from campaign.domain.localtime import end_of_day, parse_zone
from campaign.store import lists, segments
from campaign.store.engine import Transaction
from campaign.store.lists import MailingList


@dataclass(frozen=True, slots=True)
class Counted:
    """One list, and how many people it has by the state of their subscription."""

    list: MailingList
    people: Mapping[str, int]


async def add(kit: Kit, slug: str, terms: Terms) -> bool:
    """Make a list; return False when the same one is there already, raise Conflict when another one has the name."""
    check_slug(slug)
    terms = checked(terms)
    async with kit.store.begin() as tx:
        if await lists.add(tx, slug, terms, kit.clock.now()):
            await auditing.note(kit, tx, Deed("list.add", slug, after=asdict(terms)))
            return True
        found = await lists.find(tx, slug)
    if found is not None and found.terms == terms and found.retired_at is None:
        return False
    state = "retired" if found and found.retired_at else "there"
    msg = f"A list {slug} is {state} already."
    raise Conflict(
        msg, remedy="Choose another name." if state == "retired" else f"To change it: campaign lists edit {slug}"
    )


async def edit(kit: Kit, slug: str, changes: Mapping[str, Any]) -> bool:
    """Change some terms of a list (names as in `Terms`); return False when they were so already."""
    async with kit.store.begin() as tx:
        found = await require(tx, slug, retired=True)
        if found.retired_at is not None and not found.ended:
            await require(tx, slug)
        terms = found.terms.changed(changes)
        if terms == found.terms:
            return False
        await lists.change(tx, found.id, terms)
        if found.ended and terms.ends_at != found.ends_at:
            await lists.reopen(tx, found.id)
        before = {name: value for name, value in asdict(found.terms).items() if value != getattr(terms, name)}
        after = {name: getattr(terms, name) for name in before}
        await auditing.note(kit, tx, Deed("list.edit", slug, before=before, after=after))
    return True


async def retire(kit: Kit, slug: str) -> bool:
    """Close a list for good; return False when it was closed. Raises Conflict while a campaign uses it.

    Its people and their consents stay on record.
    """
    async with kit.store.begin() as tx:
        found = await require(tx, slug, retired=True)
        await refuse_in_use(tx, found)
        closed = await lists.retire(tx, found.id, kit.clock.now())
        if closed:
            await auditing.note(kit, tx, Deed("list.retire", slug))
        return closed


async def refuse_in_use(tx: Transaction, found: MailingList) -> None:
    """Raise Conflict where a campaign's audience or a segment's rule names a list: without it they mean others."""
    if using := await lists.campaigns_of(tx, found.id):
        msg = f"The list {found.slug} is in the audience of {', '.join(using)}."
        raise Conflict(msg, remedy=f"Cancel it first (campaign cancel {using[0]}), or give it other lists.")
    if naming := await segments.naming_list(tx, found.slug):
        msg = f"The rule of the segment {', '.join(naming)} names the list {found.slug}."
        raise Conflict(msg, remedy=f"Change it first: campaign segments edit {naming[0]} --rule '…', or retire it.")


async def show(kit: Kit, slug: str) -> Counted:
    """Return a list with its people counted; among the active ones "suppressed" counts those who are not mailed."""
    async with kit.store.read() as tx:
        found = await require(tx, slug, retired=True)
        people = (await lists.counts(tx)).get(found.id, {})
        return Counted(found, {**people, "suppressed": await lists.count_suppressed(tx, found.id)})


async def every(kit: Kit, *, retired: bool = False) -> list[Counted]:
    """Return the lists in use with their people counted, by name; on demand the retired ones too."""
    async with kit.store.read() as tx:
        people = await lists.counts(tx)
        return [Counted(one, people.get(one.id, {})) for one in await lists.every(tx, retired=retired)]


async def require(tx: Transaction, slug: str, *, retired: bool = False) -> MailingList:
    """Return a list by its slug; raise NotFound naming those there are, and (unless wanted) for a closed one."""
    found = await lists.find(tx, slug)
    if found is not None and (retired or found.retired_at is None):
        return found
    if found is not None and found.ended:
        later = f"To go on with it: campaign lists edit {slug} --ends DAY."
        raise NotFound(f"The list {slug} ended on {found.ends_at:%Y-%m-%d}.", remedy=later)
    if found is not None:
        raise NotFound(f"The list {slug} is retired.", remedy="campaign lists list shows those in use.")
    known = ", ".join(one.slug for one in await lists.every(tx)) or "none yet"
    raise NotFound(f"There is no list {slug!r}.", remedy=f"Known: {known}. A new one: campaign lists add {slug}.")


def end_of(kit: Kit, day: str, timezone: str | None) -> datetime | None:
    """Read the last day of a list: it ends when that day is over in its zone, or the installation's. "" is none."""
    if not day.strip():
        return None
    try:
        last = date.fromisoformat(day.strip())
    except ValueError as error:
        raise BadInput(f"{printable(day)} is not a day.", remedy="Write --ends 2026-12-31.") from error
    ends = end_of_day(last, parse_zone(timezone) if timezone else kit.settings.timezone)
    if ends <= kit.clock.now():
        raise BadInput(f"{last} is over.", remedy="Give a later day, or retire the list: campaign lists retire.")
    return ends
