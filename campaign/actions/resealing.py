"""Looks at every seal, and puts all of them under the newest key. It never writes a key down; settings do that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from campaign.actions import auditing
from campaign.actions.auditing import Deed
from campaign.actions.kit import Kit
from campaign.keys import SealBroken, key_id
from campaign.store import seals

_PAGE: Final = 5_000

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Place:
    """One sealed column: how many values lie under which key (by its id), and how many of them no key here opens."""

    name: str
    keys: dict[str, int]
    broken: int


async def check(kit: Kit, progress: Progress = lambda _seals: None) -> list[Place]:
    """Open every seal there is, and count."""
    found, seen = [], 0
    for place in seals.PLACES:
        counted: Counter[str] = Counter()
        after = broken = 0
        while True:
            async with kit.store.read() as tx:
                page = await seals.page(tx, place, after, _PAGE)
            if not page:
                break
            for _, sealed in page:
                counted[key_id(sealed)] += 1
                broken += not _opens(kit, sealed, place.purpose)
            after, seen = page[-1][0], seen + len(page)
            progress(seen)
        found.append(Place(str(place), dict(counted), broken))
    return found


async def reseal(kit: Kit, progress: Progress = lambda _seals: None) -> int:
    """Put every seal under the newest key, in chunks; return how many were under another one.

    Beside a daemon that works it is safe: a value that changed meanwhile is left to whoever changed it, and looked at
    again by the next run. Raises SealBroken before anything of a chunk is written where no key here opens a seal.
    """
    moved = seen = 0
    for place in seals.PLACES:
        after = 0
        while True:
            async with kit.store.begin() as tx:
                page = await seals.page(tx, place, after, _PAGE)
                fresh = [(row, old, kit.keys.reseal(old, purpose=place.purpose)) for row, old in page]
                await seals.replace(tx, place, [(row, old, new) for row, old, new in fresh if new is not None])
            if not page:
                break
            moved += sum(new is not None for _, _, new in fresh)
            after, seen = page[-1][0], seen + len(page)
            progress(seen)
            await kit.store.give_way()
    async with kit.store.begin() as tx:
        await auditing.note(kit, tx, Deed("keys.rotate", f"seal key {kit.keys.newest}", after={"seals": moved}))
    return moved


def _opens(kit: Kit, sealed: bytes, purpose: str) -> bool:
    try:
        kit.keys.open(sealed, purpose=purpose)
    except SealBroken:
        return False
    return True
