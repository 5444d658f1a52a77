"""A relay that knows none of our readers stops the edition, not the list; a domain that refuses us is left in peace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import func, select

from campaign.actions import alerting, breaking, campaigning, freezing, planning, reporting
from campaign.actions.kit import Kit
from campaign.actions.sending import sender
from campaign.clock import SystemClock
from campaign.domain.addresses import Address
from campaign.domain.campaigns import Definition
from campaign.domain.editions import EditionState
from campaign.domain.replies import Answer, Phase, Reply, judge
from campaign.mail.smtp import SmtpOptions, SmtpTransport
from campaign.runtime.daemon import Bell, Daemon
from campaign.store import paces
from campaign.store.engine import Store
from campaign.store.schema.people import suppressions
from tests.builders import Reader, a_kit, fresh_articles, some_readers
from tests.clocks import FrozenClock


async def _refuses_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A relay that says of every mailbox that it does not exist."""
    writer.write(b"220 sink.example.org\r\n")
    while line := await reader.readline():
        verb = line[:4].upper()
        answer = {b"RCPT": b"550 5.1.1 no such mailbox", b"DATA": b"503 5.5.1 no", b"QUIT": b"221 bye"}.get(
            verb, b"250 ok"
        )
        writer.write(answer + b"\r\n")
        await writer.drain()
        if verb == b"QUIT":
            break
    writer.close()
    await writer.wait_closed()


