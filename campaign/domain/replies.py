"""What a mail server's answer means for a letter, its person, its domain and its relay. It never talks to a server.

The rows are those of the table "Replies" in the design: first match wins. Where a row is named by an enhanced code and
another one only by words ("452 4.5.3 Too many recipients"), the row with the code stands first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple


class Phase(StrEnum):
    """How far a conversation with a mail server had come when the answer fell (RFC 5321 s. 3)."""

    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "ehlo"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    DOT = "dot"
    QUIT = "quit"


class Outcome(StrEnum):
    """What an answer does to the letter."""

    ACCEPTED = "accepted"
    AGAIN = "again"
    REFUSED = "refused"
    IN_DOUBT = "in_doubt"
    WITHHELD = "withheld"


class Scope(StrEnum):
    """Whom an answer speaks about."""

    RECIPIENT = "recipient"
    DOMAIN = "domain"
    CONNECTION = "connection"
    RELAY = "relay"
    CONFIGURATION = "configuration"
    SENDER = "sender"
    MESSAGE = "message"


class Reason(StrEnum):
    """Why: one word for reports, filters and counters."""

    ACCEPTED = "accepted"
    WITHHELD = "withheld"
    NO_REPLY = "no_reply"
    RELAY_DOWN = "relay_down"
    BROKEN_OFF = "broken_off"
    SIGN_IN = "sign_in"
    SENDER_REFUSED = "sender_refused"
    GREYLISTED = "greylisted"
    ONE_TOO_MANY = "one_too_many"
    MAILBOX_FULL = "mailbox_full"
    THROTTLED = "throttled"
    NO_SUCH_MAILBOX = "no_such_mailbox"
    CONTENT = "content"
    POLICY = "policy"
    OTHER = "other"


WITHHELD: Final = "withheld"
"""The fault of an answer whose body was written but whose dot the ledger forbade."""

UNSUPPORTED: Final = "unsupported"
"""How a fault begins when the server does not offer what the settings demand."""

_TEXT_LIMIT: Final = 1000
_LEADING_STATUS: Final = re.compile(r"#?([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9.])[ \t:;,-]*")
_STATUS_IN_BRACKETS: Final = re.compile(r"\(#?([245]\.[0-9]{1,3}\.[0-9]{1,3})\)")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: its code, its enhanced code (RFC 3463) and its words, made safe to show (servers quote addresses)."""

    code: int
    enhanced: str | None
    text: str

    @classmethod
    def parse(cls, code: int, lines: Sequence[str]) -> Reply:
        """Make a reply of its code and the words of its lines; never raises.

        An enhanced code whose class contradicts the code is no enhanced code: the three digits decide (RFC 2034 s. 4).
        """
        statuses, words = [], []
        for line in lines:
            found = _LEADING_STATUS.match(line.lstrip()) or _STATUS_IN_BRACKETS.search(line)
            statuses += [found[1]] if found else []
            leading = found is not None and found.re is _LEADING_STATUS
            words.append(line.lstrip()[found.end() :] if found and leading else line)
        enhanced = next((status for status in statuses if status[0] == str(code)[:1]), None)
        text = " ".join(_UNPRINTABLE.sub(" ", " ".join(words)).split())
        return cls(code, enhanced, text[:_TEXT_LIMIT])

    def __str__(self) -> str:
        """Give the reply as one line."""
        return " ".join(part for part in (str(self.code), self.enhanced, self.text) if part)


