"""The wire's faults, one by one: what the server did, what we say about it, and whether it held the letter."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.replies import Answer, Outcome, Phase, Reason, Scope, judge
from campaign.mail.dialogue import LINE_LIMIT, LINES_LIMIT, ReplyReader, WireFault
from campaign.mail.smtp import Tls
from campaign.mail.terms import PhaseTimeouts
from campaign.mail.transport import TransportFault
from tests.mail.fault_server import ALL_OFFERS, DROP, HANG, RESET, Act, FaultServer, listening, raw, say
from tests.mail.letters import BODY, LONG, Token, conversation, envelope, impatient, relay, send

SAFE, DOUBT = Outcome.AGAIN, Outcome.IN_DOUBT
HALF, CUT = raw(b"250 2.0.0 O", "drop"), raw(b"250-2.0.0 Ok\r\n", "drop")

FAULTS: list[tuple[str, Act, Phase, str | int, Outcome, bool]] = [
    ("ehlo", DROP, Phase.EHLO, "drop", SAFE, False),
    ("mail", DROP, Phase.MAIL, "drop", SAFE, False),
    ("rcpt", DROP, Phase.RCPT, "drop", SAFE, False),
    ("data", DROP, Phase.DATA, "drop", SAFE, False),
    ("body", DROP, Phase.BODY, "drop", SAFE, False),
    ("mail", HANG, Phase.MAIL, "timeout", SAFE, False),
    ("data", HANG, Phase.DATA, "timeout", SAFE, False),
    ("mail", say("421 4.3.2 closing").and_then("drop"), Phase.MAIL, 421, SAFE, False),
    ("rcpt", say("421 4.3.2 closing").and_then("drop"), Phase.RCPT, 421, SAFE, False),
    ("data", say("421 4.3.2 closing").and_then("drop"), Phase.DATA, 421, SAFE, False),
    ("rcpt", say("450 4.2.0 greylisted"), Phase.RCPT, 450, SAFE, False),
    ("dot", DROP, Phase.DOT, "drop", DOUBT, True),
    ("dot", RESET, Phase.DOT, "drop", DOUBT, True),
    ("dot", HANG, Phase.DOT, "timeout", DOUBT, True),
    ("dot", HALF, Phase.DOT, "drop", DOUBT, True),
    ("dot", CUT, Phase.DOT, "drop", DOUBT, True),
    ("dot", say("421 4.3.2 closing").and_then("drop"), Phase.DOT, 421, SAFE, True),
    ("dot", say("451 4.3.0 disk"), Phase.DOT, 451, SAFE, True),
    ("dot", say("550 5.7.1 no"), Phase.DOT, 550, Outcome.REFUSED, True),
    ("dot", say("251 will forward"), Phase.DOT, 251, Outcome.ACCEPTED, True),
    ("quit", DROP, Phase.DOT, 250, Outcome.ACCEPTED, True),
    ("quit", HANG, Phase.DOT, 250, Outcome.ACCEPTED, True),
    ("rcpt", say("550 5.1.1 nobody"), Phase.RCPT, 550, Outcome.REFUSED, False),
    ("data", say("550 5.7.1 no"), Phase.DATA, 550, Outcome.REFUSED, False),
    # beyond the table of the study
    ("greeting", DROP, Phase.GREETING, "drop", SAFE, False),
    ("greeting", RESET, Phase.GREETING, "drop", SAFE, False),
    ("greeting", HANG, Phase.GREETING, "timeout", SAFE, False),
    ("greeting", say("421 4.3.2 too busy"), Phase.GREETING, 421, SAFE, False),
    ("greeting", say("554 5.7.1 not you"), Phase.GREETING, 554, SAFE, False),
    ("greeting", say("hello there"), Phase.GREETING, "garbled", SAFE, False),
    ("ehlo", HANG, Phase.EHLO, "timeout", SAFE, False),
    ("ehlo", say("421 4.3.2 closing"), Phase.EHLO, 421, SAFE, False),
    ("ehlo", raw(b"x" * 1_000_000 + b"\r\n"), Phase.EHLO, "garbled", SAFE, False),
    ("mail", RESET, Phase.MAIL, "drop", SAFE, False),
    ("mail", say("451 4.3.0 no"), Phase.MAIL, 451, SAFE, False),
    ("mail", say("550 5.1.8 unknown sender"), Phase.MAIL, 550, SAFE, False),
    ("mail", say("552 5.3.4 too big"), Phase.MAIL, 552, Outcome.REFUSED, False),
    ("mail", say("2500 odd"), Phase.MAIL, "garbled", SAFE, False),
    ("mail", raw(b"25", "drop"), Phase.MAIL, "drop", SAFE, False),
    ("rcpt", HANG, Phase.RCPT, "timeout", SAFE, False),
    ("rcpt", say("354 what"), Phase.RCPT, 354, SAFE, False),
    ("rcpt", say("250-Ok", "550 no"), Phase.RCPT, "garbled", SAFE, False),
    ("data", say("451 4.3.0 no"), Phase.DATA, 451, SAFE, False),
    ("data", say("250 what"), Phase.DATA, 250, SAFE, False),
    ("data", raw(b"\xff\xfe\x00\r\n"), Phase.DATA, "garbled", SAFE, False),
    ("data", raw(b"x" * 1_000_000 + b"\r\n"), Phase.DATA, "garbled", SAFE, False),
    ("body", RESET, Phase.BODY, "drop", SAFE, False),
    ("body", say("451 4.3.0 stop"), Phase.BODY, 451, SAFE, False),
    ("body", say("552 5.3.4 stop").and_then("drop"), Phase.BODY, 552, Outcome.REFUSED, False),
    ("body", say("250 2.0.0 queued early"), Phase.BODY, "garbled", SAFE, False),
    ("body", raw(b"25"), Phase.BODY, "garbled", SAFE, False),
    ("dot", say("552 5.2.2 full"), Phase.DOT, 552, Outcome.REFUSED, True),
    ("dot", say("354 more"), Phase.DOT, 354, DOUBT, True),
    ("dot", say("999 what"), Phase.DOT, "garbled", DOUBT, True),
    ("dot", say("OK"), Phase.DOT, "garbled", DOUBT, True),
    ("dot", say("250-Ok", "550 or not"), Phase.DOT, "garbled", DOUBT, True),
    ("dot", raw(b"250 " + b"x" * 1_000_000 + b"\r\n"), Phase.DOT, "garbled", DOUBT, True),
    ("dot", raw(b"250-Ok\r\n" * 200 + b"250 Ok\r\n"), Phase.DOT, "garbled", DOUBT, True),
    ("dot", say("250-2.0.0 Ok", "250 2.0.0 queued"), Phase.DOT, 250, Outcome.ACCEPTED, True),
    ("dot", raw(b"250\n"), Phase.DOT, 250, Outcome.ACCEPTED, True),
    ("dot", say("250 ok", "550 after all"), Phase.DOT, 250, Outcome.ACCEPTED, True),
]


def patience(fault: tuple[str, Act, Phase, str | int, Outcome, bool]) -> PhaseTimeouts:
    """Little where the server hangs, and much everywhere else."""
    moment, act, *_ = fault
    return impatient(moment) if act.then == "hang" else LONG


def name(fault: tuple[str, Act, Phase, str | int, Outcome, bool]) -> str:
    return f"{fault[0]}: {fault[1].words[:24]!r} {fault[1].then}"


@pytest.mark.parametrize("pipelined", [True, False], ids=["pipelined", "one by one"])
@pytest.mark.parametrize("fault", FAULTS, ids=name)
async def test_a_fault_on_the_wire(fault: tuple[str, Act, Phase, str | int, Outcome, bool], pipelined: bool) -> None:
    moment, act, phase, said, outcome, held = fault
    offers = ALL_OFFERS if pipelined else ALL_OFFERS[1:]
    async with FaultServer(offers, **{moment: act}) as server:
        pause = (
            0.05 if moment == "body" else 0.0
        )  # what the server did to the body is on its way while the token commits
        token = Token(pause=pause)
        try:
            answer = await send(server.port, token, patience(fault))
        except TransportFault as broken:
            answer = broken.answer
    assert answer.phase is phase
    assert (answer.reply.code if answer.reply is not None else answer.fault) == said
    verdict = judge(answer, first_attempt=True)
    assert verdict.outcome is outcome
    assert bool(server.held) is held
    assert held or verdict.outcome is not Outcome.IN_DOUBT
    if phase not in {Phase.BODY, Phase.DOT}:
        assert token.asked == 0


def test_all_of_the_studys_faults_are_here() -> None:
    assert len(FAULTS) >= 24
    assert {fault[0] for fault in FAULTS} >= {"ehlo", "mail", "rcpt", "data", "body", "dot", "quit"}


async def test_a_port_where_nobody_listens() -> None:
    async with FaultServer() as server:
        port = server.port
    with pytest.raises(TransportFault) as caught:
        await relay(port).open()
    assert caught.value.answer.phase is Phase.CONNECT
    assert caught.value.remedy.startswith("Check host and port")
    assert judge(caught.value.answer, first_attempt=True).scope is Scope.RELAY


async def test_a_host_that_never_answers_costs_the_time_for_connecting() -> None:
    with pytest.raises(TransportFault, match="timeout") as caught:
        await relay(25, replace(LONG, connect=0.0)).open()
    assert caught.value.answer == Answer(Phase.CONNECT, None, "timeout")


@pytest.mark.parametrize(
    ("offers", "script", "said"),
    [
        (("PIPELINING",), {}, "unsupported"),
        (("STARTTLS",), {"starttls": say("454 4.7.0 not now")}, "454"),
        (("STARTTLS",), {"starttls": say("500 5.5.1 what is that")}, "500"),
        (("STARTTLS",), {"starttls": DROP}, "drop"),
        (("STARTTLS",), {"starttls": HANG}, "timeout"),
        (("STARTTLS",), {"starttls": say("220 go", "250 injected")}, ""),
        (("STARTTLS",), {"starttls": say("220 go").and_then("drop")}, ""),
    ],
)
async def test_tls_that_is_required_but_does_not_come_about(
    offers: tuple[str, ...], script: dict[str, Act], said: str
) -> None:
    async with FaultServer(offers, **script) as server:
        with pytest.raises(TransportFault) as caught:
            await relay(server.port, impatient("tls"), tls=Tls.REQUIRED, username="user", password="secret").open()
    answer = caught.value.answer
    assert answer.phase is Phase.TLS
    assert (str(answer.reply) if answer.reply is not None else str(answer.fault)).startswith(said)
    assert judge(answer, first_attempt=True).scope is Scope.RELAY
    assert "AUTH" not in server.verbs
    assert "MAIL" not in server.verbs


@pytest.mark.parametrize("before", [b"", b"250 ok\r\n"], ids=["at MAIL", "at RCPT"])
async def test_after_a_421_no_other_answer_is_waited_for(before: bytes) -> None:
    """It answers a whole group with one 421, and keeps the line open (RFC 5321 s. 3.8)."""
    left = asyncio.Event()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (b"220 hi\r\n", b"250-busy\r\n250 PIPELINING\r\n", before + b"421 4.7.0 too many\r\n"):
            writer.write(answer)
            await reader.read(65536)
        left.set()

    async with listening(meet) as port:
        answer = await asyncio.wait_for(send(port, token := Token()), 2)
        await asyncio.wait_for(left.wait(), 2)
    assert (answer.phase, answer.reply and answer.reply.code) == (Phase.RCPT if before else Phase.MAIL, 421)
    assert judge(answer, first_attempt=True).reason is Reason.THROTTLED
    assert token.asked == 0


@pytest.mark.parametrize("offers", [ALL_OFFERS, ()], ids=["pipelined", "one by one"])
async def test_a_421_to_rset_is_heard_as_what_it_is(offers: tuple[str, ...]) -> None:
    script = {"rcpt": say("450 4.3.2 busy"), "rset": say("421 4.7.0 too many")}
    async with FaultServer(offers, **script) as server, conversation(server.port) as talk:
        await talk.deliver(envelope(), BODY, Token())
        answer = await talk.deliver(envelope(), BODY, Token())
        assert (answer.phase, answer.reply and answer.reply.code, talk.usable) == (Phase.MAIL, 421, False)


async def test_a_server_that_lies_about_pipelining_loses_only_its_own_time() -> None:
    """It says PIPELINING but throws away what came behind the first command."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (b"220 hi\r\n", b"250-liar\r\n250 PIPELINING\r\n", b"250 ok\r\n"):
            writer.write(answer)
            await reader.read(65536)
        writer.close()

    async with listening(meet) as port:
        answer = await send(port, token := Token(), impatient("rcpt"))
    assert (answer.phase, answer.fault, token.asked) == (Phase.RCPT, "timeout", 0)


