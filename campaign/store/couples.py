"""Statements that make one person of two, who are one. It never decides whether they are."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import delete, select, update

from campaign.domain.consent import SubscriptionState
from campaign.store import people
from campaign.store.engine import Transaction
from campaign.store.schema.ledger import deliveries
from campaign.store.schema.people import consents, subscribers, subscriptions

_S: Final = subscriptions.c
_D: Final = deliveries.c


async def drop_pending(tx: Transaction, subscriber_id: int) -> None:
    """Take away what somebody was asked about and never confirmed: that is no consent to bring along."""
    mine = (_S.subscriber_id == subscriber_id, _S.state == SubscriptionState.PENDING)
    await tx.execute(delete(consents).where(consents.c.subscription_id.in_(select(_S.id).where(*mine))))
    await tx.execute(delete(subscriptions).where(*mine))


async def join(tx: Transaction, kept: int, other: int, now: datetime) -> int:
    """Bring the other's subscriptions, consents and letters to the person who is kept; return how many lists came.

    Where both are on a list, the kept one's standing counts, and the other's consents stand beside its own. Letters
    lose the other mailbox's address: a later erasure of it would not look for them at the kept one.
    """
    mine = {one.list_id: one.id for one in await people.subscriptions_of(tx, kept)}
    came = 0
    for theirs in await people.subscriptions_of(tx, other):
        standing = mine.get(theirs.list_id)
        if standing is None:
            await tx.execute(update(subscriptions).where(_S.id == theirs.id).values(subscriber_id=kept, import_id=None))
            came += theirs.state is SubscriptionState.ACTIVE
            continue
        moved = update(consents).where(consents.c.subscription_id == theirs.id)
        await tx.execute(moved.values(subscription_id=standing))
        await tx.execute(update(deliveries).where(_D.subscription_id == theirs.id).values(subscription_id=standing))
        await tx.execute(delete(subscriptions).where(_S.id == theirs.id))
    kept_post = {"subscriber_id": kept, "address_sealed": None, "name_sealed": None}
    await tx.execute(update(deliveries).where(_D.subscriber_id == other).values(kept_post))
    await tx.execute(delete(subscribers).where(subscribers.c.id == other))
    touched = (subscribers.c.id == kept, subscribers.c.import_id.is_not(None))
    await tx.execute(update(subscribers).where(*touched).values(import_id=None, changed_at=now))
    return came