async def test_more_than_five_per_cent_of_unknown_mailboxes_pause_the_edition_and_a_person_decides(
    store: Store, home: Path
) -> None:
    server = await asyncio.start_server(_refuses_all, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    relay = SmtpTransport(SmtpOptions.from_url(f"smtp://127.0.0.1:{port}?tls=none"))
    kit = a_kit(store, SystemClock(), home, relay, connections=2)
    await some_readers(kit, 80)
    await fresh_articles(kit)
    await campaigning.create(kit, "news", Definition(every="first monday", lists=("supporters",), zone="UTC"))
    await campaigning.approve(kit, "news")
    edition = await planning.send_now(kit, "news")
    bell = Bell()
    await asyncio.wait_for(Daemon(replace(kit, doorbell=bell), bell, asyncio.Event()).run(until_idle=True), 60)
    [count] = await reporting.counts(kit, str(edition.id))
    assert count.edition.state is EditionState.PAUSED
    assert count.edition.note == breaking.NOTE
    assert breaking.MOST < count.by_state["refused"] < 40, "a handful were on their way"
    assert count.reconciled
    [told] = await alerting.told(kit)
    assert told.standing.topic == f"edition:{edition.id}:breaker"
    async with store.read() as tx:
        assert (await tx.execute(select(func.count()).select_from(suppressions))).scalar_one() == count.by_state[
            "refused"
        ]
    await campaigning.resume(kit, edition.id)
    assert not await breaking.Breakers(kit).look(edition.id), "who resumes it has decided"
    await kit.renderer.aclose()
    server.close()
    await server.wait_closed()


class MovedClock(SystemClock):
    """Goes as all clocks do, and can be set forward."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


class Elsewhere(Reader):
    """A reader at a domain that takes our letters for spam."""

    @property
    def address(self) -> Address:
        return Address(f"reader-{self.number:02}", "example.net")


class Blocking:
    """A relay that refuses every letter to one domain at its dot, as often as it is told to, and keeps the others."""

    def __init__(self, refusals: int = 1000, status: str = "5.7.1") -> None:
        self.refusals, self.status = refusals, status
        self.taken: list[str] = []
        self.refused = 0

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recipient, in_body = "", False
        writer.write(b"220 sink.example.org\r\n")
        while line := (await reader.readline()).decode():
            verb, answer = line[:4].upper().strip(), "250 ok"
            if in_body:
                if line != ".\r\n":
                    continue
                in_body, answer = False, self._judge(recipient)
            elif verb == "RCPT":
                recipient = line.partition("<")[2].partition(">")[0]
            elif verb == "DATA":
                in_body, answer = True, "354 go on"
            writer.write(f"{answer}\r\n".encode())
            await writer.drain()
            if verb == "QUIT":
                break
        writer.close()

    def _judge(self, recipient: str) -> str:
        if recipient.endswith("@example.net") and self.refused < self.refusals:
            self.refused += 1
            name = recipient.partition("@")[0].capitalize().replace("-", " ")
            return f"550 {self.status} letter to {name} <{recipient}> blocked, see https://example.net/blocked"
        self.taken.append(recipient)
        return "250 2.0.0 taken"


@asynccontextmanager
async def an_edition_under_way(store: Store, home: Path, relay: Blocking) -> AsyncIterator[Kit]:
    server = await asyncio.start_server(relay.meet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = SmtpTransport(SmtpOptions.from_url(f"smtp://127.0.0.1:{port}?tls=none", name="main"))
    kit = a_kit(store, MovedClock(), home, transport, connections=1, alerts=(Address("office", "example.org"),))
    await some_readers(kit, [*(Elsewhere(n) for n in range(1, 31)), *(Reader(n) for n in range(31, 41))])
    await fresh_articles(kit)
    await campaigning.create(kit, "news", Definition(every="first monday", lists=("supporters",), zone="UTC"))
    await campaigning.approve(kit, "news")
    await planning.send_now(kit, "news")
    await freezing.freeze_due(kit)
    await freezing.start_due(kit)
    try:
        yield kit
    finally:
        await kit.renderer.aclose()
        server.close()
        await server.wait_closed()


async def drain(kit: Kit, times: int = 1) -> None:
    async with sender(kit, "worker") as post:
        for _ in range(times):
            await asyncio.wait_for(post.drain(asyncio.Event()), 20)


async def held_for(kit: Kit) -> timedelta:
    """For how long the domain is held back."""
    async with kit.store.read() as tx:
        [until] = [one.paused_until for one in await paces.every(tx, "main") if one.domain == "example.net"]
    assert until is not None
    return until - kit.clock.now()


async def test_the_tenth_refusal_for_our_sake_holds_the_domain_back_and_no_other(store: Store, home: Path) -> None:
    relay = Blocking()
    async with an_edition_under_way(store, home, relay) as kit:
        await drain(kit, 2)
        assert relay.refused == 10
        assert sorted(relay.taken) == ["office@example.org", *(f"reader-{n}@example.org" for n in range(31, 41))]
        [count] = [one for one in await reporting.counts(kit, "news") if one.edition.step == "extra"]
        assert count.by_state == {"queued": 20, "refused": 10, "accepted": 10}
        assert count.reconciled
        [one] = await alerting.told(kit)
        assert one.standing.topic == "domain:main:example.net:policy"
        assert one.standing.said.startswith("550 5.7.1 letter to … <r…@example[.]net> blocked")
        assert timedelta(minutes=59) < await held_for(kit) <= timedelta(hours=1)
        async with store.read() as tx:
            assert (await tx.execute(select(func.count()).select_from(suppressions))).scalar_one() == 0, (
                "nobody's fault"
            )


async def test_it_goes_on_when_a_person_says_so_and_rests_longer_when_that_was_too_early(
    store: Store, home: Path
) -> None:
    relay = Blocking(refusals=20)
    async with an_edition_under_way(store, home, relay) as kit:
        clock = kit.clock
        assert isinstance(clock, MovedClock)
        await drain(kit, 2)
        clock.ahead = timedelta(minutes=61)
        await drain(kit, 2)
        assert relay.refused == 20
        assert timedelta(minutes=119) < await held_for(kit) <= timedelta(hours=2)
        await alerting.resolve(kit, "domain:main:example.net:policy")
        await drain(kit)
        assert len([one for one in relay.taken if one.endswith("example.net")]) == 10
        assert await alerting.told(kit) == []


async def test_an_edition_stops_at_exactly_the_twenty_sixth_also_when_the_dot_is_refused(
    store: Store, home: Path
) -> None:
    """The answer to a dot is not waited for, unless it is one that the breaker counts."""
    relay = Blocking(status="5.1.1")
    async with an_edition_under_way(store, home, relay) as kit:
        await drain(kit, 2)
        assert relay.refused == 26
        [count] = [one for one in await reporting.counts(kit, "news") if one.edition.step == "extra"]
        assert count.edition.state is EditionState.PAUSED
        assert relay.taken[-1] == "office@example.org", "operators hear of it at once"


def test_answers_that_end_no_letter_and_other_domains_do_not_count(store: Store, home: Path) -> None:
    breakers = breaking.Breakers(a_kit(store, FrozenClock(), home))
    heard = partial(breakers.heard, "main")
    later = judge(Answer(Phase.RCPT, Reply.parse(450, ["4.2.0 later"])), first_attempt=True)
    taken = judge(Answer(Phase.DOT, Reply.parse(250, ["ok"])), first_attempt=True)
    spam = judge(Answer(Phase.DOT, Reply.parse(554, ["this is spam"])), first_attempt=True)
    assert not any(heard("example.org", spam) for _ in range(9))
    assert not any(heard("example.org", later) for _ in range(500))
    assert not heard("example.net", spam)
    assert not breakers.heard("spare", "example.org", spam)
    assert heard("example.org", spam)
    assert not any(heard("example.net", taken) for _ in range(200))
    assert not any(heard("example.net", spam) for _ in range(9)), "what was long ago is forgotten"