async def test_after_a_refusal_the_next_letter_opens_with_rset() -> None:
    for offers in (ALL_OFFERS, ()):
        rcpt = [say("550 5.1.1 nobody"), say("250 2.1.5 Ok")]
        async with FaultServer(offers, rcpt=rcpt) as server, conversation(server.port) as talk:
            refused = await talk.deliver(envelope(), BODY, token := Token())
            assert (refused.phase, token.asked, talk.usable) == (Phase.RCPT, 0, True)
            for _ in range(2):
                assert (await talk.deliver(envelope(), BODY, Token())).phase is Phase.DOT
            assert talk.delivered == 2
        data = ["DATA"] if offers else []
        again = ["RSET", "MAIL", "RCPT", "DATA", "MAIL", "RCPT", "DATA", "QUIT"]
        assert server.verbs == ["EHLO", "MAIL", "RCPT", *data, *again]
        assert server.held == [BODY, BODY]
        assert server.connections == 1


@pytest.mark.parametrize("offers", [ALL_OFFERS, ()], ids=["pipelined", "one by one"])
@pytest.mark.parametrize("act", [say("502 5.5.1 what"), say("421 closing").and_then("drop"), DROP])
async def test_a_server_that_cannot_reset_is_left(act: Act, offers: tuple[str, ...]) -> None:
    async with FaultServer(offers, rcpt=say("450 4.3.2 busy"), rset=act) as server, conversation(server.port) as talk:
        await talk.deliver(envelope(), BODY, Token())
        answer = await talk.deliver(envelope(), BODY, Token())
        verdict = judge(answer, first_attempt=True)
        assert (answer.phase, verdict.outcome, verdict.scope) == (Phase.MAIL, Outcome.AGAIN, Scope.RELAY)
        assert not talk.usable


