"""Recipient domains: each keeps its pace, is slowed down when it asks for it, and never keeps the others waiting."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from campaign.actions import (
    alerting,
    backlog,
    campaigning,
    feeding,
    freezing,
    planning,
    publishing,
    sending,
    slowing,
    steering,
)
from campaign.actions.kit import Kit
from campaign.actions.lanes import Drain, Lane
from campaign.actions.pacing import Pacer
from campaign.actions.sending import sender
from campaign.actions.slowing import Manners
from campaign.clock import SystemClock
from campaign.domain.delivery import State, throttle_wait
from campaign.domain.pace import DomainLimits
from campaign.domain.replies import Answer, Phase, Reply
from campaign.settings import Domains
from campaign.store import paces
from campaign.store.engine import Store
from campaign.store.paces import Pace, Slowing
from campaign.store.schema.ledger import deliveries, delivery_events
from campaign.store.writer import Writer
from tests.actions.test_lanes import EVERY, OK, SQLITE_ONLY, a_relay
from tests.builders import Reader, a_kit, no_database, some_readers
from tests.clocks import FrozenClock
from tests.mail.fault_server import FaultServer, say

SLOW, QUICK = "slow.example.org", "quick.example.org"


async def a_sending_kit(
    store: Store,
    home: Path,
    server: FaultServer,
    people: dict[str, int],
    domains: Domains | None = None,
    *,
    connections: int = 4,
) -> Kit:
    """A kit with one relay, and an edition that goes to so many people on each domain, in turn."""
    relay = a_relay("main", server, connections=connections)
    kit = a_kit(store, SystemClock(), home, [relay], domains=domains or Domains())
    names = [domain for domain, count in people.items() for _ in range(count)]
    await some_readers(kit, [Reader(number, domain=domain) for number, domain in enumerate(names, 1)])
    await publishing.import_starters(kit)
    await campaigning.create(kit, "news", EVERY)
    await campaigning.approve(kit, "news")
    await planning.send_now(kit, "news")
    await freezing.freeze_due(kit)
    await freezing.start_due(kit)
    return kit


async def drain(kit: Kit) -> float:
    began = time.monotonic()
    async with sender(kit, "worker") as post:
        await asyncio.wait_for(post.drain(asyncio.Event()), 30)
    await kit.renderer.aclose()
    return time.monotonic() - began


async def by_domain(kit: Kit, state: State) -> Counter[str]:
    async with kit.store.read() as tx:
        rows = await tx.execute(select(deliveries.c.domain).where(deliveries.c.state == state))
        return Counter(rows.scalars())


@SQLITE_ONLY
async def test_a_domain_s_letters_at_once_are_limited_and_the_others_go_on(store: Store, home: Path) -> None:
    async with FaultServer() as server:
        server.dot_to[SLOW] = OK.after(0.5)
        limits = Domains(own={SLOW: DomainLimits(parallel=1)})
        kit = await a_sending_kit(store, home, server, {SLOW: 6, QUICK: 20}, limits)
        await drain(kit)
    assert server.most_at_once[SLOW] == 1
    assert server.most_at_once[QUICK] > 1
    assert len(server.taken) == 26
    assert server.taken[-1] == SLOW, "the quick domain did not wait"


@SQLITE_ONLY
async def test_a_domain_s_letters_by_the_second_are_limited(store: Store, home: Path) -> None:
    async with FaultServer() as server:
        limits = Domains(DomainLimits(per_second=100), {SLOW: DomainLimits(per_second=5)})
        kit = await a_sending_kit(store, home, server, {SLOW: 8, QUICK: 20}, limits)
        took = await drain(kit)
    assert Counter(server.taken) == {SLOW: 8, QUICK: 20}
    assert 1.4 <= took <= 15, "seven gaps of 200 ms"


async def test_a_domain_that_asks_for_less_is_slowed_and_its_letter_waits(store: Store, home: Path) -> None:
    async with FaultServer() as server:
        server.rcpt_to[SLOW] = [say("452 4.7.0 Too many messages, slow down"), say("250 2.1.5 Ok")]
        kit = await a_sending_kit(store, home, server, {SLOW: 6, QUICK: 6}, Domains(DomainLimits(8, 40)))
        await drain(kit)
        [standing] = await steering.standings(kit)
        d = deliveries.c
        async with kit.store.read() as tx:
            [(attempts, due, moved)] = (
                await tx.execute(select(d.attempts, d.due_at, d.moved_at).where(d.state == State.QUEUED))
            ).all()
    assert await by_domain(kit, State.ACCEPTED) == {SLOW: 5, QUICK: 6}
    assert attempts == 1
    assert timedelta(minutes=12) <= due - moved <= timedelta(minutes=18)
    assert standing.domains == (Pace("main", SLOW, rate=20.0, parallel=4),)


async def test_a_paused_domain_is_not_claimed_and_what_is_in_hand_goes_back(store: Store, home: Path) -> None:
    async with FaultServer(dot=OK.after(0.1)) as server:
        kit = await a_sending_kit(store, home, server, {SLOW: 40, QUICK: 40})
        async with sender(kit, "worker") as post:
            draining = asyncio.create_task(post.drain(asyncio.Event()))
            await asyncio.wait_for(server.at_dot.wait(), 10)
            assert await steering.pause(kit, "main", SLOW)
            assert not await steering.pause(kit, "main", SLOW)
            await asyncio.wait_for(draining, 30)
            assert Counter(server.taken)[QUICK] == 40
            left = await by_domain(kit, State.QUEUED)
            assert 0 < left[SLOW] < 40, "what was being handed over when the pause came went out"
            async with kit.store.read() as tx:
                claims = select(delivery_events.c.id).where(delivery_events.c.to_state == State.CLAIMED)
                before = len((await tx.execute(claims)).all())
            assert await post.drain(asyncio.Event()) == 0
            async with kit.store.read() as tx:
                assert len((await tx.execute(claims)).all()) == before, "nothing was claimed in vain"
            assert await steering.resume(kit, "main", SLOW)
            assert not await steering.resume(kit, "main", SLOW)
            await post.drain(asyncio.Event())
            assert Counter(server.taken) == {SLOW: 40, QUICK: 40}
        await kit.renderer.aclose()


@SQLITE_ONLY
async def test_what_is_in_hand_to_a_paused_domain_goes_back_although_no_more_can_be_claimed(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FaultServer(dot=OK.after(0.1)) as server:
        kit = await a_sending_kit(store, home, server, {SLOW: 40, QUICK: 40})
        async with sender(kit, "worker") as post:
            draining = asyncio.create_task(post.drain(asyncio.Event()))
            await asyncio.wait_for(server.at_dot.wait(), 10)
            monkeypatch.setattr(feeding.Feeder, "_sources", no_database)
            assert await steering.pause(kit, "main", SLOW)
            await asyncio.wait_for(draining, 30)
        await kit.renderer.aclose()
    assert Counter(server.taken)[QUICK] == 40
    assert (await by_domain(kit, State.QUEUED))[SLOW] == 40 - Counter(server.taken)[SLOW] > 0


@SQLITE_ONLY
async def test_a_relay_that_is_well_again_when_all_is_over_is_left_to_the_next_drain(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would claim for it: what it took now would keep the mail behind it waiting."""
    opened: list[Lane] = []

    class Watched(Drain):
        async def look(self) -> list[Lane]:
            opened.extend(new := await super().look())
            return new

    monkeypatch.setattr(sending, "Drain", Watched)
    async with FaultServer() as server:
        server.dot_to[QUICK] = [OK.after(0.7), *[OK.after(3)] * 20]
        limits = Domains(own={SLOW: DomainLimits(parallel=1, per_second=1)})
        kit = await a_sending_kit(store, home, server, {SLOW: 60, QUICK: 20}, limits)
        async with sender(kit, "worker") as post:
            draining = asyncio.create_task(post.drain(asyncio.Event()))
            await asyncio.wait_for(server.at_dot.wait(), 10)
            await opened[0].fault(Answer(Phase.AUTH, Reply.parse(535, ["5.7.8 wrong password"])))
            await asyncio.wait_for(draining, 20)
        await kit.renderer.aclose()
    assert (await by_domain(kit, State.QUEUED))[SLOW] > 40


