"""Statements that bring people from one list to another, some thousand at a time. It never lets anybody join anew.

A subscription that moves keeps its state, its days and its consents; so does its copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, case, func, insert, literal, select, update
from sqlalchemy.orm import aliased

from campaign.domain.consent import SubscriptionState
from campaign.store.engine import Transaction
from campaign.store.schema.people import consents, subscribers, subscriptions

CHUNK: Final = 5_000
_S: Final = subscriptions.c
_ACTIVE, _PENDING, _LEFT = SubscriptionState.ACTIVE, SubscriptionState.PENDING, SubscriptionState.LEFT


@dataclass(frozen=True, slots=True)
class Between:
    """From which list to which; `who` narrows the people (a predicate on subscribers), None means all."""

    source: int
    target: int
    who: ColumnElement[bool] | None = None

    def people(self) -> ColumnElement[bool]:
        """Return the narrowing as a predicate on subscriptions."""
        if self.who is None:
            return _S.id.is_not(None)
        return _S.subscriber_id.in_(select(subscribers.c.id).where(self.who))


async def forecast(tx: Transaction, between: Between) -> dict[str, int]:
    """Count what would happen to the people of the source: by their state there, and where they stand on the target."""
    there = aliased(subscriptions)
    state = case(
        (there.c.state.is_(None), literal("new")),
        (there.c.state == _LEFT, literal("left_target")),
        (there.c.state == _PENDING, literal("pending_on_target")),
        else_=literal("on_target"),
    )
    rows = select(_S.state, state, func.count()).select_from(subscriptions)
    rows = rows.outerjoin(there, and_(there.c.subscriber_id == _S.subscriber_id, there.c.list_id == between.target))
    rows = rows.where(_S.list_id == between.source, between.people()).group_by(_S.state, state)
    return {f"{mine.value}:{theirs}": count for mine, theirs, count in await tx.execute(rows)}


async def chunk(tx: Transaction, between: Between, after: int) -> tuple[int, int]:
    """Return the last subscriber id and the number of the next people of the source, beyond an id; 0 people: done."""
    some = select(_S.subscriber_id).where(_S.list_id == between.source, _S.subscriber_id > after, between.people())
    ids = some.order_by(_S.subscriber_id).limit(CHUNK).subquery()
    count, last = (await tx.execute(select(func.count(), func.max(ids.c.subscriber_id)))).one()
    return int(last or after), int(count)


async def copy(tx: Transaction, between: Between, after: int, to: int) -> int:
    """Put the active people of a chunk on the target, too, unless they are or were on it; return how many."""
    t = aliased(subscriptions)
    known = select(t.c.id).where(t.c.subscriber_id == _S.subscriber_id, t.c.list_id == between.target).exists()
    mine = and_(_S.list_id == between.source, _S.subscriber_id > after, _S.subscriber_id <= to, between.people())
    kept = (_S.state, _S.joined_at, _S.confirmed_at, _S.left_at, _S.asked)
    rows = select(_S.subscriber_id, literal(between.target), *kept).where(mine, _S.state == _ACTIVE, ~known)
    names = ["subscriber_id", "list_id", *(column.name for column in kept)]
    newest = int((await tx.execute(select(func.coalesce(func.max(_S.id), 0)))).scalar_one())
    made = await tx.execute(
        insert(subscriptions).from_select(names, rows).inline(), execution_options={"preserve_rowcount": True}
    )
    await _copy_consents(tx, between, newest, (after, to))
    return int(made.rowcount)


async def _copy_consents(tx: Transaction, between: Between, newest: int, ids: tuple[int, int]) -> None:
    """Give the copies the consents of their originals: same words, same day, same source."""
    c, old, new = consents.c, aliased(subscriptions), aliased(subscriptions)
    names = ["wording_id", "source", "given_at", "confirmed_at", "recorded_by", "import_id"]
    rows = select(new.c.id, *(c[name] for name in names)).select_from(consents)
    rows = rows.join(old, and_(old.c.id == c.subscription_id, old.c.list_id == between.source))
    rows = rows.join(new, and_(new.c.subscriber_id == old.c.subscriber_id, new.c.list_id == between.target))
    rows = rows.where(new.c.id > newest, old.c.subscriber_id > ids[0], old.c.subscriber_id <= ids[1])
    await tx.execute(insert(consents).from_select(["subscription_id", *names], rows.order_by(c.id)))


async def move(tx: Transaction, between: Between, ids: tuple[int, int], now: datetime) -> int:
    """Let the subscriptions of a chunk be about the target, where the person has none there; end the others.

    Whoever left the source or the target before stays out of the target. Return how many people moved.
    """
    t = aliased(subscriptions)
    known = select(t.c.id).where(t.c.subscriber_id == _S.subscriber_id, t.c.list_id == between.target).exists()
    mine: Any = and_(_S.list_id == between.source, _S.subscriber_id > ids[0], _S.subscriber_id <= ids[1])
    mine = and_(mine, between.people())
    moved = await tx.execute(update(subscriptions).where(mine, ~known).values(list_id=between.target))
    rest = and_(mine, _S.state != _LEFT)
    await tx.execute(update(subscriptions).where(rest).values(state=_LEFT, left_at=now))
    return int(moved.rowcount)
