"""The wire's faults, and the end of each as docs and design promise it: the tables that `wire_faults` goes through.

A table says what the relay does at which step; it never does it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.mail.fault_server import ALL_OFFERS, DROP, HANG, RESET, Act, raw, say


class End(NamedTuple):
    """What becomes of a letter: its state, the reason that its row gives, and the attempts it is charged."""

    state: str
    reason: str = ""
    attempts: int = 1


ACCEPTED: Final = End("accepted")
DOUBT: Final = End("in_doubt", "no_reply")
UNTRIED: Final = End("queued", attempts=0)
"""The relay let nobody in."""
FREE: Final = End("queued", "broken_off", 0)
DOWN: Final = End("queued", "relay_down", 0)
LATER: Final = End("queued", "other")
REFUSED: Final = End("refused", "other")
UNFIT: Final = End("refused", "content")

Script = Mapping[str, Act | list[Act]]


@dataclass(frozen=True, slots=True)
class Case:
    """One fault, and what it must lead to for each letter of its audience, in the order of their addresses.

    `rests` says whether the relay rests afterwards, and `because` what its row then says. `or_else` is the other end
    of one letter where the network decides which of two things is seen first. `rounds` is how often its time comes.
    """

    name: str
    ends: tuple[End, ...]
    script: Script = field(default_factory=dict)
    offers: tuple[str, ...] = ALL_OFFERS
    rests: bool = False
    because: str = ""
    or_else: tuple[End, ...] = ()
    rounds: int = 1
    audience: str = "one"
    user: str = ""
    spoiled: bytes = b""
    """A body in the place of the letter's own."""
    sink: tuple[str, ...] = ()
    """Options of smtp-sink, which is the relay then."""

    @property
    def impatient(self) -> bool:
        """Whether somebody has to lose patience here."""
        acts = [act for acts in self.script.values() for act in (acts if isinstance(acts, list) else [acts])]
        return any(act.then == "hang" for act in acts)


_HALF: Final = {"greeting": b"22", "data": b"35"}
_CUT: Final = {"greeting": b"220-fault\r\n", "data": b"354-go\r\n"}
_CLOSING: Final = say("421 4.3.2 Closing").and_then("drop")
_LINE: Final = b"x" * 1_000_000 + b"\r\n"


def _breaks(step: str) -> dict[str, Act]:
    return {
        "drop": DROP,
        "reset": RESET,
        "hang": HANG,
        "half a reply": raw(_HALF.get(step, b"25"), "drop"),
        "a cut multi-line reply": raw(_CUT.get(step, b"250-more\r\n"), "drop"),
        "garbage": raw(b"\xff\xfe\x00what?\r\n"),
        "a line of 1 MB": raw(_LINE),
    }


_BROKEN: Final = {"greeting": UNTRIED, "ehlo": UNTRIED, "mail": FREE, "rcpt": FREE, "data": FREE, "dot": DOUBT}
"""What breaks off before the dot is the relay's fault, and free; what breaks off after it is a doubt."""


def _broken() -> Iterator[Case]:
    for step, end in _BROKEN.items():
        for what, act in _breaks(step).items():
            yield Case(f"{step}: {what}", (end,), {step: act}, rests=end is UNTRIED, because=f"{step}: ")