class Answer(NamedTuple):
    """How one attempt ended: at which phase, with which reply, or with which fault instead of one."""

    phase: Phase
    reply: Reply | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from an answer.

    `hard` says that the mailbox does not exist and must be suppressed. `retry_after` is a first wait of its own;
    None leaves it to the schedule. It is only of interest when the outcome is `again`.
    """

    outcome: Outcome
    scope: Scope
    hard: bool
    reason: Reason
    retry_after: timedelta | None = None

    @property
    def charged(self) -> bool:
        """Whether the attempt counts against the letter: not when only the relay or our settings are to blame.

        A letter whose connection breaks off again and again before its dot is charged from the third time on; only
        the ledger can count that.
        """
        return self.outcome is not Outcome.WITHHELD and self.scope not in {Scope.RELAY, Scope.CONFIGURATION}


_SIGNING_ON: Final = frozenset({Phase.CONNECT, Phase.GREETING, Phase.EHLO, Phase.TLS})
_AUTH: Final = frozenset({Phase.AUTH})
_MAIL: Final = frozenset({Phase.MAIL})
_RCPT: Final = frozenset({Phase.RCPT})
_BEFORE_DOT: Final = frozenset({Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.BODY})
_LETTER: Final = _BEFORE_DOT | {Phase.DOT}


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of the table: it matches by code, phase, and (when it has any) by enhanced code or words."""

    reason: Reason
    scope: Scope
    codes: frozenset[int]
    phases: frozenset[Phase] = _LETTER
    statuses: re.Pattern[str] | None = None
    words: re.Pattern[str] | None = None
    hard: bool = False
    wait: timedelta | None = None

    def matches(self, phase: Phase, reply: Reply) -> bool:
        if phase not in self.phases or reply.code not in self.codes:
            return False
        if self.statuses is None and self.words is None:
            return True
        by_status = self.statuses is not None and self.statuses.fullmatch(reply.enhanced or "")
        return bool(by_status or (self.words is not None and self.words.search(reply.text)))


def _any_of(words: str) -> re.Pattern[str]:
    return re.compile(words, re.IGNORECASE)


_4XX: Final = frozenset(range(400, 500))
_5XX: Final = frozenset(range(500, 600))
_CONTENT: Final = re.compile(r"5\.(6\.[0-9]+|3\.4)")
_GREY: Final = _any_of(r"gr[ea]y.?list|try again later")
_RATE: Final = _any_of(r"\brate\b|rate.?limit|too many|throttl")
_SUSPECT: Final = _any_of(r"spam|\bblock(ed|list)|blacklist|\bspf\b|\bdkim\b|\bdmarc\b")
_RELAY_PAUSE: Final = timedelta(seconds=30)

_TABLE: Final = (
    _Row(Reason.RELAY_DOWN, Scope.RELAY, _4XX | _5XX, phases=_SIGNING_ON, wait=_RELAY_PAUSE),
    _Row(Reason.SIGN_IN, Scope.CONFIGURATION, _5XX, phases=_AUTH),
    _Row(Reason.RELAY_DOWN, Scope.RELAY, _4XX, phases=_AUTH, wait=_RELAY_PAUSE),
    _Row(Reason.SIGN_IN, Scope.CONFIGURATION, frozenset({530, 534, 535, 538}), phases=_BEFORE_DOT),
    _Row(Reason.CONTENT, Scope.MESSAGE, frozenset({552}), phases=_MAIL),  # RFC 1870 s. 6.1: larger than it takes
    _Row(Reason.CONTENT, Scope.MESSAGE, _5XX, phases=_MAIL, statuses=_CONTENT),
    _Row(Reason.SENDER_REFUSED, Scope.CONFIGURATION, _5XX, phases=_MAIL),
    _Row(Reason.THROTTLED, Scope.RELAY, _4XX, phases=_MAIL, words=_RATE, wait=timedelta(minutes=15)),
    _Row(Reason.RELAY_DOWN, Scope.RELAY, _4XX, phases=_MAIL, wait=_RELAY_PAUSE),
    _Row(
        Reason.GREYLISTED,
        Scope.RECIPIENT,
        frozenset({450, 451}),
        phases=_RCPT,
        statuses=re.compile(r"4\.(2\.0|7\.1)"),
        words=_GREY,
        wait=timedelta(minutes=6),
    ),
    _Row(
        Reason.ONE_TOO_MANY,
        Scope.CONNECTION,
        frozenset({452}),
        statuses=re.compile(r"4\.5\.3"),
        wait=timedelta(seconds=1),
    ),
    _Row(Reason.MAILBOX_FULL, Scope.RECIPIENT, frozenset({452, 552}), statuses=re.compile(r"[45]\.2\.2")),
    _Row(
        Reason.THROTTLED,
        Scope.DOMAIN,
        frozenset({421, 451, 452}),
        statuses=re.compile(r"4\.(7\.[0-9]+|4\.5)"),
        words=_RATE,
        wait=timedelta(minutes=15),
    ),
    _Row(Reason.BROKEN_OFF, Scope.RELAY, frozenset({421}), phases=_BEFORE_DOT, wait=_RELAY_PAUSE),
    _Row(
        Reason.NO_SUCH_MAILBOX,
        Scope.RECIPIENT,
        frozenset({550, 551, 553, 556}),  # 556 is how RFC 7504 writes 5.1.10, a domain that takes no mail
        statuses=re.compile(r"5\.1\.(1|2|6|10)"),
        hard=True,
    ),
    _Row(Reason.CONTENT, Scope.MESSAGE, _5XX, statuses=_CONTENT),
    _Row(Reason.POLICY, Scope.SENDER, _5XX, statuses=re.compile(r"5\.7\.[0-9]+"), words=_SUSPECT),
    _Row(Reason.OTHER, Scope.RECIPIENT, _4XX | _5XX),
)


