"""Statements about segments, and a rule as a predicate on people. It reads rules by the domain's grammar alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import singledispatch
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, false, func, insert, literal, not_, or_, select, true, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import Boolean

from campaign.domain.attributes import Value
from campaign.domain.consent import SubscriptionState
from campaign.domain.editions import CampaignState
from campaign.domain.segment_rules import Vocabulary, parse_rule
from campaign.domain.segments import (
    JOINED,
    LANGUAGE,
    And,
    Compare,
    Known,
    Not,
    OneOf,
    OnList,
    Op,
    Or,
    Rule,
    Topic,
    fields_of,
    lists_of,
)
from campaign.store import attributes
from campaign.store.engine import Transaction
from campaign.store.schema.ledger import campaigns
from campaign.store.schema.people import lists, segments, subscribers, subscriptions

_P: Final = subscribers.c
_S: Final = segments.c


@dataclass(frozen=True, slots=True)
class Segment:
    """One saved rule."""

    id: int
    slug: str
    rule: str
    description: str
    created_at: datetime
    changed_at: datetime
    retired_at: datetime | None


async def find(tx: Transaction, slug: str) -> Segment | None:
    """Find a segment, also a retired one."""
    found = await _select(tx, _S.slug == slug)
    return found[0] if found else None


async def every(tx: Transaction, *, retired: bool = False) -> Sequence[Segment]:
    """Return the segments in use by name, and on demand the retired ones too."""
    return await _select(tx, true() if retired else _S.retired_at.is_(None))


async def add(tx: Transaction, slug: str, rule: str, description: str, now: datetime) -> None:
    """Store a new segment."""
    values = {"slug": slug, "rule": rule, "description": description, "created_at": now, "changed_at": now}
    await tx.execute(insert(segments).values(**values))


async def change(tx: Transaction, segment_id: int, rule: str, description: str, now: datetime) -> None:
    """Give a segment another rule or description."""
    values = {"rule": rule, "description": description, "changed_at": now}
    await tx.execute(update(segments).where(_S.id == segment_id).values(**values))


async def retire(tx: Transaction, segment_id: int, now: datetime) -> None:
    """Close a segment; its name stays taken, because approvals and the audit log speak of it."""
    await tx.execute(update(segments).where(_S.id == segment_id).values(retired_at=now))


async def vocabulary(tx: Transaction) -> Vocabulary:
    """Return what rules can name: declared attributes, and lists (retired ones, too, so that old rules stay rules)."""
    return Vocabulary(await attributes.every(tx), set((await tx.execute(select(lists.c.slug))).scalars()))


async def read(tx: Transaction, rule: str) -> Rule:
    """Read a rule; raise RuleRefused where it is none."""
    return parse_rule(rule, await vocabulary(tx))


async def used_by(tx: Transaction, slug: str) -> list[tuple[str, int]]:
    """Return the campaigns in use that a segment narrows: name and id."""
    c = campaigns.c
    rows = await tx.execute(select(c.slug, c.id, c.definition).where(c.state != CampaignState.RETIRED).order_by(c.slug))
    return [(name, id_) for name, id_, definition in rows if definition.get("segment") == slug]


async def naming_list(tx: Transaction, slug: str) -> list[str]:
    """Return the segments in use whose rule names a list."""
    words = await vocabulary(tx)
    return [one.slug for one in await every(tx) if slug in lists_of(parse_rule(one.rule, words))]


async def naming_field(tx: Transaction, name: str) -> list[str]:
    """Return the segments in use whose rule asks for a field or an attribute."""
    words = await vocabulary(tx)
    return [one.slug for one in await every(tx) if name in fields_of(parse_rule(one.rule, words))]


async def people(tx: Transaction, rule: Rule, after: int, most: int) -> list[int]:
    """Return the ids of the next people who fit a rule, beyond an id."""
    fit = select(_P.id).where(predicate(rule), _P.id > after).order_by(_P.id).limit(most)
    return list((await tx.execute(fit)).scalars())


def on_list(list_id: int) -> ColumnElement[bool]:
    """Return the active people of a list, as a predicate on subscribers."""
    s = subscriptions.c
    mine = select(s.id).where(s.subscriber_id == _P.id, s.list_id == list_id, s.state == SubscriptionState.ACTIVE)
    return mine.exists()


async def count(tx: Transaction, rule: Rule, *, within: ColumnElement[bool] | None = None) -> int:
    """Count the people who fit a rule now."""
    who = select(func.count()).select_from(subscribers).where(predicate(rule))
    return int((await tx.execute(who if within is None else who.where(within))).scalar_one())


async def _select(tx: Transaction, where: ColumnElement[bool]) -> list[Segment]:
    columns = [_S[name] for name in Segment.__dataclass_fields__]
    return [Segment(*row) for row in await tx.execute(select(*columns).where(where).order_by(_S.slug))]


class _Chose(GenericFunction[bool]):
    """Whether a list of words in JSON holds a word."""

    type = Boolean()
    inherit_cache = True
    name = "chose"


@compiles(_Chose, "sqlite")
def _in_sqlite(element: Any, compiler: Any, **named: Any) -> str:
    words, word = (compiler.process(one, **named) for one in element.clauses)
    return f"EXISTS (SELECT 1 FROM json_each({words}) WHERE json_each.value = {word})"  # noqa: S608 -- compiled parts


@compiles(_Chose, "postgresql")
def _in_postgresql(element: Any, compiler: Any, **named: Any) -> str:
    words, word = (compiler.process(one, **named) for one in element.clauses)
    return f"coalesce(jsonb_exists({words}, {word}), false)"


@singledispatch
def predicate(rule: Rule) -> ColumnElement[bool]:
    """Return a rule as a predicate on subscribers, as true and false as `domain.segments.admits`."""
    raise TypeError(type(rule).__name__)


@predicate.register
def _(rule: And) -> ColumnElement[bool]:
    return and_(*map(predicate, rule.rules))


@predicate.register
def _(rule: Or) -> ColumnElement[bool]:
    return or_(*map(predicate, rule.rules))


@predicate.register
def _(rule: Not) -> ColumnElement[bool]:
    return not_(predicate(rule.rule))


@predicate.register
def _(rule: Topic) -> ColumnElement[bool]:
    return _Chose(_P.topics, literal(rule.name))


@predicate.register
def _(rule: OnList) -> ColumnElement[bool]:
    s = subscriptions.c
    found = select(s.id).join(lists, lists.c.id == s.list_id)
    return found.where(
        s.subscriber_id == _P.id, lists.c.slug == rule.slug, s.state == SubscriptionState.ACTIVE
    ).exists()


@predicate.register
def _(rule: Known) -> ColumnElement[bool]:
    unknown: ColumnElement[bool] = _column(rule.field, "").is_(None)
    return unknown if rule.negated else not_(unknown)


@predicate.register
def _(rule: OneOf) -> ColumnElement[bool]:
    known = _column(rule.field, rule.values[0]).is_not(None)
    any_ = or_(*(_same(rule.field, value) for value in rule.values))
    return and_(known, not_(any_)) if rule.negated else any_


@predicate.register
def _(rule: Compare) -> ColumnElement[bool]:
    if rule.op is Op.IS:
        return _same(rule.field, rule.value)
    if rule.op is Op.DIFFERS:
        return and_(_column(rule.field, rule.value).is_not(None), not_(_same(rule.field, rule.value)))
    if rule.field == JOINED:
        return _joined(rule.op, date.fromisoformat(str(rule.value)))
    column = _column(rule.field, rule.value)
    found = {
        Op.LESS: column < rule.value,
        Op.AT_MOST: column <= rule.value,
        Op.MORE: column > rule.value,
        Op.AT_LEAST: column >= rule.value,
    }
    return _certain(found[rule.op])


def _same(name: str, value: Value) -> ColumnElement[bool]:
    if name == JOINED:
        day = date.fromisoformat(str(value))
        return and_(_joined(Op.AT_LEAST, day), _joined(Op.AT_MOST, day))
    column = _column(name, value)
    if name == LANGUAGE:
        tag = str(value).lower()
        return _certain(or_(func.lower(column) == tag, func.lower(column).startswith(f"{tag}-", autoescape=True)))
    return _certain(column == value)


def _joined(op: Op, day: date) -> ColumnElement[bool]:
    """Compare the day (in UTC) since when somebody is known; the last day there is has no day after it."""
    starts = datetime.combine(day, time(), tzinfo=UTC)
    if op is Op.LESS:
        return _P.created_at < starts
    if op is Op.AT_LEAST:
        return _P.created_at >= starts
    if day == date.max:
        return true() if op is Op.AT_MOST else false()
    ends = starts + timedelta(days=1)
    return _P.created_at < ends if op is Op.AT_MOST else _P.created_at >= ends


def _certain(comparison: ColumnElement[bool]) -> ColumnElement[bool]:
    """What is not known fits no comparison: SQL's third answer becomes a no."""
    return func.coalesce(comparison, false())


def _column(name: str, value: Value) -> Any:
    """Return the SQL of a field; that of an attribute has the type of the value it is compared with."""
    if name == JOINED:
        return _P.created_at
    if name in _P and name in {"country", LANGUAGE, "timezone", "domain"}:
        return _P[name]
    found = _P.attributes[name]
    if isinstance(value, bool):
        return found.as_boolean()
    return found.as_float() if isinstance(value, int | float) else found.as_string()
