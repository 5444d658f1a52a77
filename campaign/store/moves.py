"""The one way a letter changes its state: a conditional UPDATE made from the transition table, and its event beside it.

It never decides which move is due; the ledger's statements and the verbs do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Insert,
    Select,
    and_,
    bindparam,
    exists,
    func,
    insert,
    literal,
    literal_column,
    select,
    true,
    update,
)

from campaign.domain.delivery import Event, State, advance
from campaign.store import dialects, straight
from campaign.store.dialects import is_sqlite, numbered, numbers
from campaign.store.engine import Transaction
from campaign.store.foreseen import NotForeseen, Plan
from campaign.store.schema.ledger import deliveries, delivery_events, delivery_replies

_D: Final = deliveries.c
_CHUNK: Final = 5_000
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Cause(NamedTuple):
    """Why a letter moves: the instant, and what the relay said (its words apart, because servers quote addresses)."""

    at: datetime
    code: int | None = None
    enhanced: str | None = None
    reason: str | None = None
    words: str = ""
    values: Mapping[str, Any] = _NOTHING
    """Further columns of the row that change with the move."""
    refund: bool = False
    """Whether the attempt is not charged, because it is nobody's fault."""

    @property
    def columns(self) -> dict[str, Any]:
        """Every column that this cause writes."""
        found = {"moved_at": self.at, **self.values}
        if self.code is not None:
            found |= {"last_code": self.code, "last_enhanced": self.enhanced}
        return found if self.reason is None else {**found, "reason": self.reason}


