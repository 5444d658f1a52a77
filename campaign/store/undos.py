"""Statements that take away what an import added, some thousand people at a time. It never touches what others did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import and_, delete, exists, func, insert, or_, select, update

from campaign.domain.consent import SubscriptionEvent, SubscriptionState
from campaign.store import ledger, people
from campaign.store.engine import Transaction
from campaign.store.schema.people import consents, import_changes, imports, subscribers, subscriptions

CHUNK: Final = 10_000
_SLICE: Final = 2_500
"""Keys of one statement: each takes half a kilobyte on its way."""
_S: Final = subscriptions.c
_P: Final = subscribers.c
_C: Final = consents.c
_X: Final = import_changes.c


@dataclass(frozen=True, slots=True)
class Taken:
    """What one chunk of an undo did: the last subscription looked at, those taken away, and those that stay."""

    last: int
    taken: int
    kept: int


async def take_away(tx: Transaction, import_id: int, after: int, now: datetime) -> Taken | None:
    """Take away the next subscriptions that an import added, with their consents, and people who then have none.

    Those of people who left since, confirmed by a letter, or consented otherwise stay, and no longer count as the
    import's. None: all done.
    """
    added = select(_S.id).where(_S.import_id == import_id, _S.id > after).order_by(_S.id).limit(CHUNK).subquery()
    last, seen = (await tx.execute(select(func.max(added.c.id), func.count()))).one()
    if not seen:
        return None
    mine = and_(_S.import_id == import_id, _S.id > after, _S.id <= last)
    await tx.execute(select(_S.id).where(mine).with_for_update())  # nobody leaves or confirms between two statements
    others = or_(_C.import_id.is_(None), _C.import_id != import_id, _C.confirmed_at.is_not(None))
    otherwise = exists().where(_C.subscription_id == _S.id, others)
    kept = await tx.execute(
        update(subscriptions).where(mine, or_(_S.state == SubscriptionState.LEFT, otherwise)).values(import_id=None)
    )
    rows = (await tx.execute(select(_S.subscriber_id, _P.address_key).join(subscribers).where(mine))).all()
    gone = select(_S.id).where(mine)
    await tx.execute(delete(consents).where(_C.subscription_id.in_(gone)))
    await tx.execute(delete(subscriptions).where(mine))
    for start in range(0, len(rows), _SLICE):
        keys = [row.address_key for row in rows[start : start + _SLICE]]
        await ledger.suppress_people(tx, keys, now=now, reason="import undone")
    if rows:
        ids = (min(row.subscriber_id for row in rows), max(row.subscriber_id for row in rows))
        await _forget(tx, import_id, ids)
    return Taken(int(last), len(rows), int(kept.rowcount))


async def _forget(tx: Transaction, import_id: int, ids: tuple[int, int]) -> None:
    """Delete the people whom the import brought and who are on no list now; others are nobody's doing any more."""
    near = and_(_P.import_id == import_id, _P.id >= ids[0], _P.id <= ids[1])
    alone = ~exists().where(_S.subscriber_id == _P.id)
    await ledger.forget_letters_of(tx, select(_P.id).where(near, alone))
    await tx.execute(delete(subscribers).where(near, alone))


async def release(tx: Transaction, import_id: int, after: int) -> int | None:
    """Let the next people who stay no longer count as the import's; return the last one's id, None after them."""
    some = select(_P.id).where(_P.import_id == import_id, _P.id > after).order_by(_P.id).limit(CHUNK).subquery()
    last = (await tx.execute(select(func.max(some.c.id)))).scalar_one()
    if last is None:
        return None
    theirs = (_P.import_id == import_id, _P.id > after, _P.id <= last)
    await tx.execute(update(subscribers).where(*theirs).values(import_id=None))
    return int(last)


class Change(NamedTuple):
    """What an import changed about somebody who was known, sealed."""

    id: int
    subscriber_id: int
    confirmed: bool
    sealed: bytes | None


async def record(tx: Transaction, import_id: int, changes: Sequence[tuple[int, bool, bytes | None]]) -> None:
    """Write down what an import changes: about whom, whether it made them active, and the values, sealed."""
    rows = [
        {"import_id": import_id, "subscriber_id": who, "confirmed": confirmed, "before_sealed": sealed}
        for who, confirmed, sealed in changes
    ]
    if rows:
        await tx.execute(insert(import_changes), rows)


async def changes(tx: Transaction, import_id: int) -> list[Change]:
    """Return the next changes of an import; they go when they are undone."""
    columns = (_X.id, _X.subscriber_id, _X.confirmed, _X.before_sealed)
    rows = await tx.execute(select(*columns).where(_X.import_id == import_id).order_by(_X.id).limit(CHUNK))
    return [Change(*row) for row in rows]


async def withdraw(tx: Transaction, import_id: int, subscriber_ids: Sequence[int], now: datetime) -> int:
    """Make those pending again whom the import alone made active; return how many."""
    of_import = select(imports.c.list_id).where(imports.c.id == import_id).scalar_subquery()
    since = exists().where(
        _C.subscription_id == _S.id,
        or_(_C.import_id.is_(None), _C.import_id != import_id),
        or_(_C.confirmed_at.is_not(None), _C.given_at > _S.confirmed_at),
    )
    mine = and_(_S.subscriber_id.in_(subscriber_ids), _S.list_id == of_import, ~since)
    moved = await people.move(tx, SubscriptionEvent.WITHDRAW, mine, now)
    return len(moved)


async def undone(tx: Transaction, found: Sequence[Change]) -> None:
    """Forget changes that are undone."""
    await tx.execute(delete(import_changes).where(_X.id.in_([one.id for one in found])))


async def take_consents(tx: Transaction, import_id: int, after: int) -> int | None:
    """Take away the next consents that an import recorded for people who were on the list before.

    Return the last one's id, None after them.
    """
    mine = (_C.import_id == import_id, _C.confirmed_at.is_(None), _C.id > after)
    some = select(_C.id).where(*mine).order_by(_C.id).limit(CHUNK).subquery()
    last = (await tx.execute(select(func.max(some.c.id)))).scalar_one()
    if last is None:
        return None
    await tx.execute(delete(consents).where(*mine, _C.id <= last))
    return int(last)
