"""Statements about permits: what was granted under each limit, by whichever worker. `domain.pace` counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select, update

from campaign.domain.pace import MICRO, PATIENCE, Bound, Span, first, grant
from campaign.store.dialects import insert_into
from campaign.store.engine import Transaction
from campaign.store.schema.ledger import permits

_P: Final = permits.c
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ask:
    """Who asks for how many permits: a relay (no domain), or one domain at it, under its limits as they are now."""

    relay: str
    domain: str
    limits: Mapping[Span, int]
    wanted: int


def micros(instant: datetime) -> int:
    """Return an instant as the whole microseconds in which paces are counted."""
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * MICRO + since.microseconds


async def bounds(tx: Transaction, ask: Ask, *, lock: bool = False) -> list[Bound]:
    """Return the limits of `ask` with what was granted under them; with `lock`, nobody else grants until the end."""
    wanted = select(_P.span, _P.free_at, _P.buckets).where(_P.relay == ask.relay, _P.domain == ask.domain)
    rows = await tx.execute(wanted.order_by(_P.span).with_for_update() if lock else wanted)
    known = {row.span: (row.free_at, {int(piece): count for piece, count in row.buckets.items()}) for row in rows}
    return [Bound(span, limit, *known.get(span.value, (0, {}))) for span, limit in sorted(ask.limits.items())]


async def take(tx: Transaction, asks: Sequence[Ask], now: datetime) -> list[tuple[list[int], list[Bound]]]:
    """Give out permits for each of `asks`, in their order; return their instants, and how the limits stand now.

    The rows are locked until this is on disk, one after the other in one order, so however many workers ask, no limit
    is overdrawn.
    """
    given: dict[tuple[str, str], tuple[list[int], list[Bound]]] = {}
    for ask in sorted(asks, key=lambda ask: (ask.relay, ask.domain)):
        await _know(tx, ask)
        found = await bounds(tx, ask, lock=True)
        instants = grant(found, micros(now), ask.wanted)
        await _write(tx, ask, found)
        given[ask.relay, ask.domain] = instants, found
    return [given[ask.relay, ask.domain] for ask in asks]


async def give_back(tx: Transaction, ask: Ask, instants: Sequence[int]) -> None:
    """Take back permits that nobody used, so that a day's limit can be used up."""
    found = await bounds(tx, ask, lock=True)
    for bound in found:
        for at in instants:
            bound.give_back(at)
    await _write(tx, ask, found)


async def used_up_until(tx: Transaction, ask: Ask, now: datetime) -> datetime | None:
    """Return until when the limits of `ask` are used up, None where the next letter may go in a few seconds."""
    found, instant = await bounds(tx, ask), micros(now)
    for bound in found:
        bound.settle(instant)
    free = first(found, instant)
    return _EPOCH + timedelta(microseconds=free) if free > instant + PATIENCE else None


async def next_free(tx: Transaction, now: datetime) -> datetime | None:
    """Return when a relay may be handed letters again that may be handed none now, the first of them."""
    free = func.max(_P.free_at)
    waiting = select(free).where(_P.domain == "").group_by(_P.relay).having(free > micros(now))
    soonest = min((await tx.execute(waiting)).scalars(), default=None)
    return None if soonest is None else _EPOCH + timedelta(microseconds=soonest)


async def _write(tx: Transaction, ask: Ask, found: Sequence[Bound]) -> None:
    for bound in found:
        mine = (_P.relay == ask.relay, _P.domain == ask.domain, _P.span == bound.span.value)
        pieces = {str(piece): count for piece, count in bound.pieces.items()}
        await tx.execute(update(permits).where(*mine).values(free_at=bound.free_at, buckets=pieces))


async def _know(tx: Transaction, ask: Ask) -> None:
    rows: list[dict[str, Any]] = [
        {"relay": ask.relay, "domain": ask.domain, "span": span.value, "free_at": 0, "buckets": {}}
        for span in sorted(ask.limits)
    ]
    if rows:  # a warm-up that is over leaves no limit
        await tx.execute(insert_into(tx, permits).on_conflict_do_nothing(), rows)
