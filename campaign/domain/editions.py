"""The lives of campaigns and editions: states, legal moves, lateness and names. It never reads the clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NewType

from campaign.domain.errors import BadInput, IllegalMove

CampaignId = NewType("CampaignId", int)
EditionId = NewType("EditionId", int)


class CampaignState(StrEnum):
    """Where a campaign stands: only an active one sends."""

    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    RETIRED = "retired"


class CampaignEvent(StrEnum):
    """What can happen to a campaign."""

    APPROVE = "approve"
    PAUSE = "pause"
    RESUME = "resume"
    EDIT = "edit"
    RETIRE = "retire"


CAMPAIGN_MOVES: Final[Mapping[tuple[CampaignState, CampaignEvent], CampaignState]] = MappingProxyType(
    {
        (CampaignState.DRAFT, CampaignEvent.APPROVE): CampaignState.ACTIVE,
        (CampaignState.ACTIVE, CampaignEvent.PAUSE): CampaignState.PAUSED,
        (CampaignState.PAUSED, CampaignEvent.RESUME): CampaignState.ACTIVE,
        (CampaignState.ACTIVE, CampaignEvent.EDIT): CampaignState.DRAFT,
        (CampaignState.PAUSED, CampaignEvent.EDIT): CampaignState.DRAFT,
        (CampaignState.DRAFT, CampaignEvent.RETIRE): CampaignState.RETIRED,
        (CampaignState.ACTIVE, CampaignEvent.RETIRE): CampaignState.RETIRED,
        (CampaignState.PAUSED, CampaignEvent.RETIRE): CampaignState.RETIRED,
    }
)


class EditionState(StrEnum):
    """Where one edition stands."""

    PLANNED = "planned"
    FREEZING = "freezing"
    READY = "ready"
    SENDING = "sending"
    SENT = "sent"
    PAUSED = "paused"
    MISSED = "missed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class EditionEvent(StrEnum):
    """What can happen to an edition."""

    FREEZE = "freeze"
    READY = "ready"
    START = "start"
    FINISH = "finish"
    REOPEN = "reopen"
    MISS = "miss"
    SKIP = "skip"
    PAUSE = "pause"
    RESUME_READY = "resume_ready"
    RESUME_SENDING = "resume_sending"
    CANCEL = "cancel"


_S, _E = EditionState, EditionEvent

EDITION_MOVES: Final[Mapping[tuple[EditionState, EditionEvent], EditionState]] = MappingProxyType(
    {
        (_S.PLANNED, _E.FREEZE): _S.FREEZING,
        (_S.MISSED, _E.FREEZE): _S.FREEZING,
        (_S.FREEZING, _E.READY): _S.READY,
        (_S.READY, _E.START): _S.SENDING,
        (_S.SENDING, _E.FINISH): _S.SENT,
        (_S.SENT, _E.REOPEN): _S.SENDING,
        (_S.PLANNED, _E.MISS): _S.MISSED,
        (_S.READY, _E.MISS): _S.MISSED,
        (_S.PLANNED, _E.SKIP): _S.SKIPPED,
        (_S.READY, _E.SKIP): _S.SKIPPED,
        (_S.MISSED, _E.SKIP): _S.SKIPPED,
        (_S.READY, _E.PAUSE): _S.PAUSED,
        (_S.SENDING, _E.PAUSE): _S.PAUSED,
        (_S.PAUSED, _E.RESUME_READY): _S.READY,
        (_S.PAUSED, _E.RESUME_SENDING): _S.SENDING,
        (_S.PLANNED, _E.CANCEL): _S.CANCELLED,
        (_S.FREEZING, _E.CANCEL): _S.CANCELLED,
        (_S.READY, _E.CANCEL): _S.CANCELLED,
        (_S.SENDING, _E.CANCEL): _S.CANCELLED,
        (_S.PAUSED, _E.CANCEL): _S.CANCELLED,
        (_S.MISSED, _E.CANCEL): _S.CANCELLED,
    }
)
"""The only place where the life of an edition is written down."""

FINISHED: Final = frozenset({_S.SENT, _S.SKIPPED, _S.CANCELLED})
AT_WORK: Final = frozenset({_S.FREEZING, _S.READY, _S.SENDING})
"""`campaign run --until-idle` waits for editions in these states."""

PLAN_AHEAD: Final = timedelta(days=400)
FREEZE_LEAD: Final = timedelta(minutes=15)
LATEST_START: Final = timedelta(hours=6)
"""How late a letter of a digest may still start by itself; letters "on the day" may until the end of the local day."""


def origins_of(event: EditionEvent) -> tuple[EditionState, ...]:
    """Return the edition states in which `event` can happen."""
    return tuple(state for state, e in EDITION_MOVES if e is event)


def target_of(event: EditionEvent) -> EditionState:
    """Return the one state to which `event` leads."""
    (target,) = {to for (_, e), to in EDITION_MOVES.items() if e is event}
    return target


def campaign_after(state: CampaignState, event: CampaignEvent) -> CampaignState:
    """Return where `event` takes a campaign; raise IllegalMove where it takes it nowhere."""
    try:
        return CAMPAIGN_MOVES[state, event]
    except KeyError:
        msg = f"A campaign that is {state} cannot {event}."
        raise IllegalMove(msg) from None


NOWHERE: Final = "-"
"""The country of a variant without a helpline block."""


def edition_name(campaign: str, step: str, occurrence: str) -> str:
    """Return the unique name of an edition: `world-day/30d-before/2027-07-30`."""
    return f"{campaign}/{step}/{occurrence}"


def key_of(text: str) -> str | int:
    """Read what names an edition: its id, or its name. No database has an id of more than 18 digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS else text


def check_slug(text: str) -> str:
    """Return `text` when it can be a slug (a-z, 0-9 and hyphens, at most 80).

    Raise BadInput with a proposal otherwise.
    """
    if text and len(text) <= _SLUG_MAX and not text.isdigit() and slug_from(text) == text:
        return text
    proposal = slug_from(text)
    remedy = f"Try '{proposal}'." if proposal else "Use a-z, 0-9 and hyphens, and begin with a letter."
    msg = f"{text[:_SLUG_MAX]!r} cannot be used as a short name."
    raise BadInput(msg, remedy=remedy)


_SLUG_MAX: Final = 80
_ID_DIGITS: Final = 18


def slug_from(text: str) -> str:
    """Return the nearest short name to a title: lower case a-z, 0-9 and single hyphens."""
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in text.lower())
    return "-".join(part for part in plain.split("-") if part)[:_SLUG_MAX].strip("-")
