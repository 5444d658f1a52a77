"""Suppressions by the thousand and by the domain: added, brought in from other systems, checked, taken away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from campaign.actions import auditing, journaling, suppressing
from campaign.actions.auditing import Deed
from campaign.actions.kit import Kit
from campaign.actions.rejecting import Refused
from campaign.actions.unpacking import look_over, open_text
from campaign.domain.addresses import parse_address
from campaign.domain.consent import Reason
from campaign.domain.errors import BadInput, NotFound
from campaign.domain.journal import Line, What
from campaign.domain.shapes import is_line
from campaign.domain.sheets import Record, Sheet
from campaign.domain.suppressing import Layout, Target, parse_target
from campaign.store import dialects, ledger, suppressions
from campaign.store.engine import repeated
from campaign.store.suppressions import Entry, Suppression

_CHUNK: Final = 5_000
_SHOWN: Final = 20
_IN_EARNEST: Final = frozenset({Reason.ERASED, Reason.COMPLAINED})


async def add(kit: Kit, target: Target, reason: Reason = Reason.BLOCKED) -> bool:
    """Never mail a mailbox, or a whole domain, again; return False when that was so."""
    if target.mailbox is not None:
        return await suppressing.suppress(kit, target.mailbox, reason)
    return await _add_domain(kit, target.domain)


@repeated
async def _add_domain(kit: Kit, domain: str) -> bool:
    """Block a domain; once this commits, no token for a letter to it does.

    The gate of every token is held alone for that moment. Letters that wait are taken out afterwards, in chunks: they
    could not go out any more, but a count should say so.
    """
    now = kit.clock.now()
    async with kit.store.begin() as tx:
        await dialects.gate(tx, [dialects.EVERYTHING], exclusive=True)
        made = await suppressions.add_domain(tx, domain, now=now, recorded_by=kit.operator)
        await ledger.suppress_domain(tx, domain, now=now)
        if made:
            line = Line(now, What.SUPPRESSED, b"", reason=Reason.BLOCKED, domain=domain)
            await journaling.write(kit, [line])
            await auditing.note(kit, tx, Deed("suppression.add", f"domain {domain}", after={"reason": Reason.BLOCKED}))
    moved = 1
    while moved:
        async with kit.store.begin() as tx:
            moved = await ledger.suppress_domain(tx, domain, now=now, most=_CHUNK)
        if moved:
            await kit.store.give_way()
    return made


@dataclass(slots=True)
class Tally:
    """What became of a suppression file: new or graver ones, those that were so before, and lines nobody can read."""

    rows: int = 0
    added: int = 0
    unchanged: int = 0
    refused: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    shown: list[Refused] = field(default_factory=list)


Progress = Callable[[int], None]


async def bring_in(
    kit: Kit, path: Path, reason: Reason, *, dry_run: bool = False, progress: Progress = lambda _rows: None
) -> Tally:
    """Suppress everybody whom a file names; twice is fine, so what is interrupted is simply done again.

    `reason` is for rows that name none that we know. Raises FileRefused or ColumnsRefused before anything is written.
    """
    looked = await asyncio.to_thread(look_over, path)
    tally = Tally()
    with open_text(path, looked.encoding) as file:
        records = iter(Sheet(file.readline))
        first = next(records, Record(1, []))
        layout = Layout(first.cells)
        rows = records if layout.titled else _chained(first, records)
        while chunk := await asyncio.to_thread(_next, rows):
            await _do(kit, chunk, _Way(layout, reason, dry_run=dry_run), tally)
            progress(tally.rows)
            await kit.store.give_way()
    if not dry_run:
        async with kit.store.begin() as tx:
            after = {"added": tally.added, "unchanged": tally.unchanged, "refused": tally.refused, **tally.reasons}
            await auditing.note(kit, tx, Deed("suppression.import", path.name, after=after))
    return tally


@dataclass(frozen=True, slots=True)
class _Way:
    layout: Layout
    reason: Reason
    dry_run: bool


def _chained(first: Record, rest: Iterator[Record]) -> Iterator[Record]:
    yield first
    yield from rest


def _next(records: Iterator[Record]) -> list[Record]:
    found = []
    for record in records:
        found.append(record)
        if len(found) == _CHUNK:
            break
    return found


async def _do(kit: Kit, chunk: list[Record], way: _Way, tally: Tally) -> None:
    mailboxes: dict[bytes, Reason] = {}
    domains: set[str] = set()
    for record in chunk:
        tally.rows += 1
        try:
            if record.trouble:
                raise BadInput(record.trouble)  # noqa: TRY301 -- one way out for every line that cannot be read
            target, reason = way.layout.read(record.cells, way.reason)
        except BadInput as error:
            tally.refused += 1
            if len(tally.shown) < _SHOWN:
                tally.shown.append(Refused(record.line, str(error), record.cells))
            continue
        if target.mailbox is None:
            domains.add(target.domain)
            tally.reasons["domain"] = tally.reasons.get("domain", 0) + 1
        else:
            mailboxes[kit.keys.address_key(target.mailbox)] = reason
            tally.reasons[reason.value] = tally.reasons.get(reason.value, 0) + 1
    if not way.dry_run:
        added = await _suppress(kit, list(mailboxes.items()))
        added += sum([await _add_domain(kit, domain) for domain in sorted(domains)])
        tally.added += added
        tally.unchanged += len(mailboxes) + len(domains) - added


@repeated
async def _suppress(kit: Kit, found: list[tuple[bytes, Reason]]) -> int:
    now = kit.clock.now()
    async with kit.store.begin() as tx:
        added = await suppressions.add_all(tx, found, now, kit.operator)
        await ledger.suppress_people(tx, [key for key, _ in found], now=now, reason="suppressed")
        lines = [Line(now, What.SUPPRESSED, key, reason=reason) for key, reason in found]
        await journaling.write(kit, lines if added else [])
    return added


async def check(kit: Kit, texts: list[str]) -> list[tuple[str, Suppression | None]]:
    """Say for each address whether it is suppressed, and why."""
    asked = [parse_address(text) for text in texts]
    async with kit.store.read() as tx:
        return [(one.wire, await suppressions.find(tx, kit.keys.address_key(one), one.domain)) for one in asked]


async def every(kit: Kit) -> AsyncIterator[Entry]:
    """Give all suppressions, domains first."""
    async with kit.store.read() as tx:
        wide = await suppressions.every_domain(tx)
    for entry in wide:
        yield entry
    after = 0
    while True:
        async with kit.store.read() as tx:
            page = await suppressions.mailboxes(tx, after, _CHUNK)
        if not page:
            return
        for entry in page:
            yield entry
        after = page[-1].id


async def remove(kit: Kit, text: str, because: str = "") -> Reason:
    """Take a suppression away; return what it was. Nobody is put on a list by it.

    Who complained or was erased needs a reason in writing, which the audit log keeps. Raises NotFound for nobody.
    """
    target, why = parse_target(text), " ".join(because.split())
    key = kit.keys.address_key(target.mailbox) if target.mailbox else None
    async with kit.store.begin() as tx:
        if key is None:
            found = Reason.BLOCKED if await suppressions.remove_domain(tx, target.domain) else None
            if found is not None:
                line = Line(kit.clock.now(), What.LIFTED, b"", reason=found, domain=target.domain)
                await journaling.write(kit, [line])
        else:
            own = await suppressions.find(tx, key)
            found = own.reason if own else None
            _require_words(found, why)
            await suppressions.remove(tx, key)
            if found is not None:
                await journaling.write(kit, [Line(kit.clock.now(), What.LIFTED, key, reason=found)])
        if found is None:
            raise NotFound(f"{target} is not suppressed.", remedy="campaign suppressions check says why somebody is.")
        subject = target.mailbox or f"domain {target.domain}"
        deed = Deed("suppression.remove", subject, before={"reason": found}, after={"because": why} if why else None)
        await auditing.note(kit, tx, deed)
    return found


def _require_words(found: Reason | None, why: str) -> None:
    if found in _IN_EARNEST and (not why or not is_line(why)):
        raise BadInput(
            f"This address is suppressed because somebody said so in earnest ({found}).",
            remedy='Write --because "who asked for it, when and how"; it is kept in the audit log.',
        )