_Rule = Callable[[], ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Own:
    """Values of its own that each letter brings along, and what becomes of them in its row."""

    columns: dialects.Own
    changes: Callable[[FromClause], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of move of letters by their numbers: what happens, where, and what each brings along."""

    event: Event
    origin: State
    own: Own | None = None

    @property
    def way(self) -> tuple[State, State]:
        """From where to where."""
        return self.origin, advance(self.origin, self.event)

    @property
    def columns(self) -> dialects.Own:
        """What stands behind each letter's id and claim number."""
        return self.own.columns if self.own else ()


class _Shape(NamedTuple):
    """What a statement that moves letters looks like: the step, the columns that it sets, and whether it refunds."""

    step: Step
    columns: tuple[str, ...]
    refund: bool


@dataclass(frozen=True, slots=True)
class Only:
    """A condition on letters that are moved by number; `rule` makes it, once, with named parameters."""

    rule: _Rule
    parameters: Mapping[str, Any] = field(default_factory=dict)


Held = Sequence[tuple[Any, ...]]
"""Letters in a worker's hands: the id of each, the number of its claim (another each time), and values of its own."""


@cache
def in_state(state: State) -> ColumnElement[bool]:
    """Compare with a literal, not a parameter: only so can the databases use the partial indexes."""
    return _D.state == literal_column(f"'{state.value}'")


def _stands(state: State) -> ColumnElement[bool]:
    """Say the same of letters that are looked up by their numbers: written so that no index serves.

    By the index of held letters PostgreSQL would look at all that a worker holds, and has held since the last vacuum,
    for each group of tokens.
    """
    return func.coalesce(_D.state, "") == literal_column(f"'{state.value}'")


async def move(tx: Transaction, event: Event, origin: State, where: ColumnElement[bool], cause: Cause) -> list[int]:
    """Move the letters in `origin` that match `where`; append an event for each; return their ids."""
    target = advance(origin, event)
    changed = {**cause.columns, **({"attempts": _D.attempts - 1} if cause.refund else {})}
    statement = update(deliveries).where(in_state(origin), where).values(state=target, **changed)
    found = await tx.execute(statement.returning(_D.id, _D.claim_no))
    return await record(tx, (origin, target), found, cause)


async def move_held(tx: Transaction, step: Step, held: Held, cause: Cause, only: Only | None = None) -> list[int]:
    """Do the same with letters by their numbers; a claim that was lost moves nothing.

    The statements are built once for each kind of move. This is what runs three times for every letter.
    """
    held = list(dict.fromkeys(held))  # one that is named twice moves once, and has one event
    changed = cause.columns
    shape = _Shape(step, tuple(changed), cause.refund)
    given = {f"new_{name}": value for name, value in changed.items()}
    rule, conditions = (only.rule, only.parameters) if only else (true, {})
    asked = {**conditions, **numbers(tx, held, step.columns)}
    if isinstance(tx, Plan):
        if cause.words:
            raise NotForeseen
        return await _foresee(tx, shape, rule, {**given, **asked, **event_of(step.way, cause)}, held)
    if not is_sqlite(tx):
        found = await straight.run(tx, _update_held(tx.dialect.name, shape, rule), {**given, **asked})
        return await record(tx, step.way, found.rows, cause)
    # SQLite hands each row over with a change of threads: it is asked which letters move only where not all of them do.
    if cause.words or await _append_held(tx, step, rule, {**asked, **event_of(step.way, cause)}) < len(held):
        found = await straight.run(tx, _name_held(step, rule), asked)
        moving = set(json.loads(found.rows[0][0]))
        held = [one for one in held if one[0] in moving]
        asked = numbers(tx, held, step.columns)
    if held:
        await straight.run(tx, _update_held("sqlite", shape, true), {**given, "numbers": asked["numbers"]})
    if cause.words:
        return await record(tx, step.way, held, cause)
    return [one[0] for one in held]


async def _foresee(plan: Plan, shape: _Shape, rule: _Rule, given: Mapping[str, Any], held: Held) -> list[int]:
    """Write down that all of them move, and what is appended then.

    PostgreSQL hears all statements at once, so it must append nothing for a letter that does not move.
    """
    if is_sqlite(plan):
        await straight.run(plan, _update_held("sqlite", shape, rule), given, len(held))
        await straight.run(plan, append("sqlite"), given, len(held))
    else:
        await straight.run(plan, _move_and_append(shape, rule), given, len(held))
    return [one[0] for one in held]


async def _append_held(tx: Transaction, step: Step, rule: _Rule, given: Mapping[str, Any]) -> int:
    """Append the events of those letters that are about to move; return how many."""
    return (await straight.run(tx, append("sqlite", step, rule), given)).touched


@cache
def _name_held(step: Step, rule: _Rule) -> Any:
    held = numbered("sqlite", step.columns).c
    mine = and_(_D.id == held.id, _D.claim_no == held.no, _stands(step.origin), rule())
    return select(func.json_group_array(_D.id)).where(mine)


@cache
def _update_held(dialect: str, shape: _Shape, rule: _Rule) -> Any:
    step = shape.step
    told = numbered(dialect, step.columns)
    changed: dict[str, Any] = {name: bindparam(f"new_{name}", type_=_D[name].type) for name in shape.columns}
    changed |= {"attempts": _D.attempts - 1} if shape.refund else {}
    changed |= step.own.changes(told) if step.own else {}
    mine = and_(_D.id == told.c.id, _D.claim_no == told.c.no, _stands(step.origin), rule())
    moved = update(deliveries).where(mine).values(state=step.way[1], **changed)
    return moved if dialect == "sqlite" else moved.returning(_D.id, _D.claim_no)


@cache
def _move_and_append(shape: _Shape, rule: _Rule) -> Any:
    moved = _update_held("postgresql", shape, rule).cte("moved")
    return append_from(select(moved.c.id, moved.c.claim_no)).inline()


async def record(tx: Transaction, way: tuple[State, State], found: Any, cause: Cause) -> list[int]:
    """Append the events of letters that moved (`found`: the id and claim of each), and return their ids."""
    rows: list[tuple[int, int]] = [(row[0], row[1]) for row in found]
    shared = event_of(way, cause)
    if cause.words:
        for row in rows:
            await _append_with_words(tx, {**shared, **numbers(tx, [row])}, row[0], cause.words)
    else:
        for start in range(0, len(rows), _CHUNK):
            await straight.run(tx, append(tx.dialect.name), {**shared, **numbers(tx, rows[start : start + _CHUNK])})
    return [id_ for id_, _ in rows]


def event_of(way: tuple[State, State], cause: Cause) -> dict[str, Any]:
    """Return what all events of one move share, as parameters of `append`."""
    given = {"at": cause.at, "code": cause.code, "enhanced": cause.enhanced, "reason": cause.reason}
    return {"before": way[0], "after": way[1], **{f"event_{name}": value for name, value in given.items()}}


@cache
def append(dialect: str, step: Step | None = None, rule: _Rule = true) -> Any:
    """Append an event for each of the numbers; with `step`, only for letters that can take it and fit the rule."""
    rows = numbered(dialect, step.columns if step else ()).c
    moving = select(rows.id, rows.no)
    if step is not None:
        moving = moving.where(_D.id == rows.id, _D.claim_no == rows.no, _stands(step.origin), rule())
    return append_from(moving).inline()


def append_from(moving: Select[Any]) -> Insert:
    """Append an event for each letter that `moving` finds: its id, and the number of its claim."""
    e = delivery_events.c
    states = [bindparam("before", type_=e.from_state.type), bindparam("after", type_=e.to_state.type)]
    shared = [bindparam(f"event_{name}", type_=e[name].type) for name in ("at", "code", "enhanced", "reason")]
    columns = ("delivery_id", "claim_no", "from_state", "to_state", "at", "code", "enhanced", "reason")
    return insert(delivery_events).from_select(columns, moving.add_columns(*states, *shared))


@cache
def _append_one(dialect: str) -> Any:
    return append(dialect).returning(delivery_events.c.id)


async def _append_with_words(tx: Transaction, event: Mapping[str, Any], delivery_id: int, words: str) -> None:
    """Append one event and what the relay said, unless the person was erased meanwhile."""
    event_id = (await tx.execute(_append_one(tx.dialect.name), event)).scalar_one()
    kept = select(literal(event_id), literal(words))
    kept = kept.where(exists(select(_D.id).where(_D.id == delivery_id, _D.address_sealed.is_not(None))))
    await tx.execute(insert(delivery_replies).from_select(["event_id", "text"], kept))
