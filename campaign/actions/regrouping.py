"""Whole lists are copied, merged and moved: counted first, then chunk by chunk. Nobody who left comes back by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from campaign.actions import auditing, listing, segmenting
from campaign.actions.auditing import Deed
from campaign.actions.kit import Kit
from campaign.domain.errors import BadInput
from campaign.store import regroups, segments
from campaign.store.engine import Transaction
from campaign.store.regroups import Between


class Regroup(StrEnum):
    """What is done with the people of a list: they are on both afterwards, or the other; merging retires the first."""

    COPY = "copy"
    MOVE = "move"
    MERGE = "merge"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done from which list to which; `segment` narrows a copy or a move to those who fit it."""

    how: Regroup
    source: str
    target: str
    segment: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """People who come to the target, are on it already, left it before, or stay behind because they are not active."""

    coming: int
    there: int
    left_before: int
    not_active: int


Progress = Callable[[int], None]


async def forecast(kit: Kit, order: Order) -> Counts:
    """Count what an order would do."""
    async with kit.store.read() as tx:
        return await _counts(tx, order, await _between(tx, order))


async def run(kit: Kit, order: Order, progress: Progress = lambda _people: None) -> int:
    """Do it; return how many people came to the target. What is interrupted, the same again goes on with.

    Raises Conflict where a campaign or a segment names a list that would be retired.
    """
    async with kit.store.begin() as tx:
        between = await _between(tx, order)
        if order.how is Regroup.MERGE:
            await listing.refuse_in_use(tx, await listing.require(tx, order.source, retired=True))
        deed = Deed(f"list.{order.how}", order.source, after={"to": order.target, "segment": order.segment})
        await auditing.note(kit, tx, deed)
    came = after = seen = 0
    while True:
        async with kit.store.begin() as tx:
            last, people = await regroups.chunk(tx, between, after)
            if not people:
                break
            if order.how is Regroup.COPY:
                came += await regroups.copy(tx, between, after, last)
            else:
                came += await regroups.move(tx, between, (after, last), kit.clock.now())
        after, seen = last, seen + people
        progress(seen)
        await kit.store.give_way()
    if order.how is Regroup.MERGE:
        await listing.retire(kit, order.source)
    return came


async def _between(tx: Transaction, order: Order) -> Between:
    source = await listing.require(tx, order.source, retired=True)
    target = await listing.require(tx, order.target)
    if source.id == target.id:
        raise BadInput(f"{order.source} is one list.", remedy="Name two.")
    if order.segment is None:
        return Between(source.id, target.id)
    rule = await segments.read(tx, (await segmenting.require(tx, order.segment)).rule)
    return Between(source.id, target.id, segments.predicate(rule))


async def _counts(tx: Transaction, order: Order, between: Between) -> Counts:
    found = await regroups.forecast(tx, between)

    def total(state: str, *there: str) -> int:
        return sum(found.get(f"{state}:{one}", 0) for one in there)

    coming = total("active", "new") + (0 if order.how is Regroup.COPY else total("pending", "new"))
    stays = sum(found.values()) - coming - total("active", "on_target", "pending_on_target", "left_target")
    return Counts(coming, total("active", "on_target", "pending_on_target"), total("active", "left_target"), stays)


def row_of(counts: Counts) -> dict[str, Any]:
    """Return counts as a JSON row."""
    return {name: getattr(counts, name) for name in Counts.__dataclass_fields__}
