"""Statements about campaigns and approvals. It never plans an edition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, insert, select, update

from campaign.domain.campaigns import Definition, definition_from
from campaign.domain.editions import CampaignEvent, CampaignState, campaign_after
from campaign.domain.errors import Conflict
from campaign.store.dialects import insert_into
from campaign.store.engine import Transaction
from campaign.store.schema.ledger import approvals, campaign_lists, campaigns

_C: Final = campaigns.c


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign as it is stored."""

    id: int
    slug: str
    state: CampaignState
    definition: Definition
    created_at: datetime
    changed_at: datetime


async def add(tx: Transaction, slug: str, definition: Definition, list_ids: Sequence[int], now: datetime) -> int | None:
    """Store a new draft; return its id, or None when the slug is taken."""
    statement = insert_into(tx, campaigns).values(
        slug=slug,
        state=CampaignState.DRAFT,
        definition=definition.to_json(),
        policy=definition.policy,
        created_at=now,
        changed_at=now,
    )
    added = await tx.execute(statement.on_conflict_do_nothing(index_elements=["slug"]).returning(_C.id))
    campaign_id: int | None = added.scalar_one_or_none()
    if campaign_id is not None:
        await _set_lists(tx, campaign_id, list_ids)
    return campaign_id


async def redefine(
    tx: Transaction, campaign: Campaign, definition: Definition, list_ids: Sequence[int], now: datetime
) -> None:
    """Change what a campaign is."""
    values = {"definition": definition.to_json(), "policy": definition.policy, "changed_at": now}
    await tx.execute(update(campaigns).where(_C.id == campaign.id).values(**values))
    await _set_lists(tx, campaign.id, list_ids)


async def _set_lists(tx: Transaction, campaign_id: int, list_ids: Sequence[int]) -> None:
    await tx.execute(delete(campaign_lists).where(campaign_lists.c.campaign_id == campaign_id))
    await tx.execute(insert(campaign_lists), [{"campaign_id": campaign_id, "list_id": id_} for id_ in list_ids])


async def find(tx: Transaction, key: str | int) -> Campaign | None:
    """Find a campaign by its slug or its id."""
    rows = await _select(tx, _C.id == key if isinstance(key, int) else _C.slug == key)
    return rows[0] if rows else None


async def hold(tx: Transaction, key: str | int) -> Campaign | None:
    """Find a campaign, and let nobody else change it until this transaction ends.

    Whoever moves it, or makes letters of what it says, asks this way: neither may go by what the other just changed.
    """
    wanted = select(campaigns).where(_C.id == key if isinstance(key, int) else _C.slug == key)
    row = (await tx.execute(wanted.with_for_update(key_share=True))).one_or_none()
    return None if row is None else _campaign(row)


async def every(tx: Transaction, *states: CampaignState) -> list[Campaign]:
    """Return all campaigns, or those in the given states, by slug."""
    return await _select(tx, _C.state.in_(states) if states else _C.id.is_not(None))


async def _select(tx: Transaction, where: ColumnElement[bool]) -> list[Campaign]:
    rows = await tx.execute(select(campaigns).where(where).order_by(_C.slug))
    return [_campaign(row) for row in rows]


def _campaign(row: Any) -> Campaign:
    return Campaign(row.id, row.slug, row.state, definition_from(row.definition), row.created_at, row.changed_at)


async def advance(tx: Transaction, campaign: Campaign, event: CampaignEvent, now: datetime) -> CampaignState:
    """Move a campaign; raise IllegalMove where it may not, Conflict where somebody else moved it first."""
    target = campaign_after(campaign.state, event)
    values = {"state": target, "changed_at": now}
    moved = await tx.execute(update(campaigns).where(_C.id == campaign.id, _C.state == campaign.state).values(**values))
    if moved.rowcount != 1:
        msg = f"Somebody else changed {campaign.slug} just now."
        raise Conflict(msg, remedy=f"Look at it again: campaign show {campaign.slug}.")
    return target


@dataclass(frozen=True, slots=True)
class Approval:
    """Who approved what, when, and for how many people."""

    digest: bytes
    approved_by: str
    approved_at: datetime
    people: int


async def approve(tx: Transaction, campaign_id: int, edition_id: int | None, approval: Approval) -> None:
    """Record an approval; approvals are never changed or deleted."""
    values = {name: getattr(approval, name) for name in Approval.__dataclass_fields__}
    await tx.execute(insert(approvals).values(campaign_id=campaign_id, edition_id=edition_id, **values))


async def last_approval(tx: Transaction, campaign_id: int, edition_id: int | None = None) -> Approval | None:
    """Return the newest approval of a campaign, or of one edition of it."""
    a = approvals.c
    mine = a.edition_id.is_(None) if edition_id is None else a.edition_id == edition_id
    found = await tx.execute(select(approvals).where(a.campaign_id == campaign_id, mine).order_by(a.id.desc()).limit(1))
    row = found.one_or_none()
    return None if row is None else Approval(row.digest, row.approved_by, row.approved_at, row.people)
