"""Statements about the pace of one recipient domain at one relay: who paused it, and why. It never decides a pace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, or_, select, update

from campaign.store.dialects import insert_into
from campaign.store.engine import Transaction
from campaign.store.schema.ledger import paces

_P: Final = paces.c


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
        return self.paused_by is None and (self.paused_until is None or self.paused_until <= now)


async def every(tx: Transaction, relay: str | None = None) -> list[Pace]:
    """Return all domains that are different, at one relay or at any."""
    columns = [_P[name] for name in Pace.__dataclass_fields__]
    different = or_(*(_P[name].is_not(None) for name in ("paused_by", "paused_until", "rate", "parallel")))
    wanted = select(*columns).where(different).order_by(_P.relay, _P.domain)
    wanted = wanted if relay is None else wanted.where(_P.relay == relay)
    return [Pace(*row) for row in await tx.execute(wanted)]


async def pause(tx: Transaction, pace: Pace, now: datetime) -> bool:
    """Let no letter go to a domain by a relay: until somebody resumes it, or until an instant; `pace` says all of it.

    Returns False, and changes nothing, where somebody paused it for good already.
    """
    await tx.execute(
        insert_into(tx, paces).values(relay=pace.relay, domain=pace.domain, changed_at=now).on_conflict_do_nothing()
    )
    values = {"paused_by": pace.paused_by, "paused_until": pace.paused_until, "reason": pace.reason, "changed_at": now}
    paused = update(paces).where(_mine(pace.relay, pace.domain), _P.paused_by.is_(None)).values(values)
    return (await tx.execute(paused.returning(_P.domain))).scalar_one_or_none() is not None


async def resume(tx: Transaction, relay: str, domain: str, now: datetime) -> Pace | None:
    """Let letters go to a domain again, at the pace that is configured; return how it stood, None if as usual."""
    found = next((one for one in await every(tx, relay) if one.domain == domain), None)
    plain = {"paused_by": None, "paused_until": None, "reason": "", "rate": None, "parallel": None, "changed_at": now}
    await tx.execute(update(paces).where(_mine(relay, domain)).values(plain))
    return found


def _mine(relay: str, domain: str) -> ColumnElement[bool]:
    return and_(_P.relay == relay, _P.domain == domain)
