"""The next letter is proposed in one breath with the dot: what that saves, and what it must never mix up."""

from __future__ import annotations

import asyncio
import re

import pytest

from campaign.domain.replies import Answer, Outcome, Phase, judge
from campaign.mail.terms import PhaseTimeouts
from campaign.mail.transport import Envelope
from tests.mail.fault_server import ALL_OFFERS, Act, FaultServer, listening, say
from tests.mail.letters import BODY, LONG, Token, conversation, envelope
from tests.mail.test_faults import FAULTS, name, patience

FIRST, SECOND = envelope("reader-01@example.org"), envelope("reader-02@example.org")
GOOD = {
    "mail": say("250 2.1.0 Ok"),
    "rcpt": say("250 2.1.5 Ok"),
    "data": say("354 go"),
    "body": Act(),
    "dot": say("250 2.0.0 Ok: queued"),
}
LATER = [fault for fault in FAULTS if fault[0] in GOOD]


def upcoming(to: Envelope = SECOND, body: bytes = BODY) -> tuple[Envelope, bytes]:
    return to, body


async def two(server: FaultServer, token: Token | None = None, timeouts: PhaseTimeouts = LONG) -> tuple[Answer, Answer]:
    """Deliver a letter, and the one that was proposed with its dot."""
    async with conversation(server.port, timeouts) as opened:
        first = await opened.deliver(FIRST, BODY, Token(), upcoming)
        assert opened.engaged or not opened.usable
        return first, await opened.deliver(SECOND, BODY, token or Token())


async def test_the_next_letter_is_asked_for_before_the_dot_is_answered() -> None:
    """This server answers nothing after a dot until it has read the next DATA."""
    read: list[bytes] = []

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def until(end: bytes) -> None:
            read.append(await reader.readuntil(end))

        writer.write(b"220 patient\r\n")
        await until(b"\r\n")
        writer.write(b"250-patient\r\n250 PIPELINING\r\n")
        await until(b"DATA\r\n")
        writer.write(b"250 Ok\r\n250 Ok\r\n354 go\r\n")
        await until(b"\r\n.\r\nMAIL FROM:<news@example.net>\r\nRCPT TO:<reader-02@example.org>\r\nDATA\r\n")
        writer.write(b"250 first\r\n250 Ok\r\n250 Ok\r\n354 go\r\n")
        await until(b"\r\n.\r\n")
        writer.write(b"250 second\r\n")
        await until(b"QUIT\r\n")

    async with listening(meet) as port, conversation(port) as opened:
        first = await opened.deliver(FIRST, BODY, Token(), upcoming)
        second = await opened.deliver(SECOND, BODY, Token())
    assert [answer.reply and answer.reply.text for answer in (first, second)] == ["first", "second"]
    assert len(read) == 5


@pytest.mark.parametrize("fault", LATER, ids=name)
async def test_a_fault_that_meets_the_proposed_letter(
    fault: tuple[str, Act, Phase, str | int, Outcome, bool],
) -> None:
    moment, act, phase, said, outcome, held = fault
    async with FaultServer(**{moment: [GOOD[moment], act]}) as server:
        first, second = await two(server, Token(pause=0.05 if moment == "body" else 0.0), patience(fault))
    assert judge(first, first_attempt=True).outcome is Outcome.ACCEPTED
    assert second.phase is phase
    assert (second.reply.code if second.reply is not None else second.fault) == said
    assert judge(second, first_attempt=True).outcome is outcome
    assert len(server.held) == 1 + held


@pytest.mark.parametrize("act", [say("451 4.3.0 disk"), say("550 5.7.1 no"), say("OK"), Act(then="drop")])
async def test_after_a_dot_that_was_not_accepted_the_proposed_letter_is_not_begun(act: Act) -> None:
    async with FaultServer(dot=act) as server, conversation(server.port) as opened:
        first = await opened.deliver(FIRST, BODY, Token(), upcoming)
        assert judge(first, first_attempt=True).outcome is not Outcome.ACCEPTED
        assert not opened.usable
        token = Token()
        second = await opened.deliver(SECOND, BODY, token)
    assert (second.phase, token.asked) == (Phase.MAIL, 0)
    assert judge(second, first_attempt=True).outcome is Outcome.AGAIN
    assert len(server.held) == 1


