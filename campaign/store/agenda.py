"""When something is due next, and whether anything is: what wakes the daemon, and what lets it end.

It never moves a row.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select

from campaign.domain.delivery import LIVE, State
from campaign.domain.editions import AT_WORK, FREEZE_LEAD, CampaignState, EditionState
from campaign.store.brakes import brake_is_off
from campaign.store.editions import has_none
from campaign.store.eligible import edition_is_open
from campaign.store.engine import Transaction
from campaign.store.ledger import sending_editions
from campaign.store.moves import in_state
from campaign.store.permits import next_free
from campaign.store.relays import next_rested
from campaign.store.schema.ledger import campaigns, deliveries, editions, waves

_D: Final = deliveries.c
_E: Final = editions.c


async def next_instant(tx: Transaction, now: datetime) -> datetime | None:
    """Return the next instant after `now` at which an edition is to be frozen or started, or a letter falls due."""
    found = [await _first(tx, statement) for statement in (_to_start(now), _to_open(now))]
    planned = await _first(tx, _to_freeze(now))
    found.append(planned and planned - FREEZE_LEAD)
    for source in [None, *await sending_editions(tx)]:
        mine = _D.edition_id.is_(None) if source is None else _D.edition_id == source
        found.append(await _first(tx, _waiting(mine, now)))
    found += [await next_rested(tx, now), await next_free(tx, now)]
    return min((instant for instant in found if instant is not None and instant > now), default=None)


def _to_freeze(now: datetime) -> Select[Any]:
    active = and_(
        _E.state == EditionState.PLANNED, campaigns.c.state == CampaignState.ACTIVE, _E.starts_at > now + FREEZE_LEAD
    )
    return select(func.min(_E.starts_at)).join(campaigns, campaigns.c.id == _E.campaign_id).where(active)


def _to_start(now: datetime) -> Select[Any]:
    return select(func.min(_E.starts_at)).where(_E.state == EditionState.READY, _E.starts_at > now)


def _to_open(now: datetime) -> Select[Any]:
    due = select(func.min(waves.c.due_at)).join(editions, _E.id == waves.c.edition_id)
    return due.where(_E.state == EditionState.SENDING, ~waves.c.open, waves.c.due_at > now)


def _waiting(mine: ColumnElement[bool], now: datetime) -> Select[Any]:
    return select(func.min(_D.due_at)).where(in_state(State.QUEUED), mine, _D.due_at > now)


async def is_due(tx: Transaction, now: datetime) -> bool:
    """Say whether anything is to be done at this very moment, or in hand: what a travelling clock must wait for."""
    to_freeze = select(_E.id).join(campaigns, campaigns.c.id == _E.campaign_id)
    to_freeze = to_freeze.where(_E.state == EditionState.PLANNED, campaigns.c.state == CampaignState.ACTIVE)
    sending = _E.state == EditionState.SENDING
    to_open = select(waves.c.edition_id).join(editions, _E.id == waves.c.edition_id).where(sending, ~waves.c.open)
    to_finish = [has_none(state) for state in sorted(LIVE)]
    to_send = select(_D.id).where(in_state(State.QUEUED), brake_is_off(), edition_is_open(), _D.due_at <= now)
    due = (
        to_freeze.where(_E.starts_at <= now + FREEZE_LEAD, _E.latest_start >= now),
        select(_E.id).where(_E.state == EditionState.FREEZING),
        select(_E.id).where(_E.state == EditionState.READY, _E.starts_at <= now),
        to_open.where(waves.c.due_at <= now),
        select(_E.id).where(sending, *to_finish),
        select(_D.id).where(or_(in_state(State.CLAIMED), in_state(State.OFFERED))),
        to_send,
    )
    return bool((await tx.execute(select(or_(*(exists(one) for one in due))))).scalar_one())


async def _first(tx: Transaction, statement: Select[Any]) -> datetime | None:
    instant: datetime | None = (await tx.execute(statement)).scalar_one_or_none()
    return instant


async def is_busy(tx: Transaction, now: datetime, *, within: timedelta) -> bool:
    """Say whether an edition is at work or about to be frozen, a letter is held, or one falls due within that time.

    A planned one that waits with a remark (it needs an approval, or cannot be prepared) is nobody's work, and neither
    is a letter that the brake holds.
    """
    goes_on = or_(brake_is_off(), _E.state == EditionState.FREEZING)
    work = exists(select(_E.id).where(_E.state.in_(AT_WORK), goes_on))
    planned = select(_E.id).join(campaigns, campaigns.c.id == _E.campaign_id)
    planned = planned.where(_E.state == EditionState.PLANNED, campaigns.c.state == CampaignState.ACTIVE, _E.note == "")
    freeze = exists(planned.where(_E.starts_at <= now + FREEZE_LEAD))
    held = exists(select(_D.id).where(or_(in_state(State.CLAIMED), in_state(State.OFFERED)), _D.owner.is_not(None)))
    service = and_(in_state(State.QUEUED), _D.edition_id.is_(None), _D.due_at <= now + within, brake_is_off())
    return bool((await tx.execute(select(or_(work, freeze, held, exists(select(_D.id).where(service)))))).scalar_one())
