"""Several relays in one drain: shares by weight, nobody waits for a slow one, and who fails leaves its letters."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from campaign.actions import campaigning, carrying, feeding, freezing, planning, publishing, steering
from campaign.actions.feeding import Feeder
from campaign.actions.kit import Kit, Relay
from campaign.actions.pacing import Pacer, Pool
from campaign.actions.sending import sender
from campaign.actions.slowing import Manners
from campaign.clock import SystemClock
from campaign.domain.campaigns import Definition
from campaign.domain.delivery import State
from campaign.domain.pace import Bound, Limits, Span, WarmUp, grant
from campaign.mail.smtp import SmtpOptions, SmtpTransport, Tls
from campaign.mail.terms import PhaseTimeouts
from campaign.store import agenda, permits, relays
from campaign.store.engine import DatabaseAway, Store
from campaign.store.permits import Ask, micros
from campaign.store.schema.ledger import deliveries, delivery_events
from campaign.store.writer import Writer
from tests.builders import Reader, a_kit, some_readers
from tests.mail.fault_server import ALL_OFFERS, FaultServer, say

EVERY = Definition(every="first monday", lists=("supporters",), zone="UTC")
OK = say("250 2.0.0 Ok: queued")
SQLITE_ONLY = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests of which way letters go and when; what the database has to do with it runs on both."""


def a_relay(name: str, server: FaultServer, weight: int = 1, connections: int = 4, **options: str) -> Relay:
    patience = PhaseTimeouts(connect=5, greeting=5, ehlo=5, auth=5, mail=10, rcpt=10, data=10, body=10, dot=10)
    where = SmtpOptions("127.0.0.1", server.port, tls=Tls.NONE, name=name, hello="test", timeouts=patience, **options)  # type: ignore[arg-type]  # options of a test
    return Relay(SmtpTransport(where), weight=weight, connections=connections)


async def a_sending_kit(store: Store, home: Path, ways: Sequence[Relay], people: int) -> Kit:
    kit = a_kit(store, SystemClock(), home, ways)
    await some_readers(kit, [Reader(n) for n in range(1, people + 1)])
    await publishing.import_starters(kit)
    await campaigning.create(kit, "news", EVERY)
    await campaigning.approve(kit, "news")
    await planning.send_now(kit, "news")
    await freezing.freeze_due(kit)
    await freezing.start_due(kit)
    return kit


async def drain(kit: Kit) -> None:
    async with sender(kit, "worker") as post:
        await asyncio.wait_for(post.drain(asyncio.Event()), 30)
    await kit.renderer.aclose()


async def outcomes(kit: Kit) -> Counter[tuple[State, str, int]]:
    """How many letters came to which end, by which relay, in how many attempts."""
    d = deliveries.c
    async with kit.store.read() as tx:
        return Counter((row[0], row[1], row[2]) for row in await tx.execute(select(d.state, d.relay, d.attempts)))


@SQLITE_ONLY
async def test_letters_are_shared_by_weight(store: Store, home: Path) -> None:
    quick = OK.after(0.005)
    async with FaultServer(dot=quick) as one, FaultServer(dot=quick) as two:
        kit = await a_sending_kit(store, home, [a_relay("one", one, 3), a_relay("two", two, 1)], people=160)
        await drain(kit)
    assert len(one.held) + len(two.held) == 160
    assert 105 <= len(one.held) <= 135, "three quarters, give or take what flies when the last letter is taken"
    assert await outcomes(kit) == {
        (State.ACCEPTED, "one", 1): len(one.held),
        (State.ACCEPTED, "two", 1): len(two.held),
    }


@SQLITE_ONLY
async def test_a_slow_relay_holds_no_other_back(store: Store, home: Path) -> None:
    async with FaultServer(dot=OK.after(2.0)) as slow, FaultServer() as quick:
        kit = await a_sending_kit(store, home, [a_relay("slow", slow, 9), a_relay("quick", quick, 1)], people=80)
        began = time.monotonic()
        await drain(kit)
    assert len(slow.held) <= 30, "nine tenths would be 72"
    assert len(slow.held) + len(quick.held) == 80
    assert time.monotonic() - began < 20, "72 letters, four at once, would be 36 s"


