"""What becomes of a letter when something of ours breaks while it flies: nothing doubled, and no needless doubt."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from campaign.actions import braking, campaigning, freezing, planning, publishing
from campaign.actions.committing import Committer
from campaign.actions.kit import Kit
from campaign.actions.sending import sender
from campaign.clock import SystemClock
from campaign.domain.campaigns import Definition
from campaign.domain.delivery import TOKEN_LIFE, State
from campaign.domain.replies import Answer, Phase, Reply
from campaign.mail.transport import BeforeDot, Envelope, Upcoming
from campaign.store import relays
from campaign.store.engine import DatabaseAway, Store
from campaign.store.ledger import Token
from campaign.store.schema.ledger import deliveries, delivery_replies
from campaign.store.writer import Writer
from tests.builders import a_kit, some_readers
from tests.clocks import FrozenClock


class Relay:
    """A relay in this process, and at the same time its one conversation; it answers the dot as it is told to."""

    name = "main"
    size_limit = None
    smtputf8 = usable = True
    engaged = False
    delivered = 0
    opened_at = 0.0

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.dots: list[str] = []

    async def open(self) -> Relay:
        self.opened_at = asyncio.get_running_loop().time()
        return self

    async def deliver(
        self, envelope: Envelope, _body: bytes, before_dot: BeforeDot, upcoming: Upcoming | None = None
    ) -> Answer:
        if not await before_dot():
            return Answer(Phase.BODY, None, "withheld")
        self.dots.append(envelope.recipient.wire)
        return Answer(Phase.DOT, self.reply)

    async def close(self) -> None:
        pass


YES = Reply.parse(250, ["2.0.0 Ok"])
EVERY = Definition(every="first monday", lists=("supporters",), zone="UTC")


async def a_sending_kit(store: Store, home: Path, relay: Relay, people: int = 3, connections: int = 1) -> Kit:
    kit = a_kit(store, SystemClock(), home, relay, connections=connections)
    await some_readers(kit, people)
    await publishing.import_starters(kit)
    await campaigning.create(kit, "news", EVERY)
    await campaigning.approve(kit, "news")
    await planning.send_now(kit, "news")
    await freezing.freeze_due(kit)
    await freezing.start_due(kit)
    return kit


async def drain(kit: Kit) -> None:
    for _ in range(2):
        async with sender(kit, "worker") as post:
            await post.drain(asyncio.Event())
    await kit.renderer.aclose()


async def states(kit: Kit) -> list[State]:
    async with kit.store.read() as tx:
        return list((await tx.execute(select(deliveries.c.state))).scalars())


async def test_what_was_accepted_stays_so_when_the_relay_cannot_be_called_well(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise OSError("the database is away")

    monkeypatch.setattr(relays, "well", away)
    relay = Relay(YES)
    kit = await a_sending_kit(store, home, relay)
    await drain(kit)
    assert await states(kit) == [State.ACCEPTED] * 3
    assert len(relay.dots) == len(set(relay.dots)) == 3


async def test_a_token_that_is_on_disk_though_nobody_was_told_leaves_no_doubt(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = Committer.token

    async def token(self: Committer, wanted: Token, meanwhile: Any) -> bool:
        granted = await real(self, wanted, meanwhile)
        asked.append(wanted.id)
        if len(asked) == 1:
            raise OSError("the line broke while it committed")
        return granted

    monkeypatch.setattr(Committer, "token", token)
    relay = Relay(YES)
    kit = await a_sending_kit(store, home, relay)
    await drain(kit)
    assert await states(kit) == [State.ACCEPTED] * 3
    assert len(relay.dots) == len(set(relay.dots)) == 3
    assert len(asked) == 4, "the letter of the broken token was tried once more"


async def test_a_token_that_grew_old_while_its_worker_stood_still_writes_no_dot(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is stopped between its token and its dot wakes when others may have sent the letter."""
    asked: list[int] = []
    real = Committer.token

    async def token(self: Committer, wanted: Token, meanwhile: Any) -> bool:
        granted = await real(self, wanted, meanwhile)
        asked.append(wanted.id)
        if len(asked) == 1:
            clock.advance(TOKEN_LIFE + timedelta(seconds=1))
        return granted

    monkeypatch.setattr(Committer, "token", token)
    kit = await a_sending_kit(store, home, relay := Relay(YES))
    clock = FrozenClock(SystemClock().now())
    kit = replace(kit, clock=clock)
    await drain(kit)
    assert await states(kit) == [State.ACCEPTED] * 3
    assert len(relay.dots) == len(set(relay.dots)) == 3
    assert len(asked) == 4, "the letter of the old token was tried once more, with a new one"
    async with kit.store.read() as tx:
        assert list((await tx.execute(select(deliveries.c.attempts))).scalars()) == [1, 1, 1]


class Late(SystemClock):
    """A clock that can be put forward."""

    by = timedelta()

    def now(self) -> datetime:
        return super().now() + self.by


