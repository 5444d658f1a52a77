"""People leave, by the link of a letter or by name; and where one person stands, for other verbs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from campaign.actions import auditing, journaling, listing
from campaign.actions.auditing import Deed
from campaign.actions.kit import Kit
from campaign.domain.addresses import Address, parse_address
from campaign.domain.consent import SubscriptionState
from campaign.domain.errors import NotFound
from campaign.domain.journal import Line, What
from campaign.domain.tokens import Link, Purpose
from campaign.store import ledger, people, suppressions
from campaign.store.engine import Transaction, repeated
from campaign.store.people import Subscriber, Subscription
from campaign.store.suppressions import Suppression


@dataclass(frozen=True, slots=True)
class Left:
    """The names of the lists that somebody left just now; none when they had left before."""

    lists: tuple[str, ...] = ()


@repeated
async def leave_by_link(kit: Kit, token: str) -> Left:
    """Leave by the link of a letter: every list of its campaign's audience, or the one list of a service letter.

    Letters that wait are taken out in the same transaction. Raises TokenRefused for a link that is not ours.
    """
    link = kit.keys.read_link(Purpose.LEAVE, token)
    async with kit.store.begin() as tx:
        standing = await _subscription_of(tx, link)
        person = await people.by_id(tx, standing.subscriber_id) if standing else None
        if standing is None or person is None or not await _was_theirs(tx, link, person):
            return Left()
        lists = {standing.list_id, *await people.audience_lists(tx, link.delivery)}
        return await _leave(kit, tx, person, sorted(lists))


async def _subscription_of(tx: Transaction, link: Link) -> Subscription | None:
    """Return the subscription that a link names, or the one that its letter is about now.

    They differ where two people were merged, or an import was undone and made again.
    """
    named = await people.subscription_by_id(tx, link.subscription)
    if named is not None or not link.delivery:
        return named
    letter = await people.carrier(tx, link.delivery)
    if letter is None or letter.subscription_id is not None:
        return await people.subscription_by_id(tx, letter.subscription_id or 0) if letter else None
    person = await people.find(tx, letter.address_key)
    lists = await people.audience_lists(tx, link.delivery)
    mine = await people.subscriptions_of(tx, person.id) if person else []
    return next((one for one in mine if one.list_id in lists), None)


async def _was_theirs(tx: Transaction, link: Link, person: Subscriber) -> bool:
    """Say whether a link belongs to this person: the letter that carried it went to them."""
    letter = await people.carrier(tx, link.delivery) if link.delivery else None
    if letter is None:
        return True
    return letter.subscriber_id == person.id or letter.address_key == person.address_key


@repeated
async def leave(kit: Kit, address: Address, slug: str | None = None) -> Left:
    """Let a person leave one list, or every list."""
    async with kit.store.begin() as tx:
        wanted = await listing.require(tx, slug, retired=True) if slug else None
        person = await people.find(tx, kit.keys.address_key(address))
        left = await _leave(kit, tx, person, [wanted.id] if wanted else None) if person else Left()
        if left.lists:
            await auditing.note(kit, tx, Deed("subscriber.leave", address, after={"lists": left.lists}))
        return left


async def _leave(kit: Kit, tx: Transaction, person: Subscriber, list_ids: list[int] | None) -> Left:
    now = kit.clock.now()
    ended = set(await people.leave(tx, person.id, list_ids, now))
    await ledger.suppress_person(tx, person.address_key, now=now, reason="left")
    left = [one for one in await people.subscriptions_of(tx, person.id) if one.id in ended]
    if left:
        slugs = tuple(one.list for one in left)
        await journaling.write(kit, [Line(now, What.LEFT, person.address_key, slugs)])
    return Left(tuple(one.list_name for one in left))


@dataclass(frozen=True, slots=True)
class Standing:
    """One person as other verbs see them: who they are, what they are on, and what stands against a letter."""

    address: Address
    name: str
    country: str | None
    language: str | None
    timezone: str | None
    subscriptions: tuple[Subscription, ...]
    suppressed: Suppression | None

    def reasons(self, lists: Sequence[str]) -> Iterator[str]:
        """Say why an edition to these lists would not go to this person; nothing when it would."""
        if self.suppressed is not None:
            yield f"suppressed since {self.suppressed.since:%Y-%m-%d} ({self.suppressed.reason.value})"
        mine = {one.list: one for one in self.subscriptions}
        if any(slug in mine and mine[slug].state is SubscriptionState.ACTIVE for slug in lists):
            return
        for slug in lists:
            yield _why_not_active(slug, mine.get(slug))


def _why_not_active(slug: str, standing: Subscription | None) -> str:
    if standing is None:
        return f"not on the list {slug}"
    if standing.state is SubscriptionState.PENDING:
        return f"has not confirmed the list {slug}"
    return f"left the list {slug}" + (f" on {standing.left_at:%Y-%m-%d}" if standing.left_at else "")


async def standing(kit: Kit, address: str) -> Standing:
    """Return where the person with this address stands; raise NotFound for nobody, AddressRefused for no address."""
    asked = parse_address(address)
    async with kit.store.read() as tx:
        person = await people.find(tx, kit.keys.address_key(asked))
        if person is None:
            raise NotFound(f"Nobody has the address {asked}.", remedy="campaign subscribers find looks for parts.")
        own = await people.subscriptions_of(tx, person.id)
        suppressed = await suppressions.find(tx, person.address_key, person.domain)
    name = kit.keys.open(person.name_sealed, purpose="name") if person.name_sealed else ""
    return Standing(
        kit.keys.open_address(person.address_sealed),
        name,
        person.country,
        person.language,
        person.timezone,
        tuple(own),
        suppressed,
    )
