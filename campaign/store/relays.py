"""Statements about relays: how often one failed in a row, and until when it rests. It never talks to one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select, update

from campaign.store.dialects import insert_into
from campaign.store.engine import Transaction
from campaign.store.schema.ledger import relays

_R: Final = relays.c
MAIN_RELAY: Final = "main"
_FAULTS: Final = 3
_SHORTEST: Final = timedelta(seconds=30)
_LONGEST: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Relay:
    """One relay as the ledger knows it."""

    name: str
    paused_until: datetime | None
    reason: str
    faults: int


async def every(tx: Transaction) -> list[Relay]:
    """Return all relays that ever failed."""
    return [Relay(row.name, row.paused_until, row.reason, row.faults) for row in await tx.execute(select(relays))]


async def fault(tx: Transaction, name: str, reason: str, now: datetime, *, stop: bool = False) -> datetime | None:
    """Count a fault; from the third in a row the relay rests for 30 s doubling to 15 min. Return until when, or None.

    `stop` is for faults of our own settings (wrong password, sender refused): it rests the longest time at once.
    """
    first = insert_into(tx, relays).values(name=name, faults=0, reason="").on_conflict_do_nothing()
    await tx.execute(first)
    resting = await paused_until(tx, name)
    if resting is not None and resting > now:  # every connection of a lane meets the same fault at the same time
        return resting
    counted = update(relays).where(_R.name == name).values(faults=_R.faults + 1, reason=reason).returning(_R.faults)
    faults: int = (await tx.execute(counted)).scalar_one()
    if faults < _FAULTS and not stop:
        return None
    rest = _LONGEST if stop else min(_SHORTEST * 2 ** min(faults - _FAULTS, 10), _LONGEST)
    await tx.execute(update(relays).where(_R.name == name).values(paused_until=now + rest))
    return now + rest


async def well(tx: Transaction, name: str) -> None:
    """Forget the faults of a relay that works."""
    await tx.execute(update(relays).where(_R.name == name).values(faults=0, paused_until=None, reason=""))


async def paused_until(tx: Transaction, name: str) -> datetime | None:
    """Return until when a relay rests, if it does."""
    until: datetime | None = (await tx.execute(select(_R.paused_until).where(_R.name == name))).scalar_one_or_none()
    return until
