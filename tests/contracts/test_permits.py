"""Permits: however many workers ask at once, no limit is overdrawn; the daemon knows when more are to be had."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from itertools import pairwise

from campaign.domain.pace import AHEAD, MICRO, Limits, Span, WarmUp
from campaign.store import permits
from campaign.store.engine import Store
from campaign.store.permits import Ask, micros
from tests.clocks import FrozenClock


async def take(store: Store, clock: FrozenClock, *asks: Ask) -> list[list[int]]:
    async with store.begin() as tx:
        return [instants for instants, _ in await permits.take(tx, asks, clock.now())]


async def test_workers_that_ask_at_once_share_one_limit(store: Store, clock: FrozenClock) -> None:
    ask = Ask("main", "", {Span.SECOND: 20, Span.DAY: 15}, 4)
    others = [Store(store.url.render_as_string(hide_password=False)) for _ in range(3)]
    try:
        got = await asyncio.gather(*(take(one, clock, ask) for one in [store, *others] for _ in range(2)))
    finally:
        await asyncio.gather(*(one.close() for one in others))
    instants = sorted(at for [some] in got for at in some)
    assert len(instants) == 15
    assert all(later - sooner >= MICRO // 20 for sooner, later in pairwise(instants))
    assert instants[0] == micros(clock.now())


async def test_each_relay_and_domain_has_its_own(store: Store, clock: FrozenClock) -> None:
    asks = [Ask("main", domain, {Span.SECOND: 2}, 5) for domain in ("example.org", "", "example.net")]
    found = await take(store, clock, *asks)
    assert [len(instants) for instants in found] == [3, 3, 3], "now, in half a second, in a second"
    again = await take(store, clock, *asks)
    assert again == [[], [], []]
    assert len((await take(store, clock, Ask("other", "", {Span.SECOND: 2}, 5)))[0]) == 3


async def test_a_limit_that_changes_counts_what_was_granted_before(store: Store, clock: FrozenClock) -> None:
    assert len((await take(store, clock, Ask("main", "", {Span.DAY: 10}, 50)))[0]) == 10
    assert len((await take(store, clock, Ask("main", "", {Span.DAY: 15, Span.SECOND: 100}, 50)))[0]) == 5


async def test_where_a_warm_up_is_over_and_no_limit_left_all_is_granted(store: Store, clock: FrozenClock) -> None:
    limits = Limits(warm_up=WarmUp(date(2020, 1, 1), 500, 2.0)).on(clock.now().date())
    assert await take(store, clock, Ask("main", "", limits, 30)) == [[micros(clock.now())] * 30]


async def test_what_was_not_used_of_a_day_can_be_used_by_another(store: Store, clock: FrozenClock) -> None:
    ask = Ask("main", "", {Span.DAY: 10}, 10)
    [instants] = await take(store, clock, ask)
    async with store.begin() as tx:
        await permits.give_back(tx, ask, instants[:4])
    assert len((await take(store, clock, ask))[0]) == 4


async def test_the_daemon_wakes_when_a_used_up_limit_is_free_again(store: Store, clock: FrozenClock) -> None:
    async with store.read() as tx:
        assert await permits.next_free(tx, clock.now()) is None
    await take(store, clock, Ask("main", "", {Span.HOUR: 10, Span.SECOND: 100}, 10))
    await take(store, clock, Ask("main", "example.org", {Span.SECOND: 1}, 2))
    async with store.read() as tx:
        free = await permits.next_free(tx, clock.now())
        assert free is not None
        assert timedelta(hours=1) <= free - clock.now() <= timedelta(hours=1, seconds=73)
        [hour, _] = await permits.bounds(tx, Ask("main", "", {Span.HOUR: 10, Span.SECOND: 100}, 0))
        assert (hour.span, hour.free_at) == (Span.HOUR, micros(free))
        assert await permits.next_free(tx, free) is None
    assert AHEAD == MICRO