_REPLIES: Final = (
    Case("greeting: 421", (UNTRIED,), {"greeting": _CLOSING}, rests=True, because="greeting: 421"),
    Case("greeting: 554", (UNTRIED,), {"greeting": say("554 5.7.1 Not you")}, rests=True, because="greeting: 554"),
    Case("ehlo: 421", (UNTRIED,), {"ehlo": _CLOSING}, rests=True, because="ehlo: 421"),
    Case("ehlo: 450", (UNTRIED,), {"ehlo": say("450 4.3.0 No")}, rests=True, because="ehlo: 450"),
    Case("mail: 421", (DOWN,), {"mail": _CLOSING}),
    Case("mail: 451", (DOWN,), {"mail": say("451 4.3.0 No")}),
    Case(
        "mail: 550, the sender",
        (End("queued", "sender_refused", 0),),
        {"mail": say("550 5.1.8 Unknown sender")},
        rests=True,
        because="mail: 550",
    ),
    Case(
        "mail: 530, sign in first",
        (End("queued", "sign_in", 0),),
        {"mail": say("530 5.7.0 Sign in first")},
        rests=True,
        because="mail: 530",
    ),
    Case("mail: 552, too large", (UNFIT,), {"mail": say("552 5.3.4 Too large")}),
    Case("rcpt: 421", (FREE,), {"rcpt": _CLOSING}),
    Case("rcpt: 450, greylisted", (End("queued", "greylisted"),), {"rcpt": say("450 4.2.0 Greylisted")}),
    Case("rcpt: 451", (LATER,), {"rcpt": say("451 4.3.0 No")}),
    Case("rcpt: 452, full", (End("queued", "mailbox_full"),), {"rcpt": say("452 4.2.2 Full")}),
    Case("rcpt: 550, no such mailbox", (End("refused", "no_such_mailbox"),), {"rcpt": say("550 5.1.1 Nobody")}),
    Case("rcpt: 550, policy", (End("refused", "policy"),), {"rcpt": say("550 5.7.1 Spam")}),
    Case("rcpt: 554", (REFUSED,), {"rcpt": say("554 5.3.0 No")}),
    Case("rcpt: a 354", (FREE,), {"rcpt": say("354 What")}),
    Case("data: 421", (FREE,), {"data": _CLOSING}),
    Case("data: 451", (LATER,), {"data": say("451 4.3.0 No")}),
    Case("data: 554", (REFUSED,), {"data": say("554 5.3.0 No")}),
    Case("data: a 250", (FREE,), {"data": say("250 What")}),
    Case("dot: 421", (LATER,), {"dot": _CLOSING}),
    Case("dot: 451", (LATER,), {"dot": say("451 4.3.0 Disk full")}),
    Case("dot: 550", (REFUSED,), {"dot": say("550 5.3.0 No")}),
    Case("dot: 552, full", (End("refused", "mailbox_full"),), {"dot": say("552 5.2.2 Full")}),
    Case("dot: 251", (ACCEPTED,), {"dot": say("251 2.1.5 Will forward")}),
    Case("dot: 250 in two lines", (ACCEPTED,), {"dot": say("250-2.0.0 Ok", "250 2.0.0 Queued")}),
    Case("dot: 250, then 550", (ACCEPTED,), {"dot": say("250 2.0.0 Ok", "550 After all")}),
    Case("dot: 354", (DOUBT,), {"dot": say("354 More")}),
    Case("dot: 999", (DOUBT,), {"dot": say("999 What")}),
    Case("dot: a reply of two codes", (DOUBT,), {"dot": say("250-Ok", "550 or not")}),
    Case("dot: a reply of 200 lines", (DOUBT,), {"dot": raw(b"250-Ok\r\n" * 200 + b"250 Ok\r\n")}),
    Case("quit: drop", (ACCEPTED,), {"quit": DROP}),
    Case("quit: reset", (ACCEPTED,), {"quit": RESET}),
    Case("quit: hang", (ACCEPTED,), {"quit": HANG}),
    Case("quit: 421", (ACCEPTED,), {"quit": _CLOSING}),
    Case("quit: 500", (ACCEPTED,), {"quit": say("500 What")}),
    Case("quit: garbage", (ACCEPTED,), {"quit": raw(b"\xff\r\n")}),
)

_BODIES: Final = (
    Case("body: drop", (FREE,), {"body": DROP}, or_else=(DOUBT,)),
    Case("body: reset", (FREE,), {"body": RESET}, or_else=(DOUBT,)),
    Case("body: 451", (LATER,), {"body": say("451 4.3.0 Stop").and_then("drop")}),
    Case("body: 552", (UNFIT,), {"body": say("552 5.3.4 Stop").and_then("drop")}),
    Case("body: nobody reads on", (DOUBT,), {"body": HANG}),
    Case(
        "three drops: a poison letter pays for the third",
        (End("queued", "broken_off", 1),),
        {"data": DROP},
        rests=True,
        because="data: drop",
        rounds=3,
    ),
)

