"""Who may be mailed: subscriptions, their moves, consent and suppression. It never looks anybody up."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NewType

SubscriberId = NewType("SubscriberId", int)
SubscriptionId = NewType("SubscriptionId", int)
ListId = NewType("ListId", int)


class OptIn(StrEnum):
    """How a list is joined."""

    DOUBLE = "double"
    SINGLE = "single"


class Visibility(StrEnum):
    """Whether a list is shown on public pages."""

    PRIVATE = "private"
    PUBLIC = "public"


class SubscriptionState(StrEnum):
    """Where one person stands on one list."""

    PENDING = "pending"
    ACTIVE = "active"
    LEFT = "left"


class SubscriptionEvent(StrEnum):
    """What can happen to a subscription."""

    CONFIRM = "confirm"
    LEAVE = "leave"
    REJOIN = "rejoin"
    WITHDRAW = "withdraw"
    """The import that said they had agreed is undone."""
    LAPSE = "lapse"
    """They were asked whether they still want letters, and did not answer in time."""


_S, _E = SubscriptionState, SubscriptionEvent

SUBSCRIPTION_MOVES: Final[Mapping[tuple[SubscriptionState, SubscriptionEvent], SubscriptionState]] = MappingProxyType(
    {
        (_S.PENDING, _E.CONFIRM): _S.ACTIVE,
        (_S.PENDING, _E.LEAVE): _S.LEFT,
        (_S.ACTIVE, _E.LEAVE): _S.LEFT,
        (_S.LEFT, _E.REJOIN): _S.PENDING,
        (_S.ACTIVE, _E.WITHDRAW): _S.PENDING,
        (_S.ACTIVE, _E.LAPSE): _S.LEFT,
    }
)
"""Nobody who left becomes active again except through their own confirmation."""


class Reason(StrEnum):
    """Why an address must not be mailed."""

    ERASED = "erased"
    COMPLAINED = "complained"
    BOUNCED = "bounced"
    LEFT = "left"
    """They asked another system, or by word of mouth, to get nothing more."""
    BLOCKED = "blocked"


LIFTED_BY_CONFIRMING: Final = frozenset({Reason.ERASED, Reason.BOUNCED, Reason.LEFT})
"""A fresh double opt-in by the person lifts these; a complaint or an operator's block it never lifts."""


class Source(StrEnum):
    """Where a consent came from."""

    IMPORT = "import"
    COMMAND = "command"
    FORM = "form"
    LETTER = "letter"


def subscription_origins(event: SubscriptionEvent) -> tuple[SubscriptionState, ...]:
    """Return the subscription states in which `event` can happen."""
    return tuple(state for state, e in SUBSCRIPTION_MOVES if e is event)
