"""Lets a travelling clock jump from one due instant to the next, so that a rehearsal takes seconds instead of weeks.

It never jumps while anything is due or in hand, and it moves no row: the daemon's own ticks do all the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from campaign.actions import planning
from campaign.actions.kit import Kit
from campaign.clock import TravelClock
from campaign.domain.editions import EditionState
from campaign.domain.errors import CampaignError
from campaign.store import agenda
from campaign.store.editions import Edition

BLINK: Final = timedelta(milliseconds=50)
"""How long before an instant a journey ends, so that what happens then is seen to happen in time."""

_LOOK: Final = 0.05
_STUCK: Final = frozenset({EditionState.MISSED, EditionState.SKIPPED, EditionState.CANCELLED, EditionState.PAUSED})


class JourneyFailed(CampaignError):
    """The edition was not sent."""

    code = "journey_failed"


async def travel(
    kit: Kit, clock: TravelClock, edition_id: int, arrived: Callable[[datetime], None], *, patience: float = 45.0
) -> Edition:
    """Let the clock jump until one edition is sent, and return it; `arrived` is told each instant the clock is set to.

    Raises JourneyFailed when the edition cannot be sent, or is not within `patience` seconds of real time.
    """
    edition = await planning.find_edition(kit, edition_id)
    try:
        async with asyncio.timeout(patience):
            while edition.state is not EditionState.SENT:
                if edition.state in _STUCK or edition.note:
                    raise JourneyFailed(f"{edition.name} is {edition.state}. {edition.note}".strip())
                await _onwards(kit, clock, arrived)
                await asyncio.sleep(_LOOK)
                edition = await planning.find_edition(kit, edition_id)
    except TimeoutError:
        msg = f"{edition.name} was not sent within {patience:.0f} seconds."
        raise JourneyFailed(msg, remedy="The log of the daemon says why.") from None
    return edition


async def _onwards(kit: Kit, clock: TravelClock, arrived: Callable[[datetime], None]) -> None:
    """Jump to just before the next instant, unless something is due now."""
    now = clock.now()
    async with kit.store.read() as tx:
        due, following = await agenda.is_due(tx, now), await agenda.next_instant(tx, now)
    if due or following is None or following - now <= BLINK:
        return
    clock.travel_to(following - BLINK)
    arrived(following)
    await asyncio.sleep(BLINK.total_seconds())
    kit.doorbell.ring()
