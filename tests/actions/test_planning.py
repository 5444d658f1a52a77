"""Planning: editions appear and go with their steps, and what a person wants by hand is never taken away."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from campaign.actions import campaigning, planning
from campaign.actions.kit import Kit
from campaign.domain.wishes import Wish, definition_of
from campaign.store import campaigns, editions
from campaign.store.engine import Store
from tests.builders import a_kit, some_readers
from tests.clocks import FrozenClock


async def an_approved_campaign(store: Store, clock: FrozenClock, home: Path) -> Kit:
    kit = a_kit(store, clock, home)
    await some_readers(kit, 2)
    wish = Wish(every="first monday", lists=("supporters",))
    await campaigning.create(kit, "news", definition_of(wish, "UTC"))
    await campaigning.approve(kit, "news")
    return kit


async def names(kit: Kit) -> list[str]:
    async with kit.store.read() as tx:
        found = await campaigns.find(tx, "news")
        assert found is not None
        return [one.name for one in await editions.of_campaign(tx, found.id)]


async def test_a_planner_that_began_before_a_person_spoke_keeps_what_they_wanted(
    store: Store, clock: FrozenClock, home: Path
) -> None:
    kit = await an_approved_campaign(store, clock, home)
    before = clock.now()
    clock.advance(timedelta(seconds=1))
    extra = await planning.send_now(kit, "news")
    clock.travel_to(before)
    await planning.plan(kit)
    assert extra.name in await names(kit)


async def test_planning_again_plans_nothing_new(store: Store, clock: FrozenClock, home: Path) -> None:
    kit = await an_approved_campaign(store, clock, home)
    planned = await names(kit)
    assert len(planned) == 14
    assert await planning.plan(kit) == 0
    assert await names(kit) == planned


async def test_a_step_that_is_gone_takes_its_editions_along(store: Store, clock: FrozenClock, home: Path) -> None:
    kit = await an_approved_campaign(store, clock, home)
    await campaigning.edit(kit, "news", {"every": "last friday"})
    assert await planning.plan(kit) == 0, "a draft is not planned"
    done = await campaigning.approve(kit, "news")
    found = await names(kit)
    assert done.planned == len(found) == 13
    assert "news/every/2027-06-25" in found
    assert "news/every/2027-06-07" not in found


async def test_nothing_is_planned_for_what_ended(store: Store, clock: FrozenClock, home: Path) -> None:
    kit = await an_approved_campaign(store, clock, home)
    await campaigning.cancel(kit, "news")
    clock.advance(timedelta(days=60))
    assert await planning.plan(kit) == 0