async def test_a_body_asked_for_after_every_recipient_was_refused_gets_an_empty_dot_and_no_more() -> None:
    script = {"rcpt": say("550 5.1.1 nobody"), "data": say("354 go on")}
    async with FaultServer(**script) as server, conversation(server.port) as talk:
        answer = await talk.deliver(envelope(), BODY, token := Token())
        assert (answer.phase, answer.reply and answer.reply.code) == (Phase.RCPT, 550)
        assert (token.asked, talk.usable) == (0, False)
        await asyncio.wait_for(server.at_dot.wait(), 2)
    assert server.held == [b""]


async def test_no_empty_dot_where_the_recipient_was_taken() -> None:
    script = {"mail": say("451 4.3.0 no"), "rcpt": say("250 Ok"), "data": say("354 go on")}
    async with FaultServer(**script) as server, conversation(server.port) as talk:
        answer = await talk.deliver(envelope(), BODY, token := Token())
        await asyncio.sleep(0.05)
    assert (answer.phase, token.asked, server.held) == (Phase.MAIL, 0, [])


async def test_no_token_no_dot() -> None:
    async with FaultServer() as server, conversation(server.port) as talk:
        answer = await talk.deliver(envelope(), BODY, Token(answer=False))
        assert judge(answer, first_attempt=True).outcome is Outcome.WITHHELD
        assert not talk.usable
        await asyncio.sleep(0.05)
    assert server.body_seen.is_set()
    assert server.held == []


