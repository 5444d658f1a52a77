"""Somebody is to be written to at another address: a letter asks there, and only its link makes the change."""

from __future__ import annotations

from datetime import datetime

from campaign.actions import auditing, correcting
from campaign.actions.auditing import Deed
from campaign.actions.joining import ASK_AGAIN_AFTER, CONFIRM_WITHIN
from campaign.actions.kit import Kit
from campaign.domain.addresses import Address
from campaign.domain.consent import LIFTED_BY_CONFIRMING, SubscriptionState
from campaign.domain.delivery import Kind, purpose_key
from campaign.domain.errors import BadInput, Conflict
from campaign.store import address_changes, ledger, people, suppressions
from campaign.store.address_changes import Wish
from campaign.store.engine import Transaction, repeated
from campaign.store.ledger import Letter
from campaign.store.people import Sealed, Subscriber


@repeated
async def ask(kit: Kit, old: Address, new: Address) -> bool:
    """Ask a mailbox by letter whether it is this person's; return False when it was asked within the last day.

    Until it says yes, everything goes to the old one. The letter names nobody: the mailbox may be a stranger's. Raises
    Conflict where the old one gets nothing that could go elsewhere, or where one of them must never be mailed.
    """
    now, key = kit.clock.now(), kit.keys.address_key(new)
    if old.canonical == new.canonical:
        raise BadInput("These are one mailbox.", remedy="Name two.")
    async with kit.store.begin() as tx:
        person = await correcting.require(kit, tx, old)
        await _refuse(kit, tx, person, (old, new))
        before = await address_changes.open_of(tx, person.id)
        if before is not None and before.address_key == key and now - before.due_at < ASK_AGAIN_AFTER:
            return False
        letter = await ledger.enqueue(tx, await _letter(kit, tx, person, new), now)
        if letter is None:
            return False
        await address_changes.record(tx, person.id, letter, now, kit.operator)
        await auditing.note(kit, tx, Deed("subscriber.address", old, after={"asked": new.wire}))
    kit.doorbell.ring()
    return True


async def _refuse(kit: Kit, tx: Transaction, person: Subscriber, both: tuple[Address, Address]) -> None:
    for address in both:
        why = await suppressions.find(tx, kit.keys.address_key(address), address.domain)
        if why is not None and why.reason not in LIFTED_BY_CONFIRMING:
            raise Conflict(f"{address} is suppressed ({why.reason}).", remedy="Nobody is mailed around that.")
    standing = await people.subscriptions_of(tx, person.id)
    if not any(one.state is SubscriptionState.ACTIVE for one in standing):
        ask_anew = f"To ask the other address by itself: campaign subscribers add {both[1]} --list LIST"
        raise Conflict(f"{both[0]} is active on no list, so there is nothing to bring along.", remedy=ask_anew)


async def _letter(kit: Kit, tx: Transaction, person: Subscriber, new: Address) -> Letter:
    """Return the letter that asks, a day after the last one that asked this mailbox about anything."""
    key = kit.keys.address_key(new)
    asked = await address_changes.last_asked(tx, key)
    due = kit.clock.now() if asked is None else max(kit.clock.now(), asked + ASK_AGAIN_AFTER)
    language = person.language or kit.settings.language
    return Letter(
        kind=Kind.CONFIRM,
        purpose_key=purpose_key(Kind.CONFIRM, "address", person.id, key.hex()[:16], _day(due)),
        subscriber_id=person.id,
        subscription_id=None,
        address_key=key,
        address_sealed=kit.keys.seal(new.wire, purpose="address"),
        domain=new.domain,
        due_at=due,
        valid_until=due + CONFIRM_WITHIN,
        variant=f"{Kind.CONFIRM.value}:{language}",
    )


def _day(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%S}"


async def carry_out(kit: Kit, tx: Transaction, wish: Wish) -> bool:
    """Make the new mailbox the person's, as a merge would; return False where the person or the letter is gone."""
    person = await people.by_id(tx, wish.subscriber_id)
    if person is None or wish.address_sealed is None:
        return False
    suppressed = await suppressions.find(tx, person.address_key, person.domain)
    if suppressed is not None and suppressed.reason not in LIFTED_BY_CONFIRMING:
        return False
    now, sealed = kit.clock.now(), wish.address_sealed
    await people.add(tx, Sealed(wish.address_key, sealed, wish.domain), now)
    kept = await people.find(tx, wish.address_key)
    if kept is None:
        return False
    await address_changes.confirm(tx, wish.delivery_id, kept.id, now)
    new, old = (kit.keys.open_address(one) for one in (sealed, person.address_sealed))
    done = await correcting.unite(kit, tx, (kept, person))
    after = {"from": old.wire, "lists": done.lists, "asked_by": wish.asked_by}
    await auditing.note(kit, tx, Deed("subscriber.address", new, after=after))
    return True
