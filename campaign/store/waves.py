"""Statements about waves, the letters of one edition with one instant, and about the frozen audience. It never renders.

An audience is frozen in chunks under one membership cut-off, each chunk with its position in one transaction, so that a
leave never waits for a million rows and a crash repeats and loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    Join,
    Select,
    String,
    Subquery,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    literal_column,
    select,
    update,
)

from campaign.domain.delivery import Event, Kind, State, purpose_key
from campaign.domain.editions import EditionState
from campaign.domain.schedule import EVERYBODY, Wave
from campaign.store import lists, straight
from campaign.store.audiences import Audience, Span, members_of, not_suppressed, open_lists
from campaign.store.dialects import insert_into, look_up_by_index
from campaign.store.editions import Edition
from campaign.store.engine import Store, Transaction
from campaign.store.foreseen import Plan
from campaign.store.moves import Cause, in_state, move
from campaign.store.schema.ledger import deliveries, editions, waves
from campaign.store.schema.people import subscribers
from campaign.store.tokens import NO_RELAY

_D: Final = deliveries.c
_E: Final = editions.c
_W: Final = waves.c
_P: Final = subscribers.c

CHUNK: Final = 10_000
_SUPPRESSED: Final = "suppressed"


async def set_waves(tx: Transaction, edition_id: int, found: Sequence[Wave]) -> None:
    """Write down the waves of an edition, instead of any it had."""
    await tx.execute(delete(waves).where(_W.edition_id == edition_id))
    rows = [{name: getattr(wave, name) for name in Wave.__dataclass_fields__} for wave in found]
    await tx.execute(insert(waves), [{"edition_id": edition_id, "open": False, **row} for row in rows])


async def of_edition(tx: Transaction, edition_id: int) -> list[Wave]:
    """Return the waves of an edition, earliest first."""
    columns = [_W[name] for name in Wave.__dataclass_fields__]
    rows = await tx.execute(select(*columns).where(_W.edition_id == edition_id).order_by(_W.due_at, _W.timezone))
    return [Wave(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Freeze:
    """What an audience is frozen by: the edition, its campaign's audience, and the zone of people who declared none."""

    edition: Edition
    audience: Audience
    fallback: str
    cutoff: datetime


async def freeze_chunk(tx: Transaction, freeze: Freeze, now: datetime, most: int = CHUNK) -> int | None:
    """Go through the next subscribers, at most so many, and put those of the audience into the ledger.

    Return how many of the audience they were, None after the last. Whoever of them gets no letter is counted as left
    out: by subtraction, because on PostgreSQL a second look would also see people suppressed since. Two daemons may
    freeze one edition at once: the chunk belongs to the one that moves the position, so nobody is gone through twice.
    """
    edition = freeze.edition
    held = select(_E.frozen_to, _E.state, _E.excluded).where(_E.id == edition.id).with_for_update()
    state = (await tx.execute(held)).one()
    if state.state is not EditionState.FREEZING:
        return None
    await look_up_by_index(tx)
    chunk = select(_P.id).where(_P.id > state.frozen_to).order_by(_P.id).limit(most).subquery()
    last = (await tx.execute(select(func.max(chunk.c.id)))).scalar_one()
    if last is None:
        return None
    lists_then = await open_lists(tx, edition.campaign_id, freeze.cutoff)
    members = members_of(lists_then, Span(state.frozen_to, last), freeze.cutoff)
    audience = subscribers.join(members, members.c.subscriber_id == _P.id)
    rules = freeze.audience.rules()
    counted = select(func.count()).select_from(audience if rules else members).where(*rules)
    people = (await tx.execute(counted)).scalar_one()
    letters = _letters(freeze, audience, members, now).where(*rules, not_suppressed())
    insertion = insert_into(tx, deliveries).from_select(_COLUMNS, letters)
    insertion = insertion.on_conflict_do_nothing(index_elements=["purpose_key"])
    made = await tx.execute(insertion.inline(), execution_options={"preserve_rowcount": True})
    left_out = state.excluded.get(_SUPPRESSED, 0) + max(people - made.rowcount, 0)
    excluded = {**state.excluded, _SUPPRESSED: left_out}
    progress: dict[str, Any] = {"frozen_to": last, "planned": _E.planned + made.rowcount, "excluded": excluded}
    await tx.execute(update(editions).where(_E.id == edition.id).values(progress))
    return int(people)


async def look_over(store: Store) -> None:
    """After a large audience was frozen: have the database look at the letters there are now (see `Store.vacuum`)."""
    await store.vacuum(deliveries.name)