async def test_a_token_that_fails_drops_the_line_and_is_heard() -> None:
    async def fail() -> None:
        msg = "the disk is full"
        raise OSError(msg)

    async with FaultServer() as server, conversation(server.port) as talk:
        with pytest.raises(OSError, match="the disk is full"):
            await talk.deliver(envelope(), BODY, Token(meanwhile=fail))
        assert not talk.usable
        await asyncio.sleep(0.05)
    assert server.held == []


async def test_the_token_is_asked_when_the_body_is_with_the_server_and_the_dot_is_not() -> None:
    async with FaultServer() as server, conversation(server.port) as talk:
        seen: list[tuple[bool, int]] = []

        async def look() -> None:
            await asyncio.wait_for(server.body_seen.wait(), 2)
            seen.append((server.body_seen.is_set(), len(server.held)))

        answer = await talk.deliver(envelope(), BODY, Token(meanwhile=look))
    assert seen == [(True, 0)]
    assert (answer.phase, server.held) == (Phase.DOT, [BODY])


async def test_cancelled_at_the_dot_the_line_is_dropped() -> None:
    async with FaultServer(dot=HANG) as server, conversation(server.port) as talk:
        sending = asyncio.create_task(talk.deliver(envelope(), BODY, Token()))
        await asyncio.wait_for(server.at_dot.wait(), 2)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert not talk.usable
    assert server.held == [BODY]


