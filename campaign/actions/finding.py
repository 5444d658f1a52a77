"""Finds and shows people: by exact address, by a part of a name or address, by list. It never changes anything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from campaign.actions import listing, merging
from campaign.actions.kit import Kit
from campaign.actions.subscribing import Standing, standing
from campaign.domain.addresses import AddressRefused, parse_address
from campaign.domain.consent import SubscriptionState
from campaign.domain.errors import BadInput
from campaign.domain.people import SUPPRESSED, PersonRow, folded
from campaign.store import audit, consents, people, roster
from campaign.store.consents import Evidence
from campaign.store.people import Post
from campaign.store.roster import Entry

_DEEDS: Final = 50
"""What operators did last about one person; `campaign audit` has all."""


@dataclass(frozen=True, slots=True)
class Page:
    """All that is known about one person."""

    standing: Standing
    since: datetime
    consents: tuple[Evidence, ...]
    letters: tuple[Post, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    topics: tuple[str, ...] = ()
    deeds: tuple[audit.Entry, ...] = ()

    def row(self) -> dict[str, Any]:
        """Return the page as plain data."""
        who = self.standing
        return {
            "address": who.address.wire,
            "name": who.name,
            "country": who.country,
            "language": who.language,
            "timezone": who.timezone,
            "attributes": dict(self.attributes),
            "topics": list(self.topics),
            "since": self.since,
            "suppressed": asdict(who.suppressed) if who.suppressed else None,
            "subscriptions": [
                {name: getattr(one, name) for name in ("list", "state", "joined_at", "confirmed_at", "left_at")}
                for one in who.subscriptions
            ],
            "consents": [asdict(one) for one in self.consents],
            "letters": [asdict(one) for one in self.letters],
            "deeds": [
                {name: getattr(one, name) for name in ("at", "operator", "action", "before", "after")}
                for one in self.deeds
            ],
        }


async def rows(kit: Kit, slug: str | None = None, state: str | None = None) -> AsyncIterator[PersonRow]:
    """Give everybody on one list, or on all of them, one row for each person and list; on demand those in one state.

    Rows come page by page, each from a short look at the database; who moves meanwhile may be seen in either state.
    """
    async for entry in entries(kit, slug):
        if entry.list is not None and (state is None or state_of(entry) == state):
            yield row_of(kit, entry)


async def entries(kit: Kit, slug: str | None = None) -> AsyncIterator[Entry]:
    """Give everybody on one list, or on all of them, sealed, one for each person and list."""
    async with kit.store.read() as tx:
        wanted = await listing.require(tx, slug, retired=True) if slug else None
    if wanted is None:
        async for entry in _everybody(kit):
            yield entry
        return
    for state in (SubscriptionState.ACTIVE, SubscriptionState.PENDING, SubscriptionState.LEFT):
        after = 0
        while page := await _page(kit, wanted.id, state, after):
            for entry in page:
                yield entry
            after = page[-1].subscriber_id


async def _page(kit: Kit, list_id: int, state: SubscriptionState, after: int) -> list[Entry]:
    async with kit.store.read() as tx:
        return list(await roster.on_list(tx, list_id, state, after))


async def _everybody(kit: Kit) -> AsyncIterator[Entry]:
    after = 0
    while True:
        async with kit.store.read() as tx:
            page = await roster.everybody(tx, after)
        if not page:
            return
        for entry in page:
            yield entry
        after = page[-1].subscriber_id


def is_exact(text: str) -> bool:
    """Say whether a text is a whole address, which is found at once; any other needs a look at everybody."""
    try:
        parse_address(text)
    except AddressRefused:
        return False
    return True


async def find(kit: Kit, text: str) -> AsyncIterator[PersonRow]:
    """Give the people whose address is `text`, or (where it is no whole address) whose address or name holds it.

    Addresses and names are sealed, so a part of one is searched by opening every row: some seconds for a million.
    """
    wanted = folded(text.strip())
    if not wanted:
        raise BadInput("There is nothing to look for.", remedy="Give an address, or a part of an address or a name.")
    if is_exact(text):
        async with kit.store.read() as tx:
            person = await people.find(tx, kit.keys.address_key(parse_address(text)))
            found = await roster.of_person(tx, person.id) if person else ()
        for entry in found:
            yield row_of(kit, entry)
        return
    async for entry in _everybody(kit):
        row = row_of(kit, entry)
        if holds(row, wanted):
            yield row


def holds(row: PersonRow, wanted: str) -> bool:
    """Say whether a `folded` text is a part of somebody's address or name."""
    return wanted in folded(row.address) or wanted in folded(row.name)


def state_of(entry: Entry) -> str:
    """Return the state that a list of people shows: suppressed, or that of the subscription."""
    return SUPPRESSED if entry.suppressed else (entry.state.value if entry.state else "")


def row_of(kit: Kit, entry: Entry) -> PersonRow:
    """Open what a list of people shows about one of them."""
    return PersonRow(
        kit.keys.open(entry.address_sealed, purpose="address"),
        kit.keys.open(entry.name_sealed, purpose="name") if entry.name_sealed else "",
        entry.list or "",
        state_of(entry),
        entry.country,
        entry.language,
        entry.timezone,
    )


async def show(kit: Kit, address: str) -> Page:
    """Return all that is known about one person; raise NotFound for nobody."""
    who = await standing(kit, address)
    async with kit.store.read() as tx:
        person = await people.find(tx, kit.keys.address_key(who.address))
        since = person.created_at if person else kit.clock.now()
        given = await consents.evidence(tx, person.id) if person else []
        letters = await people.letters_of(tx, person.id) if person else []
        known = await people.known_of(tx, person.id) if person else {}
        asked = audit.Asked(subject_key=kit.keys.address_key(who.address))
        found = await audit.entries(tx, asked, None, _DEEDS)
    facts, topics = merging.readable(kit, known)
    deeds = tuple(entry for _, entry in found)
    return Page(who, since, tuple(given), tuple(letters), facts, topics, deeds)