def _letters(freeze: Freeze, audience: Join, members: Subquery, now: datetime) -> Select[Any]:
    """Return the letters of an audience as rows; its `members` know by which subscription each gets theirs.

    A letter's purpose is the edition and the subscriber: both only grow, where a hash would be written all over an
    index of a million others. No two subscribers ever have one mailbox.
    """
    zones = select(_W.timezone).where(_W.edition_id == freeze.edition.id)
    zone = (
        EVERYBODY
        if freeze.fallback == EVERYBODY
        else case((_P.timezone.in_(zones), _P.timezone), else_=freeze.fallback)
    )
    return select(
        literal(Kind.EDITION.value),
        literal(freeze.edition.id),
        _P.id,
        members.c.subscription_id,
        literal(purpose_key(Kind.EDITION, freeze.edition.id, "")) + cast(_P.id, String),
        _P.address_key,
        _P.address_sealed,
        literal(NO_RELAY),
        _P.domain,
        _W.due_at,
        _W.valid_until,
        literal(State.QUEUED.value),
        literal(now, _D.moved_at.type),
        literal(0),
        literal(0),
        literal(0),
    ).select_from(audience.join(waves, and_(_W.edition_id == freeze.edition.id, _W.timezone == zone)))


_COLUMNS: Final = (
    "kind",
    "edition_id",
    "subscriber_id",
    "subscription_id",
    "purpose_key",
    "address_key",
    "address_sealed",
    "relay",
    "domain",
    "due_at",
    "valid_until",
    "state",
    "moved_at",
    "claim_no",
    "attempts",
    "drops",
)


async def open_due(tx: Transaction, now: datetime) -> bool:
    """Open the waves that fell due, and expire the letters of those found too late; return whether all is done.

    Lists whose end has come close with it. It runs in the transaction of every claim, so that no letter of a wave that
    nobody opened in time can be claimed. A million late letters expire in chunks, one a transaction: until the last of
    them, nothing of the edition is claimed.
    """
    await lists.close_ended(tx, now)
    due = select(waves).join(editions, _E.id == _W.edition_id)
    due = due.where(_E.state == EditionState.SENDING, _W.due_at <= now, ~_W.open)
    for wave in (await tx.execute(due)).all():
        if now > wave.latest_start and await _expire_chunk(tx, wave.edition_id, wave.due_at, now):
            return False
        mine = and_(_W.edition_id == wave.edition_id, _W.timezone == wave.timezone)
        await tx.execute(update(waves).where(mine).values(open=True))
    return True


async def foresee_none_due(plan: Plan, now: datetime) -> None:
    """Foresee for a claim that `open_due` would find nothing to do."""
    await straight.run(plan, _wanting(), {"now": now}, 0)


@cache
def _wanting() -> Any:
    now = bindparam("now", type_=_W.due_at.type)
    due: Select[Any] = select(literal_column("1")).select_from(waves.join(editions, _E.id == _W.edition_id))
    due = due.where(_E.state == EditionState.SENDING, _W.due_at <= now, ~_W.open)
    return due.union_all(select(literal_column("1")).where(exists(lists.ended(now)))).limit(1)


async def _expire_chunk(tx: Transaction, edition_id: int, due_at: datetime, now: datetime) -> int:
    queued = and_(in_state(State.QUEUED), _D.edition_id == edition_id, _D.due_at == due_at)
    some = select(_D.id).where(queued, _D.attempts == 0).order_by(_D.id).limit(CHUNK)
    moved = await move(tx, Event.EXPIRE, State.QUEUED, _D.id.in_(some.with_for_update()), Cause(now, reason="late"))
    return len(moved)


async def send_at_once(tx: Transaction, edition_id: int, wave: Wave) -> None:
    """Give every waiting letter of a missed edition a new instant, because a person decided to send it now."""
    await set_waves(tx, edition_id, [wave])
    values = {"due_at": wave.due_at, "valid_until": wave.valid_until}
    await tx.execute(update(deliveries).where(_D.edition_id == edition_id, _D.state == State.QUEUED).values(values))


async def cancel_chunk(tx: Transaction, edition_id: int, now: datetime) -> int:
    """Cancel the next waiting letters of an edition that was cancelled or skipped; return how many (0: done)."""
    moved = 0
    for origin in (State.QUEUED, State.CLAIMED):
        some = select(_D.id).where(_D.edition_id == edition_id, _D.state == origin).limit(CHUNK)
        moved += len(await move(tx, Event.CANCEL, origin, _D.id.in_(some.with_for_update()), Cause(now)))
    return moved
