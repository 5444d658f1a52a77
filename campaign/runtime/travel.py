"""Lets a travelling clock jump from one due instant to the next, so that a rehearsal takes seconds instead of weeks.

It never jumps while anything is due or in hand, and it moves no row: the daemon's own ticks do all the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from campaign.actions import reporting
from campaign.actions.kit import Kit
from campaign.clock import TravelClock
from campaign.domain.delivery import LIVE
from campaign.domain.editions import EditionState
from campaign.domain.errors import CampaignError
from campaign.store import agenda, editions
from campaign.store.editions import Edition

BLINK: Final = timedelta(milliseconds=50)
"""How long before an instant a jump ends, so that what happens then is seen to happen in time."""

_LOOK: Final = 0.05
_STUCK: Final = frozenset({EditionState.MISSED, EditionState.SKIPPED, EditionState.CANCELLED, EditionState.PAUSED})


class JourneyFailed(CampaignError):
    """The edition was not sent."""

    code = "journey_failed"


class Journey:
    """A service of the daemon that travels until one edition is sent."""

    def __init__(
        self, kit: Kit, clock: TravelClock, edition_id: int, arrived: Callable[[datetime], None], patience: float = 45.0
    ) -> None:
        """Turn `clock`, the kit's own; `arrived` is told each instant, `patience` is in seconds of real time."""
        self._kit, self._clock, self._edition_id = kit, clock, edition_id
        self._arrived, self._patience = arrived, patience

    async def run(self, stopping: asyncio.Event) -> Edition | None:
        """Travel, and return the sent edition, or None when the daemon was stopped before.

        Raises JourneyFailed when the edition cannot be sent, or is not within the patience.
        """
        edition = await reporting.find_edition(self._kit, self._edition_id)
        try:
            async with asyncio.timeout(self._patience):
                while edition.state is not EditionState.SENT:
                    if stopping.is_set():
                        return None
                    if edition.state in _STUCK or edition.note:
                        raise JourneyFailed(f"{edition.name} is {edition.state}. {edition.note}".strip())
                    await self._onwards(edition)
                    edition = await reporting.find_edition(self._kit, self._edition_id)
        except TimeoutError:
            msg = f"{edition.name} was not sent within {self._patience:.0f} seconds."
            raise JourneyFailed(msg, remedy="The log of the daemon says why.") from None
        return edition

    async def _onwards(self, edition: Edition) -> None:
        """Jump to just before the next instant, unless something is due now, or the edition only has to be closed."""
        now = self._clock.now()
        async with self._kit.store.read() as tx:
            due, following = await agenda.is_due(tx, now), await agenda.next_instant(tx, now)
            letters = (await editions.tally(tx, [edition.id]))[edition.id]
        done = edition.state is EditionState.SENDING and not any(letters.get(state.value) for state in LIVE)
        if due or done or following is None or following - now <= BLINK:
            await asyncio.sleep(_LOOK)
            return
        self._clock.travel_to(following - BLINK)
        self._arrived(following)
        await asyncio.sleep(BLINK.total_seconds())
        self._kit.doorbell.ring()