async def test_cancelled_while_the_token_commits_no_dot_is_written() -> None:
    started = asyncio.Event()

    async def wait() -> None:
        started.set()
        await asyncio.Event().wait()

    async with FaultServer() as server, conversation(server.port) as talk:
        sending = asyncio.create_task(talk.deliver(envelope(), BODY, Token(meanwhile=wait)))
        await asyncio.wait_for(started.wait(), 2)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await asyncio.sleep(0.05)
    assert server.held == []


async def test_cancelled_while_opening_nothing_stays_open() -> None:
    async with FaultServer(greeting=HANG) as server:
        opening = asyncio.create_task(relay(server.port).open())
        await asyncio.wait_for(server.met.wait(), 2)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening


async def test_one_letter_at_a_time() -> None:
    async with FaultServer(dot=HANG) as server, conversation(server.port, impatient("dot")) as talk:
        first = asyncio.create_task(talk.deliver(envelope(), BODY, Token()))
        await asyncio.wait_for(server.at_dot.wait(), 2)
        with pytest.raises(RuntimeError, match="one letter at a time"):
            await talk.deliver(envelope(), BODY, Token())
        assert (await first).fault == "timeout"
    assert server.verbs.count("MAIL") == 1


async def test_closing_under_a_letter_drops_it_without_a_word() -> None:
    async with FaultServer(dot=HANG) as server, conversation(server.port) as talk:
        sending = asyncio.create_task(talk.deliver(envelope(), BODY, Token()))
        await asyncio.wait_for(server.at_dot.wait(), 2)
        await talk.close()
        answer = await asyncio.wait_for(sending, 2)
    assert judge(answer, first_attempt=True).outcome is Outcome.IN_DOUBT
    assert "QUIT" not in server.verbs


@pytest.mark.parametrize("words", [b"421 4.4.2 idle too long\r\n", b"250 surprise\r\n", b"25", b""])
async def test_a_server_that_speaks_unasked_is_not_listened_to(words: bytes) -> None:
    """An unasked reply must never be taken for the answer to the next command."""
    release = asyncio.Event()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        await reader.readline()
        writer.write(b"250 hi\r\n")
        await release.wait()
        writer.write(words)
        if not words:
            writer.close()
        while await reader.read(65536):
            writer.write(b"250 ok\r\n")

    async with listening(meet) as port, conversation(port) as talk:
        assert talk.usable
        release.set()
        await asyncio.sleep(0.05)
        assert not talk.usable
        answer = await talk.deliver(envelope(), BODY, token := Token())
    verdict = judge(answer, first_attempt=True)
    assert (answer.phase, verdict.outcome, verdict.scope, token.asked) == (Phase.MAIL, SAFE, Scope.RELAY, 0)