@pytest.mark.parametrize("limit", ["_LETTERS_PER_CONNECTION", "_SECONDS_PER_CONNECTION"])
async def test_a_connection_ends_in_time_although_the_next_letter_is_always_at_hand(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(carrying, limit, 3 if "LETTERS" in limit else 0.0)
    async with FaultServer() as server:
        kit = await a_sending_kit(store, home, [a_relay("only", server, connections=1)], people=24)
        await drain(kit)
        assert len(server.held) == 24
        assert server.connections == (8 if "LETTERS" in limit else 24)


async def test_a_letter_that_is_proposed_when_its_domain_is_held_takes_no_other_with_it(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def holds(_: Manners, domain: str) -> bool:
        asked.append(domain)
        return (
            len(asked) == 19
        )  # the eighteenth letter, which went with the dot of the one before; the first was asked about twice

    monkeypatch.setattr(Manners, "holds", holds)
    async with FaultServer() as server:
        kit = await a_sending_kit(store, home, [a_relay("only", server, connections=1)], people=24)
        await drain(kit)
        assert len(server.held) == len(set(server.held)) == 24
        assert server.connections == 2, "the line on which it was proposed has ended"
    assert await outcomes(kit) == {(State.ACCEPTED, "only", 1): 24}
    async with kit.store.read() as tx:
        back = select(delivery_events.c.delivery_id).where(delivery_events.c.to_state == State.QUEUED)
        assert not (await tx.execute(back)).all(), "no letter went back to the queue"


async def test_a_letter_that_one_lane_may_not_take_wakes_another_that_sleeps(store: Store, home: Path) -> None:
    async with FaultServer() as first, FaultServer() as second:
        ways = [a_relay("first", first, connections=1), a_relay("second", second, connections=1)]
        kit = await a_sending_kit(store, home, ways, people=1)
        await steering.pause(kit, "first", "example.org")
        await drain(kit)
    assert await outcomes(kit) == {(State.ACCEPTED, "second", 1): 1}


async def test_wrong_credentials_stop_one_lane_and_no_letter_is_charged(store: Store, home: Path) -> None:
    offers = (*ALL_OFFERS, "AUTH PLAIN")
    refuses = say("535 5.7.8 Wrong password for reader-09@example.org")
    async with FaultServer(offers, auth=refuses) as locked, FaultServer() as good:
        ways = [a_relay("locked", locked, username="u", password="hunter2"), a_relay("good", good)]
        kit = await a_sending_kit(store, home, ways, people=20)
        await drain(kit)
    assert await outcomes(kit) == {(State.ACCEPTED, "good", 1): 20}
    assert locked.held == []
    first, second = await steering.standings(kit)
    assert (first.state, second.state) == ("resting", "open")
    assert first.known.reason.startswith("auth: 535 5.7.8 Wrong password")
    assert "reader-09" not in first.known.reason
    now = kit.clock.now()
    async with kit.store.read() as tx:
        assert await agenda.next_instant(tx, now) == first.known.paused_until, "what wakes the daemon"


@SQLITE_ONLY
async def test_a_relay_that_drops_every_line_leaves_its_letters_to_the_others(store: Store, home: Path) -> None:
    async with FaultServer(greeting=say("421 4.3.2 Not now").and_then("drop")) as down, FaultServer() as good:
        kit = await a_sending_kit(store, home, [a_relay("down", down, 5), a_relay("good", good)], people=20)
        await drain(kit)
    assert await outcomes(kit) == {(State.ACCEPTED, "good", 1): 20}


@SQLITE_ONLY
async def test_a_relay_that_rested_takes_part_again_while_the_drain_lasts(store: Store, home: Path) -> None:
    async with FaultServer() as back, FaultServer(dot=OK.after(0.1)) as good:
        kit = await a_sending_kit(store, home, [a_relay("back", back), a_relay("good", good, connections=1)], people=60)
        async with kit.store.begin() as tx:
            await relays.fault(tx, "back", "greeting: 421", kit.clock.now(), stop=True)
        async with sender(kit, "worker") as post:
            draining = asyncio.create_task(post.drain(asyncio.Event()))
            await asyncio.wait_for(good.at_dot.wait(), 10)
            assert back.connections == 0
            await steering.resume(kit, "back")
            await asyncio.wait_for(draining, 30)
        await kit.renderer.aclose()
    assert len(back.held) > len(good.held)
    assert len(back.held) + len(good.held) == 60


@SQLITE_ONLY
@pytest.mark.parametrize("others", [True, False], ids=["beside another", "alone"])
async def test_a_pause_is_noticed_by_a_drain_that_runs(store: Store, home: Path, others: bool) -> None:
    async with FaultServer(dot=OK.after(0.1)) as held, FaultServer(dot=OK.after(0.04)) as good:
        ways = [a_relay("held", held, connections=1)]
        ways += [a_relay("good", good, connections=1)] if others else []
        kit = await a_sending_kit(store, home, ways, people=60)
        async with sender(kit, "worker") as post:
            draining = asyncio.create_task(post.drain(asyncio.Event()))
            await asyncio.wait_for(held.at_dot.wait(), 10)
            assert await steering.pause(kit, "held")
            assert not await steering.pause(kit, "held"), "once is enough"
            await asyncio.sleep(1.5)
            at_most = len(held.held) + 1
            await asyncio.wait_for(draining, 30)
            assert len(held.held) <= at_most
            assert await post.drain(asyncio.Event()) == 0 or others
        found = await outcomes(kit)
        assert sum(found.values()) == 60
        if others:
            assert {(state, attempts) for state, _, attempts in found} == {(State.ACCEPTED, 1)}
        else:
            assert found[State.QUEUED, "", 0] == 60 - len(held.held), "uncharged, and nobody's"
            assert await steering.resume(kit, "held")
            assert not await steering.resume(kit, "held")
        await kit.renderer.aclose()


@SQLITE_ONLY
async def test_a_limit_by_the_second_spaces_letters_and_loses_little_time(store: Store, home: Path) -> None:
    async with FaultServer() as server:
        way = replace(a_relay("main", server), limits=Limits(per_second=25))
        kit = await a_sending_kit(store, home, [way], people=50)
        began = time.monotonic()
        await drain(kit)
        took = time.monotonic() - began
    assert len(server.held) == 50
    assert 1.9 <= took <= 15, "49 gaps of 40 ms"
    assert await outcomes(kit) == {(State.ACCEPTED, "main", 1): 50}


async def test_a_used_up_day_ends_the_drain_and_the_rest_waits_uncharged(store: Store, home: Path) -> None:
    async with FaultServer() as server:
        way = replace(a_relay("main", server), limits=Limits(per_day=10, per_minute=60_000))
        kit = await a_sending_kit(store, home, [way], people=25)
        await drain(kit)
        assert len(server.held) == 10
        assert await outcomes(kit) == {(State.ACCEPTED, "main", 1): 10, (State.QUEUED, "", 0): 15}
        now = kit.clock.now()
        async with kit.store.read() as tx:
            again = await agenda.next_instant(tx, now)
            events = await tx.execute(select(func.count()).where(delivery_events.c.to_state == State.CLAIMED))
        assert again is not None
        assert timedelta(hours=23, minutes=59) <= again - now <= timedelta(hours=24, minutes=30)
        claimed = events.scalar_one()
        async with sender(kit, "worker") as post:
            assert await post.drain(asyncio.Event()) == 0, "no letter is claimed that cannot go"
        async with kit.store.read() as tx:
            events = await tx.execute(select(func.count()).where(delivery_events.c.to_state == State.CLAIMED))
        assert events.scalar_one() == claimed <= 10 + 4


@SQLITE_ONLY
async def test_a_drain_ends_although_its_edition_is_paused_between_two_claims(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "BATCH", 5)
    monkeypatch.setattr(feeding, "LOW", 5)
    async with FaultServer(dot=OK.after(0.05)) as server:
        kit = await a_sending_kit(store, home, [a_relay("main", server, connections=1)], people=40)
        async with sender(kit, "worker") as post:
            draining = asyncio.create_task(post.drain(asyncio.Event()))
            await server.until(lambda: len(server.taken) >= 8)
            await campaigning.pause(kit, "news")
            await asyncio.wait_for(draining, 10)
        await kit.renderer.aclose()
        assert len(server.held) < 40


@SQLITE_ONLY
@pytest.mark.parametrize("people", [9, 25])
async def test_a_permit_that_waited_for_a_letter_is_used_or_goes_back(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch, people: int
) -> None:
    """The lanes are looked at while a permit is at hand and no letter is: it must not be missing from the day."""
    sources, waits = Feeder._sources, [1.3]

    async def late(feeder: Feeder) -> list[int | None]:
        await asyncio.sleep(waits.pop() if waits else 0)
        return await sources(feeder)

    monkeypatch.setattr(Feeder, "_sources", late)
    async with FaultServer() as server:
        way = replace(a_relay("main", server), limits=Limits(per_day=10))
        kit = await a_sending_kit(store, home, [way], people=people)
        await drain(kit)
        assert len(server.held) == min(people, 10)
        now = micros(kit.clock.now())
        async with kit.store.read() as tx:
            [day] = await permits.bounds(tx, Ask("main", "", {Span.DAY: 10}, 0))
        assert len(grant([day], now, 10)) == max(10 - people, 0)


@SQLITE_ONLY
async def test_a_limited_relay_takes_what_it_may_and_the_other_the_rest(store: Store, home: Path) -> None:
    async with FaultServer() as little, FaultServer() as rest:
        ways = [
            replace(
                a_relay("little", little, 9), limits=Limits(per_second=2, warm_up=WarmUp(date(2020, 1, 1), 9, 1.5))
            ),
            a_relay("rest", rest),
        ]
        kit = await a_sending_kit(store, home, ways, people=60)
        began = time.monotonic()
        await drain(kit)
        took = time.monotonic() - began
    assert 1 <= len(little.held) <= 1 + 2 * took + 1
    assert len(little.held) + len(rest.held) == 60
    assert took < 20, "nine tenths of the letters, two a second, would be 27 s"


@SQLITE_ONLY
async def test_limits_that_no_mail_reaches_hold_nobody_up(store: Store, home: Path) -> None:
    async with FaultServer() as server:
        limits = Limits(per_hour=5_000_000, warm_up=WarmUp(date(2020, 1, 1), 9, 1.5))
        kit = await a_sending_kit(store, home, [replace(a_relay("main", server), limits=limits)], people=60)
        began = time.monotonic()
        await drain(kit)
    assert time.monotonic() - began < 15
    assert await outcomes(kit) == {(State.ACCEPTED, "main", 1): 60}


class Shifted(SystemClock):
    """The system's clock, until somebody sets it."""

    shift = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.shift


async def test_a_clock_that_is_set_back_by_an_hour_keeps_no_letter_waiting(store: Store, home: Path) -> None:
    async with FaultServer() as server:
        way = replace(a_relay("main", server), limits=Limits(per_second=20, per_day=1_000))
        kit = await a_sending_kit(store, home, [way], people=30)
        kit = replace(kit, clock=(clock := Shifted()))
        async with sender(kit, "worker") as post:
            draining = asyncio.create_task(post.drain(asyncio.Event()))
            await asyncio.wait_for(server.at_dot.wait(), 10)
            clock.shift = timedelta(hours=-1)
            await asyncio.wait_for(draining, 15)
        await kit.renderer.aclose()
        assert len(server.held) == 30
        async with kit.store.read() as tx:
            [day, _] = await permits.bounds(tx, Ask("main", "", {Span.DAY: 1_000, Span.SECOND: 20}, 0))
    assert sum(day.pieces.values()) == 30, "a permit for each letter, and none is lost"


async def test_the_permit_of_a_letter_that_never_set_out_is_another_letter_s(store: Store, home: Path) -> None:
    async with FaultServer(greeting=say("421 4.3.2 Not now").and_then("drop")) as down, FaultServer() as good:
        ways = [replace(a_relay("down", down, 5), limits=Limits(per_day=30)), a_relay("good", good, connections=1)]
        kit = await a_sending_kit(store, home, ways, people=40)
        for _ in range(2):
            await drain(kit)
            await steering.resume(kit, "down")
    assert down.held == []
    assert down.connections >= 3
    async with kit.store.read() as tx:
        [day] = await permits.bounds(tx, Ask("down", "", {Span.DAY: 30}, 0))
    assert sum(day.pieces.values()) == 0, "nothing went, so nothing of the day is used"


async def test_permits_that_lie_unused_are_not_lost_to_the_day(store: Store, home: Path) -> None:
    kit = a_kit(store, clock := Shifted(), home)
    writer = Writer(kit.store)
    pacer = Pacer(kit, writer)
    pool = Pool(pacer, ("main", ""), lambda: {Span.DAY: 1_000})
    fetching = asyncio.create_task(pacer.run())
    used = 0
    for _ in range(120):  # one in five seconds, as where each letter takes so long
        while not pool.at_hand():  # noqa: ASYNC110 -- as a lane does: it looks again
            await asyncio.sleep(0.001)
        assert pool.take() is not None
        used += 1
        clock.shift += timedelta(seconds=5)
    assert await left_to_the_day(kit, pacer, fetching) == 880
    await writer.close()
    assert used == 120


async def test_permits_that_come_when_the_clock_was_set_back_or_the_lane_closed_go_back(
    store: Store, home: Path
) -> None:
    """What is known of the next one is set back with the clock, so that the lane is not closed for an hour."""
    kit = a_kit(store, clock := Shifted(), home)
    writer = Writer(kit.store)
    pacer = Pacer(kit, writer)
    limits = {Span.DAY: 1_000, Span.SECOND: 20}
    back, closed = Pool(pacer, ("main", ""), lambda: limits), Pool(pacer, ("other", ""), lambda: limits)
    now = pacer.now()
    clock.shift = timedelta(hours=-1)
    closed.close()
    for pool, instant in ((back, now), (closed, pacer.now())):
        bounds = [Bound(Span.SECOND, 20, free_at=instant + 50_000), Bound(Span.DAY, 1_000)]
        pool.answered([instant], bounds)
        assert (pool.stock, pool.unused()) == (0, [instant])
        assert pool.seconds_until() < 1
    await writer.close()


async def test_permits_that_come_when_all_is_over_are_not_lost_to_the_day(store: Store, home: Path) -> None:
    kit = a_kit(store, SystemClock(), home)
    writer = Writer(kit.store)
    pacer = Pacer(kit, writer)
    pool = Pool(pacer, ("main", ""), lambda: {Span.DAY: 1_000})
    fetching = asyncio.create_task(pacer.run())
    assert not pool.at_hand()
    async with kit.store.begin():  # so that nothing can be written for a moment, on SQLite at least
        await asyncio.sleep(0.1)
        pacer.end()
    assert await left_to_the_day(kit, pacer, fetching) == 1_000
    await writer.close()


async def left_to_the_day(kit: Kit, pacer: Pacer, fetching: asyncio.Task[None]) -> int:
    """End, and return how many of a day's thousand permits are still there."""
    pacer.end()
    await asyncio.wait_for(fetching, 10)
    await pacer.give_back()
    async with kit.store.read() as tx:
        [day] = await permits.bounds(tx, Ask("main", "", {Span.DAY: 1_000}, 0))
    return 1_000 - sum(day.pieces.values())


async def test_without_limits_no_permit_is_ever_asked_for(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FaultServer() as server:
        kit = await a_sending_kit(store, home, [a_relay("main", server)], people=5)

        async def never(*_: object) -> None:
            raise AssertionError("a permit was asked for")

        monkeypatch.setattr(permits, "take", never)
        monkeypatch.setattr(permits, "bounds", never)
        await drain(kit)
    assert await outcomes(kit) == {(State.ACCEPTED, "main", 1): 5}


@SQLITE_ONLY
@pytest.mark.parametrize(("error", "told"), [(DatabaseAway("It is gone."), 0), (RuntimeError("It is wrong."), 1)])
async def test_letters_in_hand_get_their_permits_when_no_more_can_be_claimed(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, told: int
) -> None:
    async def fail(_: object) -> None:
        raise error

    async with FaultServer() as server:
        way = replace(a_relay("main", server), limits=Limits(per_second=20))
        kit = await a_sending_kit(store, home, [way], people=30)
        async with sender(kit, "worker") as post:
            draining = asyncio.create_task(post.drain(asyncio.Event()))
            await asyncio.wait_for(server.at_dot.wait(), 10)
            monkeypatch.setattr(Feeder, "_sources", fail)
            with capture_logs() as logs:
                await asyncio.wait_for(draining, 15)
        await kit.renderer.aclose()
    assert len(server.held) == 30
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["claim_failed"] * told, "told once"
