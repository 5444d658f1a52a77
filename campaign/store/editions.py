"""Statements about editions and their waves: plan, move, freeze, open, finish. It never renders and never sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, delete, func, or_, select, update

from campaign.domain.delivery import LIVE, State
from campaign.domain.editions import CampaignState, EditionEvent, EditionState, edition_name, origins_of, target_of
from campaign.domain.replies import Reason
from campaign.domain.schedule import Plan
from campaign.store.dialects import gate, insert_into
from campaign.store.engine import Transaction
from campaign.store.moves import in_state
from campaign.store.schema.ledger import approvals, campaigns, deliveries, editions

_E: Final = editions.c
_D: Final = deliveries.c
_ANSWERED: Final = (State.ACCEPTED, State.REFUSED, State.BOUNCED)


@dataclass(frozen=True, slots=True)
class Edition:
    """One edition as it is stored."""

    id: int
    campaign_id: int
    campaign: str
    step: str
    occurrence: str
    name: str
    state: EditionState
    day: str
    starts_at: datetime
    ends_at: datetime
    latest_start: datetime
    at_once: bool
    cutoff: datetime | None
    frozen_to: int
    planned: int
    excluded: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    started_at: datetime | None = None


async def plan(tx: Transaction, campaign: tuple[int, str], wanted: Sequence[Plan], now: datetime) -> list[int]:
    """Insert the editions of a campaign (its id and slug) that do not exist yet; return their ids.

    Nobody plans one twice, whoever asks how often.
    """
    if not wanted:
        return []
    campaign_id, slug = campaign
    rows = [
        {
            **{name: getattr(one, name) for name in Plan.__dataclass_fields__},
            "campaign_id": campaign_id,
            "name": edition_name(slug, one.step, one.occurrence),
            "state": EditionState.PLANNED,
            "moved_at": now,
            "excluded": {},
        }
        for one in wanted
    ]
    unless = insert_into(tx, editions).on_conflict_do_nothing(index_elements=["campaign_id", "step", "occurrence"])
    return list((await tx.execute(unless.returning(_E.id), rows)).scalars())


async def replan(tx: Transaction, edition_id: int, wanted: Plan) -> None:
    """Give a still planned edition new instants, after its campaign or the zone rules of the world changed."""
    values = {name: getattr(wanted, name) for name in ("day", "starts_at", "ends_at", "latest_start")}
    await tx.execute(update(editions).where(_E.id == edition_id, _E.state == EditionState.PLANNED).values(**values))


async def retime(tx: Transaction, edition_id: int, instants: Mapping[str, datetime]) -> None:
    """Give an edition that is being frozen the instants of its waves."""
    freezing = (_E.id == edition_id, _E.state == EditionState.FREEZING)
    await tx.execute(update(editions).where(*freezing).values(**instants))


async def drop_planned(tx: Transaction, edition_ids: Sequence[int]) -> None:
    """Take out editions that nothing has happened to, because their step no longer exists."""
    idle = and_(_E.id.in_(edition_ids), _E.state == EditionState.PLANNED)
    await tx.execute(delete(approvals).where(approvals.c.edition_id.in_(select(_E.id).where(idle))))
    await tx.execute(delete(editions).where(idle))


async def find(tx: Transaction, key: str | int) -> Edition | None:
    """Find an edition by its id or its unique name."""
    found = await select_where(tx, _E.id == key if isinstance(key, int) else _E.name == key)
    return found[0] if found else None


async def of_campaign(tx: Transaction, campaign_id: int) -> list[Edition]:
    """Return the editions of a campaign, by their start."""
    return await select_where(tx, _E.campaign_id == campaign_id)


async def in_states(tx: Transaction, *states: EditionState) -> list[Edition]:
    """Return the editions in some states, by their start."""
    return await select_where(tx, _E.state.in_(states))


async def select_where(tx: Transaction, where: ColumnElement[bool]) -> list[Edition]:
    """Return the editions that match, by their start."""
    statement = select(editions, campaigns.c.slug.label("campaign")).join(campaigns, campaigns.c.id == _E.campaign_id)
    rows = await tx.execute(statement.where(where).order_by(_E.starts_at, _E.id))
    return [_edition(row) for row in rows]


def _edition(row: Row[Any]) -> Edition:
    return Edition(**{name: getattr(row, name) for name in Edition.__dataclass_fields__})


async def advance(tx: Transaction, edition_id: int, event: EditionEvent, now: datetime, **values: Any) -> bool:
    """Move an edition if it is in a state from which `event` leads on; say whether it moved.

    Pause and cancel take the gate alone, so that no token commits after them.
    """
    if event in {EditionEvent.PAUSE, EditionEvent.CANCEL}:
        await gate(tx, [edition_id], exclusive=True)
    values |= {"state": target_of(event), "moved_at": now}
    moved = await tx.execute(
        update(editions).where(_E.id == edition_id, _E.state.in_(origins_of(event))).values(**values)
    )
    return bool(moved.rowcount == 1)


async def remark(tx: Transaction, edition_id: int, note: str, now: datetime) -> None:
    """Write beside an edition what somebody should know about it."""
    await tx.execute(update(editions).where(_E.id == edition_id).values(note=note, moved_at=now))


async def to_freeze(tx: Transaction, before: datetime, remarked_before: datetime) -> list[Edition]:
    """Return the planned editions of active campaigns that start before an instant, and those already freezing.

    One with a remark (not approved, cannot be prepared) is tried again once the remark is older than that.
    """
    due = (_E.state == EditionState.PLANNED) & (_E.starts_at <= before) & (campaigns.c.state == CampaignState.ACTIVE)
    again = or_(_E.note == "", _E.moved_at <= remarked_before)
    return await select_where(tx, and_(or_(due, _E.state == EditionState.FREEZING), again))


def has_none(state: State) -> ColumnElement[bool]:
    """No letter of the edition is in a state. It is asked each second, and looks for the one that fell due first.

    That is the first in an index. Asked whether there is any, PostgreSQL would read all the million to find one.
    """
    first = select(func.min(_D.due_at)).where(_D.edition_id == _E.id, in_state(state))
    return first.correlate(editions).scalar_subquery().is_(None)


async def finish_empty(tx: Transaction, now: datetime) -> list[int]:
    """Call every sending edition sent that has no live letter (never inferred from an empty batch); return them."""
    done = update(editions).where(_E.state == EditionState.SENDING, *(has_none(state) for state in sorted(LIVE)))
    values = {"state": target_of(EditionEvent.FINISH), "moved_at": now}
    return list((await tx.execute(done.values(**values).returning(_E.id))).scalars())


@dataclass(frozen=True, slots=True)
class Early:
    """How an edition began: how many answers there are, as far as was counted, and whether too many were hard."""

    answers: int
    tripped: bool


async def early_outcomes(tx: Transaction, edition_id: int, wanted: tuple[int, int], count_to: int) -> Early:
    """Say whether more than so many of an edition's first answers met no mailbox (`wanted`: how many of how many).

    Where there are more answers than those, it looks up when the hard one too many was heard, and what was before it.
    """
    most, first = wanted
    answered = and_(_D.edition_id == edition_id, _D.state.in_(_ANSWERED))
    hard = _D.reason == Reason.NO_SUCH_MAILBOX.value
    some = select(_D.reason).where(answered).limit(count_to).subquery()
    of_them = func.count().filter(some.c.reason == Reason.NO_SUCH_MAILBOX.value)
    met, found = (await tx.execute(select(of_them, func.count()).select_from(some))).one()
    if found <= first:
        return Early(found, met > most)
    heard = select(_D.moved_at).where(answered, hard).order_by(_D.moved_at).offset(most).limit(1)
    too_many = (await tx.execute(heard)).scalar_one_or_none()
    if too_many is None:
        return Early(found, tripped=False)
    before = select(_D.id).where(answered, _D.moved_at < too_many).limit(first).subquery()
    return Early(found, (await tx.execute(select(func.count()).select_from(before))).scalar_one() < first)


async def reopen(tx: Transaction, now: datetime) -> None:
    """Set editions that were sent back to sending, where letters of theirs wait again.

    It looks at every edition each time: one may have been called sent in the very moment in which its last letter in
    doubt went back to the queue, where neither transaction saw the other.
    """
    live = or_(*(~has_none(state) for state in sorted(LIVE)))
    again: dict[str, Any] = {"state": target_of(EditionEvent.REOPEN), "moved_at": now}
    await tx.execute(update(editions).where(_E.state == EditionState.SENT, live).values(again))


async def stopped_with_letters(tx: Transaction) -> list[int]:
    """Return the editions that were cancelled or skipped while letters of theirs still wait."""
    stopped = _E.state.in_([EditionState.CANCELLED, EditionState.SKIPPED])
    waiting = or_(~has_none(State.QUEUED), ~has_none(State.CLAIMED))
    return list((await tx.execute(select(_E.id).where(stopped, waiting))).scalars())


async def tally(tx: Transaction, edition_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """Count the letters of each edition by state, in one pass over the index."""
    counted: dict[int, dict[str, int]] = {id_: {} for id_ in edition_ids}
    groups = select(_D.edition_id, _D.state, func.count()).where(_D.edition_id.in_(edition_ids))
    for edition_id, state, count in await tx.execute(groups.group_by(_D.edition_id, _D.state)):
        counted[edition_id][state.value] = count
    return counted
