"""Stops an edition whose addresses look wrong as a whole, before it ruins a list or the sender's name.

It never resumes one.
"""

from __future__ import annotations

from typing import Final

from campaign.actions.kit import Kit
from campaign.domain.editions import EditionEvent
from campaign.logs import get_log
from campaign.store import editions

_log = get_log()
FIRST: Final = 500
MOST: Final = 25
"""Five per cent of the first 500 (design: global breaker)."""
NOTE: Final = (
    "Paused by itself: more than 5 % of its first addresses do not exist, or the relay says so of all. "
    "Look at campaign deliveries list; if it is right all the same, campaign resume lets it go on."
)


async def look(kit: Kit, edition_id: int | None) -> bool:
    """Pause an edition when more than 25 of its first 500 letters met mailboxes that do not exist; say whether it was.

    A person who resumes it has decided: the same edition is not stopped for this again.
    """
    if edition_id is None:
        return False
    async with kit.store.read() as tx:
        edition = await editions.find(tx, edition_id)
        hard, done = await editions.first_outcomes(tx, edition_id, FIRST + 1)
    if edition is None or edition.note == NOTE or done > FIRST or hard <= MOST:
        return False
    async with kit.store.begin() as tx:
        paused = await editions.advance(tx, edition_id, EditionEvent.PAUSE, kit.clock.now(), note=NOTE)
    if paused:
        _log.error("breaker_tripped", edition=edition.name, hard=hard, of=done)
    return paused