_SEQUENCES: Final = (
    Case(
        "a 354 after every recipient was refused",
        (REFUSED,),
        {"rcpt": say("550 5.3.0 No"), "data": say("354 Go on")},
    ),
    Case(
        "after a refusal RSET is answered 502",
        (REFUSED, FREE),
        {"rcpt": [say("550 5.3.0 No"), say("250 Ok")], "rset": say("502 5.5.1 What")},
        audience="two",
    ),
    Case(
        "after a refusal RSET drops",
        (REFUSED, FREE),
        {"rcpt": [say("550 5.3.0 No"), say("250 Ok")], "rset": DROP},
        audience="two",
    ),
    Case("a second letter on a line that drops", (ACCEPTED, FREE), {"mail": [say("250 Ok"), DROP]}, audience="two"),
)

_PLAIN: Final = ALL_OFFERS[1:]
_LIES: Final = (
    Case(
        "PIPELINING, but the answers come in another order",
        (FREE,),
        {"mail": say("354 Go"), "rcpt": say("250 Ok"), "data": say("250 Ok")},
    ),
    Case("PIPELINING, but only the first is heard", (FREE,), {"rcpt": HANG}),
    Case("PIPELINING, and an answer too many", (FREE,), {"mail": say("250 Ok", "250 Ok")}),
    Case("PIPELINING, and a 250 before there is a dot", (FREE,), {"mail": say("250 Ok", "250 Ok", "354 Go")}),
    Case("SIZE that is no number", (ACCEPTED,), offers=("PIPELINING", "SIZE lots")),
    Case("SIZE below nothing", (ACCEPTED,), offers=("PIPELINING", "SIZE -5")),
    Case("SIZE beyond all numbers", (ACCEPTED,), offers=("PIPELINING", f"SIZE {'9' * 40}")),
    Case("SIZE that the letter exceeds", (UNFIT,), offers=("PIPELINING", "SIZE 1000")),
    Case("SIZE large enough, then 552", (UNFIT,), {"mail": say("552 5.3.4 Too large after all")}),
    Case("SMTPUTF8 that is needed and not offered", (UNFIT, ACCEPTED), offers=("PIPELINING",), audience="wide"),
    Case("SMTPUTF8 that is needed and offered", (ACCEPTED, ACCEPTED), audience="wide"),
    Case(
        "SMTPUTF8, then it refuses",
        (UNFIT, ACCEPTED),
        {"rcpt": [say("553 5.6.7 Not that name"), say("250 Ok")]},
        audience="wide",
    ),
    Case("addresses that tempt a server to rewrite them", (ACCEPTED,) * 4, audience="odd"),
    Case(
        "wrong credentials",
        (UNTRIED,),
        {"auth": say("535 5.7.8 Wrong")},
        offers=(*_PLAIN, "AUTH PLAIN"),
        user="user:secret@",
        rests=True,
        because="auth: 535",
    ),
    Case(
        "credentials, but no way to sign in",
        (UNTRIED,),
        offers=_PLAIN,
        user="user:secret@",
        rests=True,
        because="auth: unsupported",
    ),
    Case("a body with a bare LF", (UNFIT,), spoiled=b"Subject: x\r\n\r\nOne.\n.\nMAIL FROM:<x@example.org>\r\n"),
    Case("a body with a bare CR", (UNFIT,), spoiled=b"Subject: x\r\n\r\nOne.\rTwo.\r\n"),
    Case("a body with a NUL", (UNFIT,), spoiled=b"Subject: x\r\n\r\nOne.\0Two.\r\n"),
    Case("a line of 999 bytes", (UNFIT,), spoiled=b"Subject: x\r\n\r\n" + b"x" * 999 + b"\r\n"),
    Case("a line of 998 bytes", (ACCEPTED,), spoiled=b"Subject: x\r\n\r\n" + b"x" * 998 + b"\r\n"),
    Case("lines that are dots", (ACCEPTED,), spoiled=b"Subject: x\r\n\r\n.\r\n..\r\n.x\r\n"),
)

