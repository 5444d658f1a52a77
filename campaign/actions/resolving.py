"""Settles letters in doubt because a named operator says so. It never guesses, and it writes down who decided."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from campaign.actions import auditing, reporting
from campaign.actions.auditing import Deed
from campaign.actions.kit import Kit
from campaign.domain.delivery import Event
from campaign.domain.editions import EditionState
from campaign.domain.errors import Conflict
from campaign.store import recovery
from campaign.store.editions import Edition
from campaign.store.recovery import RESOLVED

_CHUNK: Final = 5_000
_STOPPED: Final = frozenset({EditionState.CANCELLED, EditionState.SKIPPED})


class As(StrEnum):
    """What an operator may say about letters in doubt."""

    ACCEPTED = "accepted"
    RESEND = "resend"
    EXPIRE = "expire"


_EVENTS: Final = {As.ACCEPTED: Event.ACCEPT, As.RESEND: Event.RESEND, As.EXPIRE: Event.EXPIRE}


@dataclass(frozen=True, slots=True)
class Resolved:
    """How many letters of an edition were settled, and how many stay in doubt: they cannot be sent again."""

    edition: Edition
    settled: int
    left: int


async def in_doubt(kit: Kit, key: str | int) -> int:
    """Return how many letters of an edition are in doubt; raise NotFound."""
    edition = await reporting.find_edition(kit, key)
    async with kit.store.read() as tx:
        return await recovery.in_doubt(tx, edition.id)


async def resolve(kit: Kit, key: str | int, decision: As) -> Resolved:
    """Settle every letter of an edition that is in doubt; run it again after a crash, and it goes on.

    What is sent again is sent at once, and may arrive twice. Letters whose time is over, or which have had all their
    attempts, stay in doubt then. Raises Conflict where the edition was cancelled.
    """
    edition = await reporting.find_edition(kit, key)
    if decision is As.RESEND and edition.state in _STOPPED:
        msg = f"Edition {edition.name} was {edition.state.value}: nothing of it is sent any more."
        raise Conflict(msg, remedy="Resolve its doubts --as accepted or --as expire.")
    settled = 0
    while True:
        now = kit.clock.now()
        async with kit.store.begin() as tx:
            asked = recovery.Resolution(edition.id, _EVENTS[decision], kit.settings.max_attempts, _CHUNK)
            moved = await recovery.resolve(tx, asked, now)
            if moved:
                after = {"letters": moved, "as": decision.value, "reason": RESOLVED}
                await auditing.note(kit, tx, Deed("delivery.resolve", edition.name, after=after))
        settled += moved
        if moved < _CHUNK:
            break
    kit.doorbell.ring()
    async with kit.store.read() as tx:
        return Resolved(edition, settled, await recovery.in_doubt(tx, edition.id))
