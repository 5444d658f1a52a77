"""Domains that hang: they hold one connection while others have letters, and get all of theirs in the end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from campaign.actions import campaigning, freezing, hanging, planning
from campaign.actions.backlog import Backlog
from campaign.actions.hanging import NOT_YET, Hanging, Line
from campaign.actions.sending import sender
from campaign.actions.sharing import Share
from campaign.store.claims import Claimed
from campaign.store.engine import Store
from tests.actions.test_backlog import letter
from tests.actions.test_lanes import EVERY, OK, SQLITE_ONLY
from tests.actions.test_slowing import a_sending_kit
from tests.builders import Reader, some_readers
from tests.mail.fault_server import HANG, FaultServer, say

DEAD, SLOW, WELL = "dead.example.org", "slow.example.org", "well.example.org"


class Watched:
    """Ten connections of one relay, of which a test says what each is at, and a clock that the test moves."""

    def __init__(self, usual: float = 0.05) -> None:
        self.now = 100.0
        self.backlog = Backlog()
        self.hanging = Hanging(self.backlog, lambda: self.now)
        self.lines = self.join(usual)

    def join(self, usual: float) -> list[Line]:
        """Let ten connections of one more relay take part."""
        share = Share(1, 10, lambda: self.now)
        share.spent(usual)
        lines = [Line(share) for _ in range(10)]
        for line in lines:
            self.hanging.join(line)
        return lines

    def begin(self, line: Line, domain: str) -> None:
        line.domain, line.since = domain, self.now

    def carry(self, line: Line, domain: str, seconds: float) -> None:
        self.begin(line, domain)
        self.now += seconds
        self.hanging.arrived(line, seconds)

    def hang(self, domain: str, line: int = 0) -> None:
        """Let a letter to a domain be overtaken by another."""
        self.begin(self.lines[line], domain)
        self.now += 1.1
        self.carry(self.lines[9], WELL, 0.05)
        assert self.hanging.look() == {domain}

    def take(self) -> str | None:
        """Take the next letter as a connection does."""
        self.hanging.count()
        taken = self.backlog.take(self.hanging.allows)
        self.hanging.chose(taken and taken.domain)
        return taken and taken.domain


def with_letters_to_a_slow_domain() -> Watched:
    watched = Watched()
    watched.hang(SLOW)
    watched.hanging.arrived(watched.lines[0], 2.0)
    watched.backlog.put(some(SLOW, 20))
    return watched


def some(domain: str, count: int, first: int = 0) -> list[Claimed]:
    return [letter(first + number, domain) for number in range(count)]


def test_a_domain_hangs_when_a_letter_that_set_out_a_second_later_has_arrived() -> None:
    watched = Watched()
    watched.begin(watched.lines[0], DEAD)
    watched.now += 0.9
    watched.carry(watched.lines[1], WELL, 0.05)
    assert watched.hanging.look() == set()
    watched.now += 0.2
    watched.carry(watched.lines[1], WELL, 0.05)
    assert watched.hanging.look() == {DEAD}
    assert watched.hanging.look() == set(), "it is told once"
    assert watched.hanging.hangs(DEAD)
    assert not watched.hanging.hangs(WELL)


def test_a_letter_that_comes_late_between_two_looks_is_noticed_all_the_same() -> None:
    watched = Watched()
    for domain in (SLOW, WELL):
        watched.carry(watched.lines[0], domain, 0.05)
    watched.hanging.look()
    assert not watched.hanging.wary
    watched.begin(watched.lines[0], SLOW)
    watched.now += 1.1
    watched.carry(watched.lines[1], WELL, 0.05)
    watched.hanging.arrived(watched.lines[0], 1.15)
    assert watched.hanging.hangs(SLOW)
    assert watched.hanging.wary
    assert watched.lines[0].patience == 1.0, "what is usual is learned from others"
    assert watched.hanging.look() == {SLOW}, "its letters that are laid ready are taken back"
    assert watched.hanging.look() == set()


def test_a_letter_that_took_long_because_all_did_is_not_late_when_it_comes() -> None:
    watched = Watched()
    for line, domain in zip(watched.lines, (SLOW, WELL), strict=False):
        watched.begin(line, domain)
    watched.now += 1.5
    for line in watched.lines[1::-1]:
        watched.hanging.arrived(line, 1.5)
    assert not watched.hanging.hangs(SLOW)


def test_none_hangs_when_all_wait_for_the_same() -> None:
    watched = Watched()
    for line in watched.lines[:9]:
        watched.begin(line, DEAD)
    watched.now += 600
    assert watched.hanging.look() == set(), "a database or a relay that stands still says nothing of a domain"


def test_a_letter_is_not_late_where_letters_take_long_nor_while_its_connection_is_made() -> None:
    watched = Watched(usual=1.0)
    watched.begin(watched.lines[0], SLOW)
    watched.begin(watched.lines[1], DEAD)
    watched.lines[1].since = NOT_YET
    watched.now += 3
    watched.carry(watched.lines[9], WELL, 1.0)
    assert watched.hanging.look() == set(), "four seconds are patience enough"
    watched.now += 600
    watched.carry(watched.lines[9], WELL, 1.0)
    assert watched.hanging.look() == {SLOW}


def test_a_slow_relay_s_letters_are_not_late_because_another_relay_is_quick() -> None:
    watched = Watched()
    other = watched.join(usual=0.05)
    watched.begin(watched.lines[0], SLOW)
    watched.now += 2
    watched.carry(other[0], WELL, 0.05)
    assert watched.hanging.look() == set()


def test_while_others_have_letters_it_holds_one_connection_and_slow_ones_do_not_wait_for_dead_ones() -> None:
    watched = Watched()
    watched.hang(DEAD)
    watched.hang(SLOW, line=1)
    watched.hanging.arrived(watched.lines[1], 2.0)
    watched.backlog.put([*some(DEAD, 5), *some("dead2.example.org", 5, 10), *some(SLOW, 5, 20), *some(WELL, 20, 30)])
    watched.hang("dead2.example.org", line=2)
    taken = Counter(watched.take() for _ in range(10))
    assert taken.pop(WELL) == 8
    assert taken.pop(SLOW) == 1
    assert sum(taken.values()) == 1, "one of ten connections for all dead domains"


def test_when_there_are_letters_to_none_other_it_may_soon_hold_most_connections() -> None:
    watched = Watched()
    watched.hang(DEAD)
    watched.backlog.put([*some(DEAD, 20), *some(WELL, 1, 30)])
    assert {watched.take(), watched.take()} == {DEAD, WELL}
    assert watched.take() is None
    watched.now += 0.9
    assert watched.take() is None
    watched.now += 0.2
    assert [watched.take() for _ in range(8)] == [DEAD] * 7 + [None], "some connections stay for others"
    watched.backlog.put(some(WELL, 1, 40))
    assert [watched.take(), watched.take()] == [WELL, None]


def test_its_next_answers_say_whether_it_still_hangs() -> None:
    watched = Watched()
    watched.hang(SLOW)
    watched.hanging.arrived(watched.lines[0], 2.0)
    assert watched.hanging.hangs(SLOW)
    watched.carry(watched.lines[0], SLOW, 31.0)
    assert watched.hanging.hangs(SLOW)
    assert watched.lines[0].patience == 1.0, "what is usual is learned from others"
    watched.begin(watched.lines[0], SLOW)
    watched.lines[0].domain = None
    watched.hanging.arrived(watched.lines[0], 0.01)
    assert watched.hanging.hangs(SLOW), "it was given back, and never on its way"
    watched.carry(watched.lines[0], SLOW, 0.2)
    assert not watched.hanging.hangs(SLOW)


def test_a_slow_domain_that_falls_silent_leaves_the_slow_ones_their_connection() -> None:
    watched = Watched()
    watched.hang("slow2.example.org")
    watched.hanging.arrived(watched.lines[0], 2.0)
    watched.hang(SLOW)
    watched.hanging.arrived(watched.lines[0], 2.0)
    watched.backlog.put([*some(SLOW, 5), *some("slow2.example.org", 5, 10), *some(WELL, 40, 30)])
    slow = next(taken for taken in iter(watched.take, None) if taken != WELL)
    watched.begin(watched.lines[0], slow)
    watched.now += 5
    watched.carry(watched.lines[1], WELL, 0.05)
    watched.hanging.look()
    assert {watched.take() for _ in range(5)} == {WELL}, "it is slow, and has the one that slow ones may have"
    watched.now += 26
    watched.carry(watched.lines[1], WELL, 0.05)
    assert watched.hanging.look() == set()
    [other] = {SLOW, "slow2.example.org"} - {slow}
    assert {watched.take() for _ in range(5)} == {WELL, other}


def test_one_letter_that_is_stuck_is_told_once_when_its_domain_is_well_again() -> None:
    watched = Watched()
    watched.hang(SLOW)
    watched.now += 0.1
    watched.carry(watched.lines[1], SLOW, 0.05)
    assert not watched.hanging.hangs(SLOW)
    watched.now += 5
    watched.carry(watched.lines[2], WELL, 0.05)
    assert watched.hanging.look() == set()
    assert not watched.hanging.hangs(SLOW)


def test_of_many_slow_domains_those_with_no_letter_left_are_forgotten() -> None:
    watched = Watched()
    watched.backlog.put(some(SLOW, 1))
    for domain in (SLOW, *(f"slow{number}.example.org" for number in range(70))):
        watched.hang(domain)
        watched.hanging.arrived(watched.lines[0], 2.0)
    watched.hanging.look()
    assert watched.hanging.hangs(SLOW)
    assert not watched.hanging.hangs("slow7.example.org")


def test_it_may_hold_more_when_others_have_letters_for_a_few_connections_only() -> None:
    watched = with_letters_to_a_slow_domain()
    watched.begin(watched.lines[0], SLOW)
    assert [watched.take(), watched.take()] == [SLOW, None]
    watched.now += 0.6
    watched.backlog.put(some(WELL, 1, 30))
    assert [watched.take(), watched.take()] == [WELL, None], "one every half second, of a domain that asks for no more"
    watched.now += 0.6
    assert watched.take() == SLOW


def test_connections_that_wait_for_a_permit_are_not_to_spare() -> None:
    watched = with_letters_to_a_slow_domain()
    assert [watched.take(), watched.take()] == [SLOW, None]
    watched.lines[0].share.limited = True
    watched.backlog.put(some(WELL, 1, 30))
    assert watched.take() == WELL
    watched.now += 1.2
    assert watched.take() is None


def test_it_holds_one_connection_again_when_others_have_letters_for_most() -> None:
    watched = with_letters_to_a_slow_domain()
    assert [watched.take(), watched.take()] == [SLOW, None]
    for line in watched.lines[:8]:
        watched.begin(line, WELL)
    watched.backlog.put(some(WELL, 1, 30))
    assert watched.take() == WELL
    watched.now += 1.2
    assert watched.take() is None


def test_nobody_is_asked_when_all_domains_are_known_and_none_hangs() -> None:
    watched = Watched()
    watched.backlog.put([*some(WELL, 3), *some(SLOW, 3, 10)])
    watched.hanging.look()
    assert watched.hanging.wary
    watched.carry(watched.lines[0], WELL, 0.05)
    watched.carry(watched.lines[0], SLOW, 0.05)
    watched.hanging.look()
    assert not watched.hanging.wary


def test_of_a_domain_that_has_not_answered_yet_no_letter_is_laid_ready_and_some_connections_are_left() -> None:
    watched = Watched()
    watched.backlog.put(some(DEAD, 20))
    assert watched.backlog.take(watched.hanging.allows_ahead) is not None
    assert watched.backlog.take(watched.hanging.allows_ahead) is None
    assert [watched.take() for _ in range(8)] == [DEAD] * 7 + [None]
    watched.carry(watched.lines[0], DEAD, 0.05)
    assert watched.backlog.take(watched.hanging.allows_ahead) is not None


@SQLITE_ONLY
async def test_a_dead_and_a_slow_domain_hold_one_connection_each_and_then_get_their_letters(
    store: Store, home: Path
) -> None:
    others = {f"well{number}.example.org": 40 for number in range(8)}
    async with FaultServer(dot=OK.after(0.1)) as server:
        server.rcpt_to[DEAD] = HANG
        server.dot_to[SLOW] = OK.after(2)
        last = {DEAD: 20, SLOW: 5}  # claimed when all others are in hand: a domain may have what is left over by them
        kit = await a_sending_kit(store, home, server, {**others, **last}, connections=10)
        async with sender(kit, "worker") as post:
            stopping = asyncio.Event()
            draining = asyncio.create_task(post.drain(stopping))
            async with asyncio.timeout(30):
                await server.until(lambda: len(server.taken) - server.taken.count(SLOW) == 320)
                proposed, meanwhile, most = server.proposed(DEAD), server.taken.count(SLOW), server.most_at_once[SLOW]
                await server.until(lambda: server.taken.count(SLOW) == 5)
            stopping.set()
            server.hang_up()
            await asyncio.wait_for(draining, 20)
        await kit.renderer.aclose()
    assert proposed == 1
    assert most == 1
    assert meanwhile >= 1, "it waited for nobody else"


@SQLITE_ONLY
async def test_a_domain_that_is_well_again_gets_its_letters_among_the_others(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hanging, "_LOOK", 0.05)
    async with FaultServer(dot=OK.after(0.05)) as server:
        server.rcpt_to[SLOW] = [*[say("250 2.1.5 Ok").after(1.7)] * 2, say("250 2.1.5 Ok")]
        kit = await a_sending_kit(store, home, server, {SLOW: 20, WELL: 160}, connections=4)
        async with sender(kit, "worker") as post:
            await asyncio.wait_for(post.drain(asyncio.Event()), 30)
        await kit.renderer.aclose()
    assert Counter(server.taken) == {SLOW: 20, WELL: 160}
    assert server.taken[-1] == WELL
    assert server.taken.index(SLOW) > 20


async def test_a_dead_domain_that_is_alone_leaves_a_connection_for_what_comes(store: Store, home: Path) -> None:
    async with FaultServer() as server:
        server.rcpt_to[DEAD] = HANG
        kit = await a_sending_kit(store, home, server, {DEAD: 12})
        async with sender(kit, "worker") as post:
            draining = asyncio.create_task(post.drain(stopping := asyncio.Event()))
            async with asyncio.timeout(20):
                await server.until(lambda: server.proposed(DEAD) == 3)
                await some_readers(kit, [Reader(1, domain=WELL)], "friends")
                await campaigning.create(kit, "late", replace(EVERY, lists=("friends",)))
                await campaigning.approve(kit, "late")
                await planning.send_now(kit, "late")
                await freezing.freeze_due(kit)
                await freezing.start_due(kit)
                began = time.monotonic()
                await server.until(lambda: server.taken == [WELL])
            assert time.monotonic() - began < 5, (
                "a reply to RCPT is awaited for ten here, and for five minutes elsewhere"
            )
            assert server.proposed(DEAD) == 3
            stopping.set()
            server.hang_up()
            await asyncio.wait_for(draining, 20)
        await kit.renderer.aclose()