FAULTS: Final = (*_broken(), *_REPLIES, *_BODIES, *_SEQUENCES, *_LIES)
"""Every fault that our own server knows."""

_COMMANDS: Final = ("CONNECT", "HELO", "EHLO", "MAIL", "RCPT", "DATA", ".", "RSET", "QUIT")
_UNHEARD: Final = {"HELO", "RSET", "QUIT"}
"""Commands that are not said to a server that takes a letter, or say nothing about it."""
_SINK_ENDS: Final[Mapping[str, Mapping[str, tuple[End, str]]]] = {
    "-q": {  # disconnect
        "CONNECT": (UNTRIED, "greeting: drop"),
        "EHLO": (UNTRIED, "ehlo: drop"),
        "MAIL": (FREE, ""),
        "RCPT": (FREE, ""),
        "DATA": (FREE, ""),
        ".": (DOUBT, ""),
    },
    "-Q": {  # 421, and disconnect
        "CONNECT": (UNTRIED, "greeting: 421"),
        "EHLO": (UNTRIED, "ehlo: 421"),
        "MAIL": (DOWN, ""),
        "RCPT": (FREE, ""),
        "DATA": (FREE, ""),
        ".": (LATER, ""),
    },
    "-r": {  # 450
        "CONNECT": (UNTRIED, "greeting: 450"),
        "EHLO": (UNTRIED, "ehlo: 450"),
        "MAIL": (DOWN, ""),
        "RCPT": (LATER, ""),
        "DATA": (LATER, ""),
        ".": (LATER, ""),
    },
    "-f": {  # 500; to EHLO that means: say HELO
        "CONNECT": (UNTRIED, "greeting: 500"),
        "EHLO": (ACCEPTED, ""),
        "MAIL": (End("queued", "sender_refused", 0), "mail: 500"),
        "RCPT": (REFUSED, ""),
        "DATA": (REFUSED, ""),
        ".": (REFUSED, ""),
    },
}


def _sinks() -> Iterator[Case]:
    for option, ends in _SINK_ENDS.items():
        for command in _COMMANDS:
            end, because = (ACCEPTED, "") if command in _UNHEARD else ends[command]
            yield Case(
                f"smtp-sink {option} {command}", (end,), rests=bool(because), because=because, sink=(option, command)
            )
    yield Case("smtp-sink -A 0", (REFUSED,), or_else=(FREE, DOUBT), sink=("-A", "0"))
    yield Case("smtp-sink -A 1", (REFUSED,), sink=("-A", "1"))
    yield Case("smtp-sink -H 1", (ACCEPTED,), sink=("-H", "1"))


SINKS: Final = tuple(_sinks())
"""Every fault that smtp-sink knows by itself, at every command."""

_QUICK: Final = frozenset(
    {
        "greeting: hang",
        "ehlo: a line of 1 MB",
        "mail: reset",
        "mail: 550, the sender",
        "rcpt: a cut multi-line reply",
        "rcpt: 550, no such mailbox",
        "data: 421",
        "body: drop",
        "dot: drop",
        "dot: half a reply",
        "dot: a line of 1 MB",
        "dot: 251",
        "dot: 451",
        "quit: reset",
        "three drops: a poison letter pays for the third",
        "a 354 after every recipient was refused",
        "after a refusal RSET drops",
        "PIPELINING, but the answers come in another order",
        "SMTPUTF8 that is needed and not offered",
        "addresses that tempt a server to rewrite them",
        "wrong credentials",
        "a body with a bare LF",
    }
)
QUICK: Final = tuple(case for case in FAULTS if case.name in _QUICK)
"""Some of each kind, for `make test`."""
