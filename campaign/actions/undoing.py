"""Takes an import back, chunk by chunk: what a crash interrupts, the same command continues. It resurrects nobody.

Who left since stays left; who consented otherwise, or is on another list, stays; so does what somebody changed since.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from campaign.actions import auditing, importing, merging
from campaign.actions.auditing import Deed
from campaign.actions.importing import Order, Report
from campaign.actions.kit import Kit
from campaign.actions.unpacking import FileRefused, look_over
from campaign.domain.errors import Conflict, NotFound
from campaign.store import imports, people, staging, undos
from campaign.store.imports import Import, State

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did: subscriptions taken away, those that stay because of what happened since, values restored."""

    taken: int = 0
    kept: int = 0
    restored: int = 0


async def every(kit: Kit) -> list[Import]:
    """Return all imports, newest first."""
    async with kit.store.read() as tx:
        return await imports.every(tx)


async def find(kit: Kit, import_id: int) -> Import:
    """Return one import; raise NotFound."""
    async with kit.store.read() as tx:
        found = await imports.every(tx, import_id)
    if not found:
        raise NotFound(f"There is no import {import_id}.", remedy="campaign imports list shows them.")
    return found[0]


async def resume(kit: Kit, import_id: int, progress: importing.Progress) -> Report:
    """Go on with an import that was interrupted; raise FileRefused where its file is gone or another one now."""
    found = await find(kit, import_id)
    if found.state is not State.RUNNING:
        raise Conflict(f"Import {import_id} is {found.state}.", remedy="Only one that was interrupted can go on.")
    path = Path(found.path)
    if look_over(path).digest != found.digest:
        remedy = "Put the file back as it was; or undo this import, and import the new one."
        raise FileRefused(f"{path} was changed since it was imported.", remedy=remedy)
    order = Order(path, found.list, found.wording, confirm=bool(found.confirm), mapping=found.reading)
    return await importing.run(kit, order, progress)


async def undo(kit: Kit, import_id: int, progress: Progress = lambda _done: None) -> Undone:
    """Take away what an import added and restore what it changed; twice is fine."""
    found = await find(kit, import_id)
    if found.state is State.UNDONE:
        return Undone()
    async with kit.store.begin() as tx:
        if await imports.begin_undo(tx, import_id, kit.clock.now()):
            after = {"import": import_id, "list": found.list}
            await auditing.note(kit, tx, Deed("import.undo", found.file, after=after))
    done = await _take_back(kit, import_id, await _take_away(kit, import_id, progress))
    await _release(kit, import_id)
    async with kit.store.begin() as tx:
        if await imports.finish_undo(tx, import_id, kit.clock.now()):
            taken = (await imports.every(tx, import_id))[0].undone
            after = {"import": import_id, "list": found.list, "taken": taken}
            await auditing.note(kit, tx, Deed("import.undone", found.file, after=after))
    return done


async def _take_away(kit: Kit, import_id: int, progress: Progress) -> Undone:
    done, after = Undone(), 0
    while True:
        async with kit.store.begin() as tx:
            await staging.prepare(tx)
            part = await undos.take_away(tx, import_id, after, kit.clock.now())
            if part is None:
                return done
            await imports.count_undone(tx, import_id, part.taken)
        after, done = part.last, replace(done, taken=done.taken + part.taken, kept=done.kept + part.kept)
        progress(done.taken + done.kept)
        await kit.store.give_way()


async def _take_back(kit: Kit, import_id: int, done: Undone) -> Undone:
    """Restore what was known before, and make those pending again whom the import alone made active."""
    while True:
        async with kit.store.begin() as tx:
            changes = await undos.changes(tx, import_id)
            if not changes:
                return done
            now, restored = kit.clock.now(), {}
            present = await people.changeable(tx, [one.subscriber_id for one in changes])
            for one in changes:
                known = present.get(one.subscriber_id)
                back = merging.taken_back(kit, one.sealed, known) if one.sealed and known else {}
                if known and back:
                    restored[one.subscriber_id] = {**known, **back}
            await staging.change(tx, restored, now)
            await undos.withdraw(tx, import_id, [one.subscriber_id for one in changes if one.confirmed], now)
            await undos.undone(tx, changes)
        done = replace(done, restored=done.restored + len(restored))
        await kit.store.give_way()


async def _release(kit: Kit, import_id: int) -> None:
    """Let go of what is left of the import: consents of people who were there before, people who stay."""
    for step in (undos.take_consents, undos.release):
        after: int | None = 0
        while after is not None:
            async with kit.store.begin() as tx:
                after = await step(tx, import_id, after)
            await kit.store.give_way()
