"""Statements that make one person of two, who are one. It never decides whether they are."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select, update

from campaign.domain.consent import SubscriptionState
from campaign.store import people
from campaign.store.engine import Transaction
from campaign.store.schema.ledger import deliveries
from campaign.store.schema.people import consents, subscribers, subscriptions

_S = subscriptions.c
_D = deliveries.c


async def join(tx: Transaction, kept: int, other: int, now: datetime) -> int:
    """Bring the other's subscriptions, consents and letters to the person who is kept; return how many lists came.

    Where both are on a list, the kept one's standing counts, and the other's consents stand beside its own.
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
    await tx.execute(update(deliveries).where(_D.subscriber_id == other).values(subscriber_id=kept))
    await tx.execute(delete(subscribers).where(subscribers.c.id == other))
    touched = (subscribers.c.id == kept, subscribers.c.import_id.is_not(None))
    await tx.execute(update(subscribers).where(*touched).values(import_id=None, changed_at=now))
    return came


async def known(tx: Transaction, subscriber_id: int) -> dict[str, object]:
    """Return what can be changed about a person."""
    names = ("name_sealed", "country", "language", "timezone", "attributes", "attributes_sealed", "topics")
    columns = [subscribers.c[name] for name in names]
    row = (await tx.execute(select(*columns).where(subscribers.c.id == subscriber_id))).one()
    return dict(zip(names, row, strict=True))
