"""The table of replies, row by row, and what must hold for anything a server can say."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.replies import WITHHELD, Answer, Outcome, Phase, Reason, Reply, Scope, Verdict, judge

BEFORE_THE_DOT = [Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.BODY]
SIGNING_ON = [Phase.CONNECT, Phase.GREETING, Phase.EHLO, Phase.TLS]


def read(line: str) -> Reply:
    """Make a reply of text like `550 5.1.1 no such user`."""
    return Reply.parse(int(line[:3]), [line[4:]])


def verdict(phase: Phase, line: str, *, first_attempt: bool = True) -> Verdict:
    return judge(Answer(phase, read(line)), first_attempt=first_attempt)


ROWS = [
    # relay
    (Phase.GREETING, "421 4.3.2 not now", "again", "relay", False),
    (Phase.GREETING, "554 5.7.1 your address is listed", "again", "relay", False),
    (Phase.EHLO, "421 closing", "again", "relay", False),
    (Phase.EHLO, "504 5.5.2 need a name", "again", "relay", False),
    (Phase.TLS, "454 4.7.0 TLS not available", "again", "relay", False),
    (Phase.AUTH, "454 4.7.0 temporary failure", "again", "relay", False),
    (Phase.MAIL, "421 4.3.2 shutting down", "again", "relay", False),
    (Phase.MAIL, "451 4.7.1 too many messages this hour", "again", "relay", False),
    (Phase.RCPT, "421 4.3.2 shutting down", "again", "relay", False),
    (Phase.DATA, "421 closing", "again", "relay", False),
    # configuration
    (Phase.AUTH, "535 5.7.8 wrong", "again", "configuration", False),
    (Phase.AUTH, "504 5.5.4 unknown mechanism", "again", "configuration", False),
    (Phase.MAIL, "530 5.7.0 must issue STARTTLS first", "again", "configuration", False),
    (Phase.RCPT, "530 5.7.1 authentication required", "again", "configuration", False),
    (Phase.MAIL, "550 5.7.60 not allowed to send as this sender", "again", "configuration", False),
    (Phase.MAIL, "553 5.1.8 sender domain unknown", "again", "configuration", False),
    (Phase.MAIL, "550 5.1.1 spam", "again", "configuration", False),
    # recipient, greylisting
    (Phase.RCPT, "450 4.2.0 greylisted", "again", "recipient", False),
    (Phase.RCPT, "451 4.7.1 wait", "again", "recipient", False),
    (Phase.RCPT, "451 Graylisting in action", "again", "recipient", False),
    (Phase.RCPT, "450 please try again later", "again", "recipient", False),
    # domain
    (Phase.RCPT, "421 4.7.28 unusual rate", "again", "domain", False),
    (Phase.RCPT, "451 4.4.5 full house", "again", "domain", False),
    (Phase.RCPT, "452 Too many messages", "again", "domain", False),
    (Phase.RCPT, "421 rate limit exceeded", "again", "domain", False),
    (Phase.DOT, "451 4.7.0 we throttle you", "again", "domain", False),
    (Phase.RCPT, "450 4.2.1 receiving mail at a rate", "again", "recipient", False),
    (Phase.RCPT, "451 4.3.0 a separate problem", "again", "recipient", False),
    # connection
    (Phase.RCPT, "452 4.5.3 Too many recipients", "again", "connection", False),
    # full
    (Phase.RCPT, "452 4.2.2 mailbox full", "again", "recipient", False),
    (Phase.RCPT, "552 5.2.2 mailbox full", "refused", "recipient", False),
    (Phase.DOT, "552 5.2.2 mailbox full", "refused", "recipient", False),
    # hard
    (Phase.RCPT, "550 5.1.1 no such user", "refused", "recipient", True),
    (Phase.RCPT, "551 5.1.6 moved", "refused", "recipient", True),
    (Phase.RCPT, "553 5.1.2 no such host", "refused", "recipient", True),
    (Phase.RCPT, "556 5.1.10 null MX", "refused", "recipient", True),
    (Phase.DOT, "550 5.1.1 no such user", "refused", "recipient", True),
    (Phase.RCPT, "550 no such user here", "refused", "recipient", False),
    (Phase.RCPT, "554 5.1.1 no such user", "refused", "recipient", False),
    (Phase.RCPT, "550 5.1.15 odd", "refused", "recipient", False),
    # sender
    (Phase.RCPT, "550 5.7.1 policy", "refused", "sender", False),
    (Phase.DOT, "550 5.7.515 not aligned", "refused", "sender", False),
    (Phase.DOT, "554 this looks like spam", "refused", "sender", False),
    (Phase.RCPT, "554 blocked by a list", "refused", "sender", False),
    (Phase.DOT, "550 SPF check failed", "refused", "sender", False),
    (Phase.DOT, "550 fails DMARC", "refused", "sender", False),
    # message
    (Phase.RCPT, "553 5.6.7 needs SMTPUTF8", "refused", "message", False),
    (Phase.MAIL, "552 5.3.4 too big", "refused", "message", False),
    (Phase.MAIL, "552 too big", "refused", "message", False),
    (Phase.BODY, "552 5.3.4 too big", "refused", "message", False),
    (Phase.DOT, "552 5.3.4 too big, blocked", "refused", "message", False),
    (Phase.BODY, "554 5.6.0 bare LF", "refused", "message", False),
    # any other
    (Phase.RCPT, "450 4.3.2 busy", "again", "recipient", False),
    (Phase.DATA, "451 4.3.0 disk", "again", "recipient", False),
    (Phase.DATA, "554 5.5.1 no valid recipients", "refused", "recipient", False),
    (Phase.DOT, "421 4.3.2 shutting down", "again", "recipient", False),
    (Phase.DOT, "554 5.5.0 no", "refused", "recipient", False),
    # accepted: by the first digit
    (Phase.DOT, "250 2.0.0 queued", "accepted", "recipient", False),
    (Phase.DOT, "251 will forward", "accepted", "recipient", False),
    # replies that have no place where they fell
    (Phase.DOT, "354 go on", "in_doubt", "relay", False),
    (Phase.DATA, "250 what", "again", "relay", False),
    (Phase.RCPT, "354 what", "again", "relay", False),
    (Phase.BODY, "250 what", "again", "relay", False),
]


@pytest.mark.parametrize(("phase", "line", "outcome", "scope", "hard"), ROWS, ids=str)
def test_the_table_row_by_row(phase: Phase, line: str, outcome: str, scope: str, hard: bool) -> None:
    result = verdict(phase, line)
    assert (result.outcome, result.scope, result.hard) == (outcome, scope, hard)


@pytest.mark.parametrize("fault", ["drop", "timeout", "garbled", "withheld?", ""])
def test_silence_is_a_doubt_only_after_the_dot(fault: str) -> None:
    for phase in [*SIGNING_ON, Phase.AUTH, *BEFORE_THE_DOT]:
        result = judge(Answer(phase, None, fault), first_attempt=True)
        assert (result.outcome, result.scope, result.charged) == (Outcome.AGAIN, Scope.RELAY, False)
    assert judge(Answer(Phase.DOT, None, fault), first_attempt=True).outcome is Outcome.IN_DOUBT


def test_a_withheld_dot_is_nobodys_fault() -> None:
    result = judge(Answer(Phase.BODY, None, WITHHELD), first_attempt=True)
    assert (result.outcome, result.charged, result.hard) == (Outcome.WITHHELD, False, False)
    assert judge(Answer(Phase.DOT, None, WITHHELD), first_attempt=True).outcome is Outcome.IN_DOUBT


def test_no_way_to_sign_in_is_a_matter_of_configuration() -> None:
    result = judge(Answer(Phase.AUTH, None, "unsupported: nothing we know"), first_attempt=True)
    assert (result.outcome, result.scope, result.charged) == (Outcome.AGAIN, Scope.CONFIGURATION, False)


def test_a_fault_beside_a_reply_wins() -> None:
    answer = Answer(Phase.DOT, read("250 ok"), "garbled")
    assert judge(answer, first_attempt=True).outcome is Outcome.IN_DOUBT


@pytest.mark.parametrize(
    ("phase", "line", "first", "later"),
    [
        (Phase.RCPT, "450 4.2.0 greylisted", timedelta(minutes=6), None),
        (Phase.RCPT, "421 4.7.0 slow down", timedelta(minutes=15), None),
        (Phase.RCPT, "452 4.5.3 enough", timedelta(seconds=1), None),
        (Phase.MAIL, "421 4.3.2 going down", timedelta(seconds=30), timedelta(seconds=30)),
        (Phase.RCPT, "450 4.3.2 busy", None, None),
        (Phase.RCPT, "550 5.1.1 nobody", None, None),
    ],
)
def test_the_first_wait(phase: Phase, line: str, first: timedelta | None, later: timedelta | None) -> None:
    assert verdict(phase, line).retry_after == first
    assert verdict(phase, line, first_attempt=False).retry_after == later


@pytest.mark.parametrize(
    ("code", "lines", "enhanced", "text"),
    [
        (550, ["5.1.1 no such user"], "5.1.1", "no such user"),
        (550, ["5.7.26 This mail", "5.7.26 was blocked"], "5.7.26", "This mail was blocked"),
        (550, ["#5.1.0 Address rejected"], "5.1.0", "Address rejected"),
        (553, ["sorry, no mailbox here (#5.1.1)"], "5.1.1", "sorry, no mailbox here (#5.1.1)"),
        (550, ["5.1.1: spaced"], "5.1.1", "spaced"),
        (250, ["2.0.0"], "2.0.0", ""),
        (550, ["4.1.1 contradicts"], None, "contradicts"),
        (550, ["5.1.1.1 is an address"], None, "5.1.1.1 is an address"),
        (550, ["5.1 short"], None, "5.1 short"),
        (550, ["5.1.1234 long"], None, "5.1.1234 long"),
        (550, ["5.1.\u0661 is not ASCII"], None, "5.1.\u0661 is not ASCII"),
        (250, [], None, ""),
        (550, ["\x1b[2Jclear\x00the\u202escreen\udc80"], None, "[2Jclear the screen"),
    ],
)
def test_reading_a_reply(code: int, lines: list[str], enhanced: str | None, text: str) -> None:
    reply = Reply.parse(code, lines)
    assert (reply.enhanced, reply.text) == (enhanced, text)


def test_a_reply_shows_as_one_line() -> None:
    assert str(Reply.parse(550, ["5.1.1 no", "such user"])) == "550 5.1.1 no such user"
    assert str(Reply(250, None, "")) == "250"


@given(st.integers(-1000, 10**6), st.lists(st.text(), max_size=5))
def test_any_reply_can_be_read_and_shown(code: int, lines: list[str]) -> None:
    reply = Reply.parse(code, lines)
    assert all(character.isprintable() or character.isspace() for character in reply.text if character.isascii())
    assert "\n" not in reply.text
    assert len(reply.text) <= 1000
    if reply.enhanced is not None:
        assert reply.enhanced[0] == str(code)[0]
    reply.text.encode()


answers = st.builds(
    Answer,
    st.sampled_from(Phase),
    st.none() | st.builds(Reply, st.integers(-1, 1000), st.none() | st.from_regex(r"[245]\.[0-9]+\.[0-9]+"), st.text()),
    st.none() | st.sampled_from(["drop", "timeout", "garbled", WITHHELD, "unsupported"]) | st.text(),
)


@given(answers, st.booleans())
def test_what_holds_for_every_answer(answer: Answer, first_attempt: bool) -> None:
    result = judge(answer, first_attempt=first_attempt)
    code = answer.reply.code if answer.reply is not None and answer.fault is None else None
    assert (result.outcome is Outcome.ACCEPTED) == (answer.phase is Phase.DOT and code in range(200, 300))
    assert (result.outcome is Outcome.IN_DOUBT) == (
        answer.phase is Phase.QUIT or (answer.phase is Phase.DOT and code not in {*range(200, 300), *range(400, 600)})
    )
    if result.outcome is Outcome.REFUSED:
        assert code in range(500, 600)
    if answer.phase is Phase.DOT and code in range(500, 600):
        assert result.outcome is Outcome.REFUSED
    if code in range(400, 500) and answer.phase is not Phase.QUIT:
        assert result.outcome is Outcome.AGAIN
    if result.hard:
        assert (result.outcome, result.scope) == (Outcome.REFUSED, Scope.RECIPIENT)
        assert result.reason is Reason.NO_SUCH_MAILBOX
    if result.scope in {Scope.RELAY, Scope.CONFIGURATION}:
        assert result.outcome is not Outcome.REFUSED
        assert not result.charged
