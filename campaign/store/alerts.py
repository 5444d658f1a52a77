"""Statements about what needs a person: raised, told of, resolved. It mails nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, exists, literal_column, or_, select, true, update

from campaign.domain.alerts import QUIET, REMIND_AFTER, Alert, Trouble
from campaign.domain.delivery import Event, State
from campaign.store.dialects import insert_into
from campaign.store.engine import Transaction
from campaign.store.moves import Cause, move
from campaign.store.schema.alerts import alerts
from campaign.store.schema.ledger import deliveries

_A: Final = alerts.c
_OPEN: Final = _A.resolved_at.is_(None)


@dataclass(frozen=True, slots=True)
class Standing:
    """A topic that was or is open. `notices` says how often operators were told of it; `facts` are as of the last."""

    id: int
    topic: str
    trouble: Trouble
    facts: Mapping[str, str]
    commands: Sequence[str]
    said: str
    first_at: datetime
    last_at: datetime
    count: int
    notices: int
    noticed_at: datetime | None
    resolved_at: datetime | None
    resolved_by: str


async def raised(tx: Transaction, alert: Alert, now: datetime) -> Standing:
    """Write down that a trouble is there; one whose topic is open already is counted once more."""
    values = {name: getattr(alert, name) for name in ("topic", "trouble", "said")}
    values |= {"facts": dict(alert.facts), "commands": list(alert.commands), "first_at": now, "last_at": now}
    # a literal, so that both databases know which partial index is meant
    again = (
        insert_into(tx, alerts)
        .values(**values)
        .on_conflict_do_update(
            index_elements=["topic"],
            index_where=literal_column("resolved_at IS NULL"),
            set_={"count": _A.count + 1, "last_at": now},
        )
    )
    return _standing((await tx.execute(again.returning(*_columns()))).one())


async def notice(tx: Transaction, found: Standing, said: str, now: datetime, patience: timedelta) -> int | None:
    """Say that operators are told of a topic now; return how often that makes, or None where they need not be.

    They are told once, after `patience`, and again a day after the last time. It is one conditional UPDATE, so of two
    workers one tells.
    """
    earlier = alerts.alias()
    lately = exists(
        select(earlier.c.id).where(
            earlier.c.topic == found.topic, earlier.c.id != found.id, earlier.c.noticed_at > now - QUIET
        )
    )
    first = and_(_A.noticed_at.is_(None), _A.first_at <= now - patience, ~lately)
    due = or_(first, _A.noticed_at <= now - REMIND_AFTER)
    told = update(alerts).where(_A.id == found.id, _OPEN, due)
    told = told.values(notices=_A.notices + 1, noticed_at=now, said=said)
    number: int | None = (await tx.execute(told.returning(_A.notices))).scalar_one_or_none()
    return number


async def find(tx: Transaction, alert_id: int) -> Standing | None:
    """Return one topic as it was or is open."""
    found = await _select(tx, _A.id == alert_id)
    return found[0] if found else None


async def every(tx: Transaction, *, resolved: bool = False) -> list[Standing]:
    """Return the topics that are open, and on demand those that were, the newest first."""
    return await _select(tx, true() if resolved else _OPEN)


async def resolve(tx: Transaction, topics: str, by: str, now: datetime) -> list[Standing]:
    """Close the open topics that are `topics`, or begin with it where it ends in a colon; return them."""
    mine = _A.topic.startswith(topics, autoescape=True) if topics.endswith(":") else _A.topic == topics
    closed = update(alerts).where(_OPEN, mine).values(resolved_at=now, resolved_by=by)
    return [_standing(row) for row in await tx.execute(closed.returning(*_columns()))]


async def withdraw(tx: Transaction, keys: Sequence[str], now: datetime) -> int:
    """Let the letters with these purpose keys expire where they still wait; return how many did."""
    waiting = deliveries.c.purpose_key.in_(keys)
    return len(await move(tx, Event.EXPIRE, State.QUEUED, waiting, Cause(now, reason="resolved")))


def id_in(variant: str) -> tuple[int, int]:
    """Read which alert a letter is about, and which notice of it, from its variant: `alert:7:1:en`."""
    _, alert_id, number, _ = variant.split(":")
    return int(alert_id), int(number)


def _columns() -> list[ColumnElement[Any]]:
    return [_A[name] for name in Standing.__dataclass_fields__]


def _standing(row: Any) -> Standing:
    return Standing(*row)


async def _select(tx: Transaction, where: ColumnElement[bool]) -> list[Standing]:
    rows = await tx.execute(select(*_columns()).where(where).order_by(_A.last_at.desc(), _A.id.desc()))
    return [_standing(row) for row in rows]
