"""What a mailbox says yes to by the link of a letter: a subscription, or being somebody's new address."""

from __future__ import annotations

from enum import StrEnum

from campaign.actions import changing, journaling
from campaign.actions.kit import Kit
from campaign.domain.consent import LIFTED_BY_CONFIRMING, SubscriptionState
from campaign.domain.journal import Line, What
from campaign.domain.tokens import Link, Purpose
from campaign.store import address_changes, consents, people, suppressions
from campaign.store.engine import Transaction, repeated


class Confirmed(StrEnum):
    """What became of a confirmation."""

    ACTIVE = "active"
    ALREADY = "already"
    EXPIRED = "expired"
    GONE = "gone"


@repeated
async def confirm_by_link(kit: Kit, token: str) -> Confirmed:
    """Do what a letter asked about, by its link; raise TokenRefused for a link that is not ours. Twice is fine.

    A pending subscription becomes active; of a change of address, the mailbox becomes the person's. It lifts a
    suppression of the mailbox for having left, been erased or bounced, and no other.
    """
    link = kit.keys.read_link(Purpose.CONFIRM, token)
    async with kit.store.begin() as tx:
        return await (_confirm_subscription if link.subscription else _confirm_address)(kit, tx, link)


async def _confirm_subscription(kit: Kit, tx: Transaction, link: Link) -> Confirmed:
    now = kit.clock.now()
    standing = await people.subscription_by_id(tx, link.subscription)
    person = await people.by_id(tx, standing.subscriber_id) if standing else None
    letter = await people.carrier(tx, link.delivery)
    if standing is None or person is None or letter is None or letter.subscription_id != standing.id:
        return Confirmed.GONE
    if standing.state is SubscriptionState.ACTIVE:
        return Confirmed.ALREADY
    if letter.valid_until <= now:
        return Confirmed.EXPIRED
    if not await _may_say_yes(tx, person.address_key, person.domain):
        return Confirmed.GONE
    if not await people.confirm(tx, [standing.id], now):
        return Confirmed.GONE
    await consents.confirm(tx, standing.id, now)
    await _lift(kit, tx, person.address_key)
    return Confirmed.ACTIVE


async def _confirm_address(kit: Kit, tx: Transaction, link: Link) -> Confirmed:
    wish = await address_changes.find(tx, link.delivery)
    if wish is None:
        return Confirmed.GONE
    if wish.confirmed_at is not None:
        return Confirmed.ALREADY
    if wish.valid_until <= kit.clock.now():
        return Confirmed.EXPIRED
    if not await _may_say_yes(tx, wish.address_key, wish.domain):
        return Confirmed.GONE
    if not await changing.carry_out(kit, tx, wish):
        return Confirmed.GONE
    await _lift(kit, tx, wish.address_key)
    return Confirmed.ACTIVE


async def _may_say_yes(tx: Transaction, key: bytes, domain: str) -> bool:
    suppressed = await suppressions.find(tx, key, domain)
    return suppressed is None or suppressed.reason in LIFTED_BY_CONFIRMING


async def _lift(kit: Kit, tx: Transaction, key: bytes) -> None:
    if await suppressions.lift(tx, key):
        await journaling.write(kit, [Line(kit.clock.now(), What.LIFTED, key)])
