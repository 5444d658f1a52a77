"""Statements about relays: how often one failed in a row, until when it rests, who paused it. It never talks to one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select, update

from campaign.store.dialects import insert_into
from campaign.store.engine import Transaction
from campaign.store.schema.ledger import relays

_R: Final = relays.c
_FAULTS: Final = 3
_SHORTEST: Final = timedelta(seconds=30)
_LONGEST: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Relay:
    """One relay as the ledger knows it: it rests `paused_until` after faults, and for good while somebody paused it."""

    name: str
    paused_until: datetime | None = None
    reason: str = ""
    faults: int = 0
    paused_by: str | None = None

    def is_open(self, now: datetime) -> bool:
        """Whether letters may go there."""
        return self.paused_by is None and not _rests(self.paused_until, now)


async def every(tx: Transaction) -> list[Relay]:
    """Return all relays that ever failed or were paused."""
    columns = [_R[name] for name in Relay.__dataclass_fields__]
    return [Relay(*row) for row in await tx.execute(select(*columns).order_by(_R.name))]


async def fault(tx: Transaction, name: str, reason: str, now: datetime, *, stop: bool = False) -> datetime | None:
    """Count a fault; from the third in a row the relay rests for 30 s doubling to 15 min. Return until when, or None.

    `stop` is for faults of our own settings (wrong password, sender refused): it rests the longest time at once.
    """
    await _know(tx, name)
    resting = await paused_until(tx, name)
    if _rests(resting, now):  # every connection of a lane meets the same fault at the same time
        return resting
    counted = update(relays).where(_R.name == name).values(faults=_R.faults + 1, reason=reason).returning(_R.faults)
    faults: int = (await tx.execute(counted)).scalar_one()
    if faults < _FAULTS and not stop:
        return None
    rest = _LONGEST if stop else min(_SHORTEST * 2 ** min(faults - _FAULTS, 10), _LONGEST)
    await tx.execute(update(relays).where(_R.name == name).values(paused_until=now + rest))
    return now + rest


async def well(tx: Transaction, name: str) -> None:
    """Forget the faults of a relay that works; who paused it still has."""
    await tx.execute(update(relays).where(_R.name == name).values(faults=0, paused_until=None, reason=""))


async def pause(tx: Transaction, name: str, by: str) -> bool:
    """Let nothing more go to a relay until somebody resumes it; return False when it was paused already."""
    await _know(tx, name)
    paused = update(relays).where(_R.name == name, _R.paused_by.is_(None)).values(paused_by=by)
    return (await tx.execute(paused.returning(_R.name))).scalar_one_or_none() is not None


async def resume(tx: Transaction, name: str) -> Relay | None:
    """Let letters go to a relay again, and forget its faults; return how it stood, None for an unheard-of one."""
    found = next((one for one in await every(tx) if one.name == name), None)
    changed = {"paused_by": None, "paused_until": None, "faults": 0, "reason": ""}
    await tx.execute(update(relays).where(_R.name == name).values(changed))
    return found


async def paused_until(tx: Transaction, name: str) -> datetime | None:
    """Return until when a relay rests after faults, if it does."""
    until: datetime | None = (await tx.execute(select(_R.paused_until).where(_R.name == name))).scalar_one_or_none()
    return until


def _rests(until: datetime | None, now: datetime) -> bool:
    """Say whether a rest lasts; one that would last longer than any was begun before the clock was set back."""
    return until is not None and now < until <= now + _LONGEST


async def next_rested(tx: Transaction, now: datetime) -> datetime | None:
    """Return when the next relay has rested, if one rests that nobody paused."""
    resting = select(func.min(_R.paused_until)).where(_R.paused_until > now, _R.paused_by.is_(None))
    instant: datetime | None = (await tx.execute(resting)).scalar_one_or_none()
    return instant


async def _know(tx: Transaction, name: str) -> None:
    await tx.execute(insert_into(tx, relays).values(name=name, faults=0, reason="").on_conflict_do_nothing())
