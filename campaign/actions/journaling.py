"""Keeps leaves and erasures in a file beside the database, and tells them again to one that was restored from a backup.

A line is on disk before its transaction commits; one whose transaction failed does no harm, for the person had asked.
Whatever was true after a line (somebody joined anew) is not undone by telling it again.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from campaign.actions.kit import Kit
from campaign.domain.consent import Reason
from campaign.domain.journal import Line, What, parse_line
from campaign.logs import get_log
from campaign.store import dialects, instance, ledger, lists, people, suppressions
from campaign.store.engine import Transaction

NAME: Final = "journal.jsonl"
_CHUNK: Final = 500
_log = get_log()


async def write(kit: Kit, lines: Sequence[Line]) -> None:
    """Append lines, durably. A disk that is full is told in the log, and keeps nobody from leaving."""
    if not lines:
        return
    try:
        await asyncio.to_thread(_append, kit.settings.home / NAME, "".join(f"{line}\n" for line in lines))
    except OSError as error:
        _log.error("journal_failed", error=str(error), lines=len(lines))


def _append(path: Path, text: str) -> None:
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        os.write(handle, ("\n" if torn else "").encode() + text.encode())
        os.fsync(handle)
    finally:
        os.close(handle)


async def replay(kit: Kit) -> int:
    """Tell the database what the journal says since it was told last; return how many wishes it did not know.

    For a database that was never restored that is none. It is done at each start of the daemon.
    """
    path = kit.settings.home / NAME
    async with kit.store.read() as tx:
        start = await instance.journal_to(tx)
    if not path.exists():
        return 0
    if path.stat().st_size < start:
        _log.warning("journal_shorter", expected=start, found=path.stat().st_size)
        start = 0
    lifted = await asyncio.to_thread(_lifted, path, start)
    told = 0
    for end, chunk in _chunks(path, start):
        async with kit.store.begin() as tx:
            for line in chunk:
                told += await _tell(kit, tx, line, lasting=lifted.get(line.whose, line.at) <= line.at)
            await instance.set_journal_to(tx, end)
        await kit.store.give_way()
    if told:
        _log.warning("journal_replayed", wishes=told)
    return told


def _lifted(path: Path, start: int) -> dict[bytes | str, datetime]:
    """Return when suppressions were lifted last, by whose: what was said before must not be in force for a moment."""
    lines = (line for _, chunk in _chunks(path, start) for line in chunk)
    return {line.whose: line.at for line in lines if line.what is What.LIFTED}


def _chunks(path: Path, start: int) -> Iterator[tuple[int, list[Line]]]:
    """Give whole lines from a byte on, some at a time, each time with the byte after them."""
    with path.open("rb") as file:
        file.seek(start)
        at, found = start, []
        for raw in file:
            if not raw.endswith(b"\n"):
                break
            at += len(raw)
            if (line := parse_line(raw.decode(errors="replace"))) is not None:
                found.append(line)
            if len(found) == _CHUNK:
                yield at, found
                found = []
        if at > start:
            yield at, found


async def _tell(kit: Kit, tx: Transaction, line: Line, *, lasting: bool) -> bool:
    """Put a wish in force; `lasting` says that no later line lifts the suppression it speaks of."""
    now = kit.clock.now()
    if line.domain is not None:
        return lasting and await _tell_domain(tx, line, line.domain, now)
    if line.what is What.LIFTED:
        by_operator = line.reason is not None
        return await (suppressions.remove if by_operator and lasting else suppressions.lift)(tx, line.key)
    if line.what is What.SUPPRESSED and not lasting:
        return False
    changed = False
    if line.what is not What.LEFT and lasting:
        reason = line.reason or (Reason.ERASED if line.what is What.ERASED else Reason.BLOCKED)
        changed = await suppressions.add(tx, line.key, reason, now=line.at, recorded_by="journal")
    person = await people.find(tx, line.key)
    if person is None or (line.what is What.ERASED and person.created_at > line.at):
        return changed
    if line.what is not What.SUPPRESSED:
        ids = None if line.lists is None else await lists.ids_of(tx, line.lists)
        changed |= bool(await people.leave(tx, person.id, ids, now, before=line.at))
    await ledger.suppress_person(tx, line.key, now=now, reason=line.what.value)
    if line.what is What.ERASED:
        await ledger.forget_person(tx, line.key)
        changed |= bool(await people.forget(tx, line.key))
    return changed


async def _tell_domain(tx: Transaction, line: Line, domain: str, now: datetime) -> bool:
    if line.what is What.LIFTED:
        return await suppressions.remove_domain(tx, domain)
    await dialects.gate(tx, await ledger.sending_editions(tx), exclusive=True)
    made = await suppressions.add_domain(tx, domain, now=line.at, recorded_by="journal")
    await ledger.suppress_domain(tx, domain, now=now)
    return made