async def test_one_reply_too_many_never_passes_for_the_answer_to_another_letter() -> None:
    async with FaultServer(dot=say("250 2.0.0 Ok", "250 2.0.0 and more")) as server:
        token = Token()
        first, second = await two(server, token)
        assert judge(first, first_attempt=True).outcome is Outcome.ACCEPTED
        assert judge(second, first_attempt=True).outcome is Outcome.AGAIN
        assert token.asked == 0
        assert len(server.held) == 1, "no body went out on answers that were another's"


async def test_nothing_is_proposed_to_a_server_that_takes_one_command_at_a_time() -> None:
    async with FaultServer(ALL_OFFERS[1:]) as server, conversation(server.port) as opened:
        await opened.deliver(FIRST, BODY, Token(), upcoming)
        assert not opened.engaged
        assert server.verbs.count("MAIL") == 1


@pytest.mark.parametrize(
    ("to", "body"),
    [(SECOND, b"x" * 70 + b"\r\n" * 600_000), (envelope("lëser@example.org"), BODY), (SECOND, b"bare\n")],
    ids=["over SIZE", "needs SMTPUTF8", "bare LF"],
)
async def test_a_letter_that_the_server_cannot_take_is_not_proposed(to: Envelope, body: bytes) -> None:
    offers = [offer for offer in ALL_OFFERS if offer != "SMTPUTF8"]
    async with FaultServer(offers) as server, conversation(server.port) as opened:
        first = await opened.deliver(FIRST, BODY, Token(), lambda: (to, body))
        assert judge(first, first_attempt=True).outcome is Outcome.ACCEPTED
        assert not opened.engaged
        refused = await opened.deliver(to, body, Token())
        assert judge(refused, first_attempt=True).outcome is Outcome.REFUSED
        assert opened.usable, "refused for that person only"


async def test_another_letter_than_the_proposed_one_is_refused_and_no_dot_is_written() -> None:
    async with FaultServer() as server, conversation(server.port) as opened:
        await opened.deliver(FIRST, BODY, Token(), upcoming)
        with pytest.raises(RuntimeError, match="Another letter"):
            await opened.deliver(FIRST, BODY, Token())
        assert not opened.usable
    assert len(server.held) == 1


async def test_who_closes_with_a_proposed_letter_writes_neither_body_nor_dot() -> None:
    async with FaultServer() as server:
        async with conversation(server.port) as opened:
            await opened.deliver(FIRST, BODY, Token(), upcoming)
            assert opened.engaged
        await asyncio.sleep(0.05)
        assert len(server.held) == 1
        assert "QUIT" not in server.verbs


async def test_a_letter_without_its_token_proposes_no_other() -> None:
    asked = []
    async with FaultServer() as server, conversation(server.port) as opened:
        answer = await opened.deliver(FIRST, BODY, Token(answer=False), lambda: asked.append(1) or upcoming())
    assert judge(answer, first_attempt=True).outcome is Outcome.WITHHELD
    assert (asked, server.held) == ([], [])


async def test_many_letters_in_a_row_arrive_each_once_and_in_order() -> None:
    letters = [(envelope(f"reader-{n:02}@example.org"), b"Subject: %d\r\n\r\n.%d\r\n" % (n, n)) for n in range(50)]
    async with FaultServer() as server, conversation(server.port) as opened:
        for at, (to, body) in enumerate(letters):
            following = letters[at + 1] if at + 1 < len(letters) else None
            answer = await opened.deliver(to, body, Token(), lambda following=following: following)
            assert judge(answer, first_attempt=True).outcome is Outcome.ACCEPTED
        assert opened.delivered == 50
    assert server.held == [body for _, body in letters]
    found = re.findall(rb"RCPT TO:<([^>]*)>", b"".join(server.commands))
    assert found == [to.recipient.wire.encode() for to, _ in letters]
