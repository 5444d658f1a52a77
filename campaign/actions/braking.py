"""The brake: everything is held now, whatever it is for, and goes on where it stood. It never changes a letter."""

from __future__ import annotations

from campaign.actions import auditing
from campaign.actions.auditing import Deed
from campaign.actions.kit import Kit
from campaign.domain.errors import BadInput
from campaign.domain.shapes import is_line
from campaign.store import brakes
from campaign.store.brakes import Brake

_SUBJECT = "everything"
_LONGEST = 200


async def pull(kit: Kit, because: str = "") -> tuple[Brake, bool]:
    """Hold every letter from this moment on; return the brake, and whether it was off before.

    No token commits afterwards, of service letters neither. Who pulled it first, and why, stays written.
    """
    words = " ".join(because.split())
    if words and not is_line(words, _LONGEST):
        raise BadInput("The reason is too long, or holds signs that nobody can see.", remedy="Say it in a short line.")
    mine = Brake(kit.clock.now(), kit.operator, words)
    async with kit.store.begin() as tx:
        pulled = await brakes.pull(tx, mine)
        if pulled:
            await auditing.note(kit, tx, Deed("brake.on", _SUBJECT, after={"because": words} if words else None))
        found = await brakes.find(tx)
    return found or mine, pulled


async def release(kit: Kit) -> Brake | None:
    """Let everything go on; return the brake that was on, or None when it was off."""
    async with kit.store.begin() as tx:
        found = await brakes.find(tx)
        if await brakes.release(tx) and found is not None:
            before = {"pulled_by": found.pulled_by, "pulled_at": found.pulled_at, "because": found.because}
            await auditing.note(kit, tx, Deed("brake.off", _SUBJECT, before=before))
    kit.doorbell.ring()
    return found


async def look(kit: Kit) -> Brake | None:
    """Return the brake that is on, or None."""
    async with kit.store.read() as tx:
        return await brakes.find(tx)