async def test_a_big_letter_to_a_server_that_stops_reading() -> None:
    async with FaultServer(("PIPELINING",), body=HANG) as server, conversation(server.port, impatient("body")) as talk:
        answer = await talk.deliver(
            envelope(), b"x" * 900 + b"\r\n" + (b"y" * 900 + b"\r\n") * 30_000, token := Token()
        )
    assert (answer, token.asked) == (Answer(Phase.BODY, None, "timeout"), 0)


async def test_a_big_letter_that_is_refused_half_way() -> None:
    script = {"body": say("552 5.3.4 far too big").and_then("hang")}
    async with FaultServer(("PIPELINING",), **script) as server, conversation(server.port) as talk:
        answer = await talk.deliver(envelope(), (b"y" * 900 + b"\r\n") * 30_000, token := Token())
    assert (answer.phase, answer.reply and answer.reply.code, token.asked) == (Phase.BODY, 552, 0)


async def test_closing_twice_and_after_a_drop_is_harmless() -> None:
    async with FaultServer(mail=DROP) as server:
        talk = await relay(server.port).open()
        await talk.deliver(envelope(), BODY, Token())
        await talk.close()
        await talk.close()


async def test_closing_can_be_cancelled() -> None:
    async with FaultServer(quit=HANG) as server:
        talk = await relay(server.port).open()
        closing = asyncio.create_task(talk.close())
        await asyncio.sleep(0.05)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert not talk.usable


async def test_a_line_has_one_listener_at_most() -> None:
    async with FaultServer() as server, conversation(server.port) as talk:
        first = asyncio.create_task(talk._dialogue.replies(1, 0.2))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="Two tasks"):
            await talk._dialogue.replies(1, 0.2)
        with pytest.raises(WireFault, match="timeout"):
            await first


# ---- cutting a stream into replies ----


def fed(stream: bytes, cuts: list[int]) -> ReplyReader:
    reader = ReplyReader()
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, end in pairwise(edges):
        reader.feed(stream[start:end])
    return reader


codes = st.integers(200, 599)
words = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=30)
replies = st.lists(st.tuples(codes, st.lists(words, min_size=1, max_size=4)), max_size=6)


@given(replies, st.lists(st.integers(0, 400), max_size=6))
def test_replies_come_out_whole_however_they_are_cut(written: list[tuple[int, list[str]]], cuts: list[int]) -> None:
    stream = b"".join(
        b"%d%s%s\r\n" % (code, b" " if number == len(lines) - 1 else b"-", line.encode())
        for code, lines in written
        for number, line in enumerate(lines)
    )
    reader = fed(stream, cuts)
    assert [reply.code for reply in reader.replies] == [code for code, _ in written]
    assert not reader.broken
    assert reader.silent is not bool(written)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_any_bytes_can_be_fed_and_cuts_do_not_matter(stream: bytes, cuts: list[int]) -> None:
    reader, whole = fed(stream, cuts), fed(stream, [])
    assert (list(reader.replies), reader.broken) == (list(whole.replies), whole.broken)


def test_the_bounds_of_a_reply() -> None:
    longest = b"250 " + b"x" * (LINE_LIMIT - 4)
    assert len(fed(longest + b"\r\n", []).replies) == 1
    assert fed(longest + b"x\r\n", []).broken
    assert fed(longest + b"xx", []).broken
    assert len(fed(b"250-x\r\n" * (LINES_LIMIT - 1) + b"250 x\r\n", []).replies) == 1
    assert fed(b"250-x\r\n" * LINES_LIMIT + b"250 x\r\n", []).broken
    assert fed(b"250 x\r\n" * 50, []).broken
