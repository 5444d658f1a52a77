"""Who may be put on a list, and how: the one rule by which imports, commands and forms decide. It never stores it.

Nobody who left or was suppressed is ever made active by somebody else: only their own confirmation does that. An import
cannot even ask them again; a single person who asks anew (or for whom an operator asks) gets a letter to confirm.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from campaign.domain.consent import LIFTED_BY_CONFIRMING, Reason, SubscriptionState


class Step(StrEnum):
    """What is done about one person and one list."""

    ACTIVATE = "activate"
    ASK = "ask"
    STAY = "stay"
    REFUSE = "refuse"


class Way(StrEnum):
    """How somebody comes to a list."""

    IMPORT = "import"
    """In a file, with a stated consent."""
    IMPORT_ASKING = "import_asking"
    """In a file, to be asked by letter."""
    VOUCHED = "vouched"
    """One person, on a single opt-in list or with a consent that an operator states."""
    ASKING = "asking"
    """One person, to be asked by letter."""

    @property
    def anew(self) -> bool:
        """Whether it is about this one person, so that an earlier leaving does not settle it."""
        return self in {Way.VOUCHED, Way.ASKING}

    @property
    def consented(self) -> bool:
        """Whether there is a consent already, so that nobody needs to be asked."""
        return self in {Way.IMPORT, Way.VOUCHED}


@dataclass(frozen=True, slots=True)
class Membership:
    """Where a person stands with one list: the subscription's state, when they last left it, and a suppression."""

    state: SubscriptionState | None = None
    left_at: datetime | None = None
    suppressed: Reason | None = None


STRANGER = Membership()
"""Somebody who is not on the list, never was, and is not suppressed."""


def next_step(found: Membership, way: Way) -> Step:
    """Return what is done about somebody who comes to a list in this way.

    Pending people become active by a stated consent, as they would if nobody had asked them yet; but not those who had
    left before they were asked: they must answer themselves.
    """
    if found.suppressed is not None and found.suppressed not in LIFTED_BY_CONFIRMING:
        return Step.REFUSE
    active = found.state is SubscriptionState.ACTIVE
    left = not active and (found.left_at is not None or found.state is SubscriptionState.LEFT)
    if left or found.suppressed is not None:
        return Step.ASK if way.anew else Step.REFUSE
    if active:
        return Step.STAY
    if way.consented:
        return Step.ACTIVATE
    return Step.ASK if found.state is None or way.anew else Step.STAY


def weaker_than(reason: Reason) -> tuple[Reason, ...]:
    """Return the reasons for a suppression that `reason` replaces, so that what was said last in earnest counts."""
    rising = (Reason.BOUNCED, Reason.LEFT, Reason.ERASED, Reason.COMPLAINED, Reason.BLOCKED)
    return rising[: rising.index(reason)]


def why_refused(found: Membership) -> str:
    """Say in plain words why somebody is not put on a list."""
    if found.suppressed is not None:
        return {
            Reason.ERASED: "This person asked to be erased.",
            Reason.COMPLAINED: "This person complained about a letter.",
            Reason.BOUNCED: "This mailbox does not exist, a relay said.",
            Reason.LEFT: "This person asked to get no more letters.",
            Reason.BLOCKED: "This address is blocked by an operator.",
        }[found.suppressed]
    day = f" on {found.left_at:%Y-%m-%d}" if found.left_at else ""
    asked = " and has not answered the letter that asked again" if found.state is SubscriptionState.PENDING else ""
    return f"This person left the list{day}{asked}."