_ACCEPTED: Final = Verdict(Outcome.ACCEPTED, Scope.RECIPIENT, hard=False, reason=Reason.ACCEPTED)


def judge(answer: Answer, *, first_attempt: bool) -> Verdict:
    """Say what an answer means; never raises, whatever the server said.

    Only a 2xx to the dot is acceptance (RFC 5321 s. 4.2.1: by the first digit); only silence or nonsense after the
    dot is a doubt (RFC 1047); before the dot everything that is not a 5xx may be tried again.
    """
    reply = answer.reply
    if answer.fault is not None or reply is None:
        return _without_reply(answer)
    if answer.phase is Phase.DOT and reply.code in range(200, 300):
        return _ACCEPTED
    row = next((row for row in _TABLE if row.matches(answer.phase, reply)), None)
    if row is None:
        return _without_reply(answer)
    refused = reply.code in _5XX and row.scope not in {Scope.RELAY, Scope.CONFIGURATION}
    return Verdict(
        Outcome.REFUSED if refused else Outcome.AGAIN,
        row.scope,
        hard=row.hard,
        reason=row.reason,
        retry_after=row.wait if not refused and (first_attempt or row.scope is Scope.RELAY) else None,
    )


def _without_reply(answer: Answer) -> Verdict:
    """Judge a fault, or a reply that has no place where it fell (such as a 354 to the dot)."""
    fault = answer.fault or ""
    if answer.phase in {
        Phase.DOT,
        Phase.QUIT,
    }:  # QUIT is about no letter; to doubt is the one answer that cannot double
        return Verdict(Outcome.IN_DOUBT, Scope.RELAY, hard=False, reason=Reason.NO_REPLY)
    if answer.phase is Phase.BODY and fault == WITHHELD:
        return Verdict(Outcome.WITHHELD, Scope.RECIPIENT, hard=False, reason=Reason.WITHHELD)
    if answer.phase is Phase.AUTH and fault.startswith(UNSUPPORTED):
        return Verdict(Outcome.AGAIN, Scope.CONFIGURATION, hard=False, reason=Reason.SIGN_IN)
    reason = Reason.BROKEN_OFF if answer.phase in _BEFORE_DOT else Reason.RELAY_DOWN
    return Verdict(Outcome.AGAIN, Scope.RELAY, hard=False, reason=reason, retry_after=_RELAY_PAUSE)