@SQLITE_ONLY
@pytest.mark.parametrize("limited", [False, True], ids=["slow by itself", "limited"])
async def test_many_letters_to_a_slow_domain_do_not_keep_those_behind_them_waiting(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch, limited: bool
) -> None:
    for module, name, value in ((feeding, "LOW", 10), (feeding, "_MOST", 30), (feeding, "BATCH", 20)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(backlog, "_FULL", 10)
    others = {f"quick{number}.example.org": 10 for number in range(4)}
    async with FaultServer() as server:
        server.dot_to[SLOW] = OK.after(0.5)
        own = {SLOW: DomainLimits(parallel=1)} if limited else {}
        kit = await a_sending_kit(store, home, server, {SLOW: 100, **others}, Domains(own=own))
        async with sender(kit, "worker") as post:
            stopping = asyncio.Event()
            draining = asyncio.create_task(post.drain(stopping))
            async with asyncio.timeout(20):
                await server.until(lambda: sum(domain in others for domain in server.taken) == 40)
            taken = Counter(server.taken)
            stopping.set()
            await asyncio.wait_for(draining, 10)
        await kit.renderer.aclose()
    assert taken[SLOW] < 40, "the hundred in front of them would have come first"


@SQLITE_ONLY
async def test_a_slowed_domain_gets_its_pace_back_as_it_takes_letters(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slowing, "_EACH", 4)
    async with FaultServer() as server:
        kit = await a_sending_kit(store, home, server, {SLOW: 24}, Domains(DomainLimits(8, 21)))
        async with kit.store.begin() as tx:
            await paces.slow_down(tx, Pace("main", SLOW), Slowing(30.0, 4), kit.clock.now())
        await drain(kit)
        [standing] = await steering.standings(kit)
    [pace] = standing.domains
    assert pace.rate == pytest.approx(15 * 1.1**3 if pace.parallel == 5 else 15 * 1.1 ** (pace.parallel - 2), abs=0.01)
    assert pace.parallel > 4


async def test_it_is_halved_once_for_what_was_on_its_way_and_never_below_one(store: Store, clock: FrozenClock) -> None:
    here, usual = Pace("main", SLOW), Slowing(3.0, 3)

    async def slow_down() -> tuple[float | None, int | None]:
        async with store.begin() as tx:
            pace = await paces.slow_down(tx, here, usual, clock.now())
        return pace.rate, pace.parallel

    assert [await slow_down() for _ in range(3)] == [(1.5, 1)] * 3
    clock.advance(timedelta(seconds=6))
    assert await slow_down() == (1.0, 1)
    clock.advance(timedelta(seconds=6))
    assert await slow_down() == (1.0, 1)
    rates = []
    for _ in range(20):
        async with store.begin() as tx:
            if (pace := await paces.speed_up(tx, here, clock.now())) is None:
                break
        rates.append(pace.rate)
    assert rates == [pytest.approx(1.1**n) for n in range(1, 12)], "up to the three a second of before, then forgotten"
    async with store.read() as tx:
        assert await paces.every(tx) == []
    async with store.begin() as tx:
        assert await paces.speed_up(tx, here, clock.now()) is None


async def test_a_pause_stays_when_a_slowed_domain_is_quick_again(store: Store, clock: FrozenClock) -> None:
    here, now = Pace("main", SLOW), clock.now()
    async with store.begin() as tx:
        await paces.slow_down(tx, here, Slowing(2.0, 2), now)
        assert await paces.pause(tx, Pace("main", SLOW, paused_until=now + timedelta(hours=1), reason="blocked"), now)
        found = [await paces.speed_up(tx, here, now) for _ in range(9)]
    assert found[-1] == found[-2] == Pace("main", SLOW, paused_until=now + timedelta(hours=1), reason="blocked")
    async with store.read() as tx:
        [pace] = await paces.every(tx, "main")
    assert (pace.reason, pace.is_open(now), pace.is_open(now + timedelta(hours=2))) == ("blocked", False, True)


def test_a_throttled_letter_waits_a_quarter_of_an_hour_and_twice_as_long_each_time() -> None:
    minutes = [throttle_wait(attempt) / timedelta(minutes=1) for attempt in range(1, 8)]
    assert minutes == [15, 30, 60, 120, 240, 240, 240]


@SQLITE_ONLY
@pytest.mark.parametrize("later", [0.0, 0.2], ids=["others are in the air", "others wait"])
async def test_a_dead_domain_does_not_rest_the_relay_while_others_get_letters(
    store: Store, home: Path, later: float
) -> None:
    """Ten letters to the dead domain are made ahead before the other has answered: later they may be alone in the air."""
    dead = say("421 4.4.1 The next server does not answer").and_then("drop")
    async with FaultServer(dot=OK.after(0.05)) as server:
        server.rcpt_to[SLOW] = [dead, dead, *[dead.after(later)] * 10]
        kit = await a_sending_kit(store, home, server, {SLOW: 12, QUICK: 40})
        async with sender(kit, "worker") as post:
            draining = asyncio.create_task(post.drain(asyncio.Event()))
            async with asyncio.timeout(20):
                await server.until(lambda: len(server.taken) == 40)
            await asyncio.wait_for(draining, 20)
        await kit.renderer.aclose()
        assert await by_domain(kit, State.ACCEPTED) == {QUICK: 40}
        assert await by_domain(kit, State.QUEUED) == {SLOW: 12}


@SQLITE_ONLY
async def test_wrong_settings_told_at_a_recipient_of_a_dead_domain_rest_the_relay_at_once(
    store: Store, home: Path
) -> None:
    dead = say("421 4.4.1 The next server does not answer").and_then("drop")
    async with FaultServer(dot=OK.after(1.0)) as server:
        server.rcpt_to[SLOW] = [dead, say("530 5.7.0 Authentication required")]
        kit = await a_sending_kit(store, home, server, {SLOW: 3, QUICK: 9}, connections=2)
        await drain(kit)
        [alert] = await alerting.told(kit, resolved=True)
    assert alert.standing.topic == "relay:main:sign_in"
    assert len(server.taken) <= 2, "what was at its dot, and no more"


async def test_letters_that_land_while_no_domain_is_slow_are_not_counted_against_one_later(
    store: Store, home: Path
) -> None:
    kit = a_kit(store, FrozenClock(), home)
    manners, slow = Manners(kit, "main", Pacer(kit, writer := Writer(store))), Pace("main", SLOW, parallel=3)
    manners.learn([slow], 0)
    for _ in range(3):
        manners.took(SLOW)
    assert not manners.allows(SLOW)
    manners.learn([], 0)  # a lane does not count while no domain is to be treated in another way
    assert not manners.needed
    manners.learn([slow], 0)
    assert manners.allows(SLOW)
    for _ in range(3):
        manners.landed(SLOW)
    assert manners.allows(SLOW)
    await writer.close()


async def test_a_look_that_began_before_a_domain_was_paused_does_not_open_it_again(store: Store, home: Path) -> None:
    kit = a_kit(store, SystemClock(), home)
    manners = Manners(kit, "main", Pacer(kit, writer := Writer(store)))
    before = kit.clock.monotonic()
    manners.hold(Pace("main", SLOW, paused_until=kit.clock.now() + timedelta(hours=1)))
    manners.learn([], before)
    assert not manners.allows(SLOW)
    manners.learn([], kit.clock.monotonic() + 1)  # somebody resumed it
    assert manners.allows(SLOW)
    await writer.close()


async def test_a_look_that_began_before_a_domain_recovered_does_not_slow_it_again(store: Store, home: Path) -> None:
    kit = a_kit(store, SystemClock(), home)
    manners = Manners(kit, "main", Pacer(kit, writer := Writer(store)))
    before = kit.clock.monotonic()
    await manners.slow_down(SLOW, (20.0, 3))
    async with store.read() as tx:
        slowed = await paces.every(tx)
    for _ in range(2_000):
        if manners.is_slow(SLOW):
            await manners.good(SLOW)
    manners.learn(slowed, before)
    assert not manners.is_slow(SLOW)
    manners.learn(slowed, kit.clock.monotonic() + 1)  # another worker found it slow
    assert manners.is_slow(SLOW)
    await writer.close()