async def test_a_letter_that_was_made_in_time_and_waited_too_long_does_not_go(store: Store, home: Path) -> None:
    clock = Late()

    class Lingering(Relay):
        async def deliver(
            self, envelope: Envelope, body: bytes, before_dot: BeforeDot, upcoming: Upcoming | None = None
        ) -> Answer:
            answer = await super().deliver(envelope, body, before_dot)
            if len(self.dots) == 17:  # the letters of the second pile are made by now
                clock.by = timedelta(days=30)
            return answer

    kit = await a_sending_kit(store, home, Lingering(YES), people=20)
    await drain(replace(kit, clock=clock))
    assert Counter(await states(kit)) == {State.ACCEPTED: 17, State.EXPIRED: 3}


async def test_a_relay_s_words_are_kept_without_the_address_they_quote(store: Store, home: Path) -> None:
    relay = Relay(Reply.parse(554, ["5.3.0 <reader-01@example.org> is not liked here"]))
    kit = await a_sending_kit(store, home, relay, people=1)
    await drain(kit)
    async with kit.store.read() as tx:
        [words] = (await tx.execute(select(delivery_replies.c.text))).scalars()
    assert "reader-01" not in words
    assert "is not liked here" in words


class Slow(Relay):
    """It says nothing to the first dot until it is told to."""

    def __init__(self) -> None:
        super().__init__(YES)
        self.over = asyncio.Event()
        self.heard: asyncio.Queue[Answer] = asyncio.Queue()

    async def deliver(
        self, envelope: Envelope, body: bytes, before_dot: BeforeDot, upcoming: Upcoming | None = None
    ) -> Answer:
        first = not self.dots
        answer = await super().deliver(envelope, body, before_dot)
        self.heard.put_nowait(answer)
        if first:
            await self.over.wait()
        return answer


async def test_letters_that_fall_due_do_not_wait_for_the_slowest_reply(store: Store, home: Path) -> None:
    relay = Slow()
    kit = await a_sending_kit(store, home, relay, people=1, connections=2)
    async with sender(kit, "worker") as post:
        draining = asyncio.create_task(post.drain(asyncio.Event()))
        await asyncio.wait_for(relay.heard.get(), 5)
        await planning.send_now(kit, "news")
        await freezing.freeze_due(kit)
        await freezing.start_due(kit)
        await asyncio.wait_for(relay.heard.get(), 5)
        assert not draining.done()
        relay.over.set()
        assert await asyncio.wait_for(draining, 5) == 2
    await kit.renderer.aclose()
    assert await states(kit) == [State.ACCEPTED] * 2


class Hasty(Relay):
    """Somebody pulls the brake while its second letter is on the wire."""

    kit: Kit

    async def deliver(
        self, envelope: Envelope, body: bytes, before_dot: BeforeDot, upcoming: Upcoming | None = None
    ) -> Answer:
        if self.delivered == 1:
            await braking.pull(self.kit, "the wrong list")
        self.delivered += 1
        return await super().deliver(envelope, body, before_dot, upcoming)


async def test_the_brake_sends_all_that_is_in_hand_back_and_says_so_once(store: Store, home: Path) -> None:
    relay = Hasty(YES)
    relay.kit = kit = await a_sending_kit(store, home, relay, people=20)
    with capture_logs() as logs:
        await drain(kit)
        assert sorted(await states(kit)) == [State.ACCEPTED, *[State.QUEUED] * 19]
        assert relay.delivered == 2, "the other letters were not even proposed"
        async with kit.store.read() as tx:
            assert sum((await tx.execute(select(deliveries.c.attempts))).scalars()) == 1
        async with sender(kit, "worker") as post:
            assert [await post.drain(asyncio.Event()) for _ in range(2)] == [0, 0]
            await braking.release(kit)
            assert await post.drain(asyncio.Event()) == 19
    assert [log["event"] for log in logs if log["event"].startswith("brake")][-2:] == ["brake_is_on", "brake_is_off"]
    assert {*await states(kit)} == {State.ACCEPTED}


class Orphan(Relay):
    """The database goes away while its second letter is on the wire, and comes back a while after that is noticed."""

    away = False

    def noticed(self) -> None:
        asyncio.get_running_loop().call_later(0.3, setattr, self, "away", False)

    async def deliver(
        self, envelope: Envelope, body: bytes, before_dot: BeforeDot, upcoming: Upcoming | None = None
    ) -> Answer:
        self.delivered += 1
        if self.delivered == 2:
            self.away = True
        return await super().deliver(envelope, body, before_dot, upcoming)


async def test_a_database_that_goes_away_ends_the_drain_and_charges_nobody(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(real: Any) -> Any:
        async def tried(self: Writer, *work: Any) -> Any:
            if relay.away:
                relay.noticed()
                raise DatabaseAway("It is gone.", remedy="Wait.")
            return await real(self, *work)

        return tried

    monkeypatch.setattr(Writer, "run", cut_off(Writer.run))
    monkeypatch.setattr(Writer, "attempt", cut_off(Writer.attempt))
    relay = Orphan(YES)
    kit = await a_sending_kit(store, home, relay, people=20)
    with capture_logs() as logs:
        await drain(kit)
    assert await states(kit) == [State.ACCEPTED] * 20
    assert len(relay.dots) == len(set(relay.dots)) == 20
    assert relay.delivered == 21, "no other letter was proposed in vain"
    async with kit.store.read() as tx:
        assert {*(await tx.execute(select(deliveries.c.attempts))).scalars()} == {1}
    assert not [log for log in logs if log["log_level"] == "error"], "the store tells it once for all"
