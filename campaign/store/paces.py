"""Statements about one recipient domain at one relay: who paused it and why, and the pace it asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, or_, select, update

from campaign.store.dialects import insert_into
from campaign.store.engine import Transaction
from campaign.store.schema.ledger import paces

_P: Final = paces.c
_ONCE_IN: Final = timedelta(seconds=5)
_MORE: Final = 1.1
LONGEST_REST: Final = timedelta(days=1)
"""No domain rests for longer by itself; a pause that would was begun before the clock was set back."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What is different for one domain at one relay; `rate` (letters a second) and `parallel` are what it asked for."""

    relay: str
    domain: str
    paused_by: str | None = None
    paused_until: datetime | None = None
    reason: str = ""
    rate: float | None = None
    parallel: int | None = None

    def is_open(self, now: datetime) -> bool:
        """Whether letters may go there."""
        rests = self.paused_until is not None and now < self.paused_until <= now + LONGEST_REST
        return self.paused_by is None and not rests


async def every(tx: Transaction, relay: str | None = None) -> list[Pace]:
    """Return all domains that are different, at one relay or at any."""
    columns = [_P[name] for name in Pace.__dataclass_fields__]
    different = or_(*(_P[name].is_not(None) for name in ("paused_by", "paused_until", "rate", "parallel")))
    wanted = select(*columns).where(different).order_by(_P.relay, _P.domain)
    wanted = wanted if relay is None else wanted.where(_P.relay == relay)
    return [Pace(*row) for row in await tx.execute(wanted)]


@dataclass(frozen=True, slots=True)
class Slowing:
    """How fast letters went to a domain before it asked for less: letters a second, and at once."""

    rate: float
    parallel: int


async def slow_down(tx: Transaction, pace: Pace, usual: Slowing, now: datetime) -> Pace:
    """Halve the pace of a domain (1 a second and one at once, at least), and return it.

    What was on its way when it said so says the same: it is halved once in five seconds.
    """
    await _know(tx, pace, now)
    mine = _mine(pace.relay, pace.domain)
    row = (await tx.execute(select(paces).where(mine).with_for_update())).one()
    rate, parallel = row.rate, row.parallel
    if rate is None or not now - _ONCE_IN < row.changed_at <= now:
        rate = max((rate or usual.rate) / 2, 1.0)
        parallel = max((parallel or usual.parallel) // 2, 1)
        values = {"rate": rate, "parallel": parallel, "usual_rate": row.usual_rate or usual.rate, "changed_at": now}
        await tx.execute(update(paces).where(mine).values(values))
    return Pace(pace.relay, pace.domain, row.paused_by, row.paused_until, row.reason, rate, parallel)


async def speed_up(tx: Transaction, pace: Pace, now: datetime) -> Pace | None:
    """Let a slowed domain have a tenth more, and one more at once; None when it is back at its usual pace."""
    mine = _mine(pace.relay, pace.domain)
    row = (await tx.execute(select(paces).where(mine).with_for_update())).one_or_none()
    if row is None:
        return None
    usual = None if row.paused_by is None and row.paused_until is None else Pace(*row[:5])
    if row.rate is None:  # another worker was quicker
        return usual
    rate, parallel = row.rate * _MORE, (row.parallel or 1) + 1
    if rate >= (row.usual_rate or 0):
        forgotten = {"rate": None, "parallel": None, "usual_rate": None, "changed_at": now}
        await tx.execute(update(paces).where(mine).values(forgotten))
        return usual
    await tx.execute(update(paces).where(mine).values(rate=rate, parallel=parallel, changed_at=now))
    return Pace(pace.relay, pace.domain, row.paused_by, row.paused_until, row.reason, rate, parallel)


async def pause(tx: Transaction, pace: Pace, now: datetime) -> bool:
    """Let no letter go to a domain by a relay: until somebody resumes it, or until an instant; `pace` says all of it.

    Returns False, and changes nothing, where somebody paused it for good already.
    """
    await _know(tx, pace, now)
    values = {"paused_by": pace.paused_by, "paused_until": pace.paused_until, "reason": pace.reason, "changed_at": now}
    paused = update(paces).where(_mine(pace.relay, pace.domain), _P.paused_by.is_(None)).values(values)
    return (await tx.execute(paused.returning(_P.domain))).scalar_one_or_none() is not None


async def resume(tx: Transaction, relay: str, domain: str, now: datetime) -> Pace | None:
    """Let letters go to a domain again, at the pace that is configured; return how it stood, None if as usual."""
    found = next((one for one in await every(tx, relay) if one.domain == domain), None)
    plain = dict.fromkeys(("paused_by", "paused_until", "rate", "parallel", "usual_rate"))
    await tx.execute(update(paces).where(_mine(relay, domain)).values(**plain, reason="", changed_at=now))
    return found


async def end_pause(tx: Transaction, relay: str, domain: str, now: datetime) -> None:
    """End a pause that was to last until an instant, and nothing else: what somebody paused by hand stays so."""
    rested = {"paused_until": None, "reason": "", "changed_at": now}
    await tx.execute(update(paces).where(_mine(relay, domain), _P.paused_by.is_(None)).values(rested))


async def _know(tx: Transaction, pace: Pace, now: datetime) -> None:
    row = {"relay": pace.relay, "domain": pace.domain, "changed_at": now}
    await tx.execute(insert_into(tx, paces).values(row).on_conflict_do_nothing())


def _mine(relay: str, domain: str) -> ColumnElement[bool]:
    return and_(_P.relay == relay, _P.domain == domain)
