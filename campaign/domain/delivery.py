"""The life of one letter: its states, the only moves it may make, and when it is tried again. It never stores anything.

`MOVES` is one truth with three uses: it makes the WHERE of every UPDATE in the ledger, it draws the diagram in
docs/lifecycle.md, and it drives the property tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NewType

from campaign.domain.errors import IllegalMove

DeliveryId = NewType("DeliveryId", int)


class Kind(StrEnum):
    """What a letter is for; it decides who may receive it and what a doubt about it means."""

    EDITION = "edition"
    CONFIRM = "confirm"
    RENEW = "renew"
    WELCOME = "welcome"
    GOODBYE = "goodbye"
    ALERT = "alert"
    TEST = "test"


class State(StrEnum):
    """Where a letter stands."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    OFFERED = "offered"
    IN_DOUBT = "in_doubt"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    BOUNCED = "bounced"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


LIVE: Final = frozenset({State.QUEUED, State.CLAIMED, State.OFFERED})
"""A letter in one of these will still move by itself."""


class Event(StrEnum):
    """What can happen to a letter."""

    CLAIM = "claim"
    OFFER = "offer"
    DEFER = "defer"
    RELEASE = "release"
    ACCEPT = "accept"
    REFUSE = "refuse"
    DOUBT = "doubt"
    SUPPRESS = "suppress"
    CANCEL = "cancel"
    EXPIRE = "expire"
    RESEND = "resend"
    BOUNCE = "bounce"


_S, _E = State, Event

MOVES: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        (_S.QUEUED, _E.CLAIM): _S.CLAIMED,
        (_S.QUEUED, _E.SUPPRESS): _S.SUPPRESSED,
        (_S.QUEUED, _E.CANCEL): _S.CANCELLED,
        (_S.QUEUED, _E.EXPIRE): _S.EXPIRED,
        (_S.CLAIMED, _E.OFFER): _S.OFFERED,
        (_S.CLAIMED, _E.DEFER): _S.QUEUED,
        (_S.CLAIMED, _E.RELEASE): _S.QUEUED,
        (_S.CLAIMED, _E.REFUSE): _S.REFUSED,
        (_S.CLAIMED, _E.SUPPRESS): _S.SUPPRESSED,
        (_S.CLAIMED, _E.CANCEL): _S.CANCELLED,
        (_S.CLAIMED, _E.EXPIRE): _S.EXPIRED,
        (_S.OFFERED, _E.ACCEPT): _S.ACCEPTED,
        (_S.OFFERED, _E.DEFER): _S.QUEUED,
        (_S.OFFERED, _E.REFUSE): _S.REFUSED,
        (_S.OFFERED, _E.DOUBT): _S.IN_DOUBT,
        (_S.IN_DOUBT, _E.ACCEPT): _S.ACCEPTED,
        (_S.IN_DOUBT, _E.REFUSE): _S.REFUSED,
        (_S.IN_DOUBT, _E.RESEND): _S.QUEUED,
        (_S.IN_DOUBT, _E.EXPIRE): _S.EXPIRED,
        (_S.ACCEPTED, _E.BOUNCE): _S.BOUNCED,
    }
)
"""The only place where the life of a letter is written down."""

MEANING: Final[Mapping[Event, str]] = MappingProxyType(
    {
        _E.CLAIM: "a worker takes it",
        _E.OFFER: "the body is written, the token is committed, the dot may follow",
        _E.DEFER: "a 4xx, or a fault before the dot: again later",
        _E.RELEASE: "its worker died or let go before the dot: no attempt is charged",
        _E.ACCEPT: "a 2xx to the dot, later evidence, or a named operator",
        _E.REFUSE: "a 5xx, or it cannot be rendered, or it does not fit the relay",
        _E.DOUBT: "no reply or a garbled one after the dot, or a crash at the dot",
        _E.SUPPRESS: "the person left, was suppressed or erased",
        _E.CANCEL: "the edition was cancelled",
        _E.EXPIRE: "its time is over",
        _E.RESEND: "the policy or a named operator sends it again",
        _E.BOUNCE: "a hard delivery status notification came later",
    }
)


class Policy(StrEnum):
    """What becomes of a letter in doubt."""

    HOLD = "hold"
    RESEND = "resend"
    EXPIRE = "expire"


POLICY_OF_SERVICE: Final = Policy.RESEND
"""Confirmations, welcomes and alerts are sent at least once: a second one does no harm, a missing one does."""

MAX_ATTEMPTS: Final = 20
FREE_DROPS: Final = 2
"""Connections dropped before the dot that are counted against the relay.

From the next on they count against the letter.
"""

VALID_FOR: Final = timedelta(hours=48)
LEASE: Final = timedelta(minutes=30)
"""How long a living worker may sit on a claimed letter before another one may take it. Its token fences it off."""
DOT_PATIENCE: Final = timedelta(minutes=11)
"""A reply to the dot is awaited for 10 minutes (RFC 5321, 4.5.3.2.6); a minute later an offered letter is in doubt."""
TOKEN_LIFE: Final = timedelta(seconds=45)
"""How old a token may be when its dot is written. A worker that was stopped in between may have lost the letter.

With the ten minutes for the reply it stays below `DOT_PATIENCE`: no letter is in doubt before its worker gave it up.
"""

_SCHEDULE: Final = tuple(timedelta(minutes=m) for m in (5, 15, 30, 60, 120, 240))
_THROTTLED: Final = timedelta(minutes=15)
_JITTER: Final = 0.2


def advance(state: State, event: Event) -> State:
    """Return where `event` takes a letter in `state`; raise IllegalMove where it takes it nowhere."""
    try:
        return MOVES[state, event]
    except KeyError:
        msg = f"A letter that is {state} cannot {event}."
        raise IllegalMove(msg) from None


def origins(event: Event) -> tuple[State, ...]:
    """Return the states in which `event` can happen, for the WHERE of an UPDATE."""
    return tuple(state for state, e in MOVES if e is event)


def back_off(attempt: int, now: datetime, *, chance: float, wait: timedelta | None = None) -> datetime:
    """Return when attempt number `attempt` (from 1) is followed by the next.

    The schedule, or `wait`, give or take 20 %.
    `chance` lies between 0 and 1 and comes from the caller's clock.
    """
    step = wait or _SCHEDULE[min(max(attempt, 1), len(_SCHEDULE)) - 1]
    return now + step * (1 + _JITTER * (2 * chance - 1))


def throttle_wait(attempt: int) -> timedelta:
    """Return how long a letter waits whose domain asked for fewer: 15 min after the first attempt, doubling to 4 h."""
    doubled: int = 2 ** min(max(attempt, 1) - 1, 10)
    return min(_THROTTLED * doubled, _SCHEDULE[-1])


def purpose_key(kind: Kind, *parts: object) -> str:
    """Return the natural key that makes a letter unique: `edition:7:4711`, `confirm:31:1`."""
    return ":".join([kind.value, *map(str, parts)])
