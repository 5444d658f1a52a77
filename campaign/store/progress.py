"""Statements about how letters move right now: how fast, by which relay, to which domain, and what the rest waits for.

A look is cheap in a ledger of millions: it reads the events since the last look, and else counts in indexes. It never
moves a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import and_, func, select

from campaign.domain.delivery import LIVE, State
from campaign.store.engine import Transaction
from campaign.store.moves import in_state
from campaign.store.schema.ledger import deliveries, delivery_events, delivery_replies, waves

_D: Final = deliveries.c
_E: Final = delivery_events.c
_W: Final = waves.c
_NEWEST: Final = 100_000
"""Events among which a first look searches for the last seconds."""


@dataclass(frozen=True, slots=True)
class Moves:
    """So many letters to one domain, by one relay, went the same way."""

    relay: str
    domain: str
    origin: State
    target: State
    letters: int


@dataclass(frozen=True, slots=True)
class Later:
    """So many letters wait for another try for the same reason: when the first is tried, and one of them."""

    reason: str
    code: int | None
    letters: int
    first: datetime
    example: int


async def last_event(tx: Transaction) -> int:
    """Return the number of the newest event; 0 before the first."""
    return (await tx.execute(select(func.max(_E.id)))).scalar_one() or 0


async def event_before(tx: Transaction, instant: datetime) -> int:
    """Return an event after which everything since `instant` happened, not looking further back than 100,000."""
    newest = await last_event(tx)
    since = select(func.min(_E.id)).where(_E.id > newest - _NEWEST, _E.at >= instant)
    first = (await tx.execute(since)).scalar_one_or_none()
    return newest if first is None else first - 1


async def moves_since(tx: Transaction, event: int, edition_ids: Sequence[int]) -> list[Moves]:
    """Count how letters of some editions moved after an event, by relay and domain."""
    columns = (_D.relay, _D.domain, _E.from_state, _E.to_state)
    found = select(*columns, func.count()).join(deliveries, _D.id == _E.delivery_id)
    found = found.where(_E.id > event, _D.edition_id.in_(edition_ids)).group_by(*columns)
    return [Moves(*row) for row in await tx.execute(found)]


async def live_by_domain(tx: Transaction, edition_ids: Sequence[int]) -> dict[str, int]:
    """Count the letters that still move, by domain. This reads each of them."""
    found: dict[str, int] = {}
    for state in sorted(LIVE):
        mine = select(_D.domain, func.count()).where(in_state(state), _D.edition_id.in_(edition_ids))
        for domain, letters in await tx.execute(mine.group_by(_D.domain)):
            found[domain] = found.get(domain, 0) + letters
    return found


async def by_relay_and_domain(tx: Transaction, edition_ids: Sequence[int]) -> list[tuple[str, str, State, int]]:
    """Count all letters of some editions by relay ("" where none took one up yet), domain and state; this reads all."""
    columns = (_D.relay, _D.domain, _D.state)
    found = select(*columns, func.count()).where(_D.edition_id.in_(edition_ids)).group_by(*columns)
    return [(relay, domain, state, letters) for relay, domain, state, letters in await tx.execute(found)]


async def not_due(tx: Transaction, edition_ids: Sequence[int], now: datetime) -> tuple[int, datetime | None]:
    """Count the letters whose wave has not come yet; return when the next one comes, too."""
    coming = select(_W.edition_id, _W.due_at).where(_W.edition_id.in_(edition_ids), _W.due_at > now)
    wave = coming.distinct().subquery()
    mine = and_(in_state(State.QUEUED), _D.edition_id == wave.c.edition_id, _D.due_at == wave.c.due_at)
    row = (await tx.execute(select(func.count(), func.min(_D.due_at)).select_from(wave).join(deliveries, mine))).one()
    return row[0], row[1]


async def again_later(tx: Transaction, edition_ids: Sequence[int], now: datetime) -> list[Later]:
    """Count the letters that wait for another try, by reason, the commonest first.

    Their instants are their own: a letter that was not tried yet falls due with its wave.
    """
    coming = select(_W.due_at).where(_W.edition_id.in_(edition_ids), _W.due_at > now).distinct()
    instants = list((await tx.execute(coming)).scalars())
    columns = (func.coalesce(_D.reason, ""), _D.last_code)
    found = select(*columns, func.count(), func.min(_D.due_at), func.max(_D.id))
    found = found.where(in_state(State.QUEUED), _D.edition_id.in_(edition_ids), _D.due_at > now)
    found = found.where(_D.due_at.not_in(instants)).group_by(*columns).order_by(func.count().desc())
    return [Later(*row) for row in await tx.execute(found)]


async def last_words(tx: Transaction, delivery_id: int) -> str:
    """Return what a relay last said about a letter, nothing where it said or kept nothing."""
    r = delivery_replies.c
    said = select(r.text).join(delivery_events, _E.id == r.event_id).where(_E.delivery_id == delivery_id)
    return (await tx.execute(said.order_by(_E.id.desc()).limit(1))).scalar_one_or_none() or ""
