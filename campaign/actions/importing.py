"""Puts the people of a file on a list, chunk by chunk: what a crash interrupts, the same command continues.

Each chunk is one transaction, and says in it how far the import is: nothing is done twice and nothing is lost.
Who left, was suppressed or erased is refused, never resubscribed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from campaign.actions import auditing, joining, listing, merging, reviewing
from campaign.actions.auditing import Deed
from campaign.actions.kit import Kit
from campaign.actions.rejecting import Refused, Rejects, path_for
from campaign.actions.reviewing import Reviewed
from campaign.actions.unpacking import Chunk, Looked, Reader, Reading, Row, Unpacking, look_over, open_text
from campaign.domain.consent import Reason, Source, SubscriptionState
from campaign.domain.errors import BadInput, Conflict
from campaign.domain.joining import Membership, Step, Way, next_step, why_refused
from campaign.domain.mailboxes import Oddity, oddity
from campaign.domain.shapes import is_line
from campaign.logs import get_log
from campaign.store import attributes, consents, imports, people, staging, suppressions, undos
from campaign.store.consents import Given
from campaign.store.engine import Transaction
from campaign.store.imports import Run, Tally
from campaign.store.staging import Joining, Known, Newcomers

Progress = Callable[[int, float], None]
"""Told after each chunk: rows done so far, and rows a second in this run."""

CHUNK: Final = 10_000
"""Rows of one transaction: a leave waits for one chunk at most."""

_CHUNK_ASKING: Final = 2_500
"""With a letter for each person a chunk takes longer."""

_SHOWN: Final = 20
_MAX_WORDING: Final = 2_000
_BLOCKED: Final = Membership(suppressed=Reason.BLOCKED)
_log = get_log()


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be imported: a file, onto a list, under the wording of a consent (with where and when it was given).

    `confirm` asks each person by letter instead of taking the consent as given. `dry_run` writes nothing. `review` is
    told of every row that adds, changes or is refused.
    """

    path: Path
    list: str
    wording: str
    confirm: bool = False
    dry_run: bool = False
    mapping: Mapping[str, str] = field(default_factory=dict)
    review: Callable[[Reviewed], None] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a file: counts over all runs of this import, the file of refused rows, and the first of them.

    `resumed` rows were done by an earlier run; `ignored` columns were not read, `sealed` ones are kept as free text.
    """

    tally: Tally
    rejects: Path | None
    shown: tuple[Refused, ...]
    resumed: int
    ignored: tuple[str, ...]
    sealed: tuple[str, ...] = ()
    encoding: str = ""
    odd: Mapping[Oddity, int] = field(default_factory=dict)
    """How many new mailboxes of this run are worth a second look, and why."""


@dataclass(slots=True)
class _Batch:
    """What is to be done about the rows of one chunk: people to add, known ones to put on the list too, and so on."""

    join: list[Row] = field(default_factory=list)
    enter: list[int] = field(default_factory=list)
    confirm: list[int] = field(default_factory=list)
    agree: list[int] = field(default_factory=list)
    change: dict[int, dict[str, Any]] = field(default_factory=dict)
    before: list[tuple[int, bool, bytes | None]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


async def run(kit: Kit, order: Order, progress: Progress = lambda _rows, _rate: None) -> Report:
    """Import a file; the same order again goes on where it stopped, and changes nothing where it was finished.

    Raises FileRefused or ColumnsRefused before anything is written, Conflict when another process does the same.
    """
    wording = _check_wording(order.wording)
    looked = await asyncio.to_thread(look_over, order.path)
    async with kit.store.read() as tx:
        reading = Reading(await attributes.every(tx), order.mapping)
    with open_text(order.path, looked.encoding) as file:
        work = _Import(kit, order, Unpacking(file, kit.keys, looked.lines, reading))
        try:
            await work.begin(looked, wording)
            return await work.go_on(progress)
        finally:
            await work.stop()


def _check_wording(text: str) -> str:
    wording = " ".join(text.split())
    if wording and is_line(wording, _MAX_WORDING):
        return wording
    raise BadInput(
        "An import needs to say how these people consented.",
        remedy='Write --consent "the wording they agreed to, where, when".',
    )


class _Import:
    """One run of one import."""

    def __init__(self, kit: Kit, order: Order, unpacking: Unpacking) -> None:
        self._kit, self._order, self._unpacking = kit, order, unpacking
        self._way = Way.IMPORT_ASKING if order.confirm else Way.IMPORT
        self._tally = Tally()
        self._shown: list[Refused] = []
        self._list_id = self._wording_id = self._id = self._resumed = 0
        self._list_language: str | None = None
        self._rejects: Rejects | None = None
        self._blocked: set[str] = set()
        self._odd: Counter[Oddity] = Counter()
        self._reader = Reader(unpacking, _CHUNK_ASKING if order.confirm else CHUNK)

    async def begin(self, looked: Looked, wording: str) -> None:
        """Find the unfinished import of this file, list and wording, or begin one; and pass over what it has done."""
        kit, order = self._kit, self._order
        async with kit.store.begin() as tx:
            await staging.prepare(tx)
            wanted = await listing.require(tx, order.list)
            self._list_id, self._list_language = wanted.id, wanted.language
            if order.dry_run:
                self._wording_id = await consents.find_wording(tx, wording, kit.settings.language) or 0
                return
            self._wording_id = await consents.wording(tx, wording, kit.settings.language)
            facts = (looked.digest, order.confirm, self._wording_id, str(order.path.resolve()), order.mapping)
            this = Run(self._list_id, order.path.name, *facts)
            self._id, self._tally = await imports.begin(tx, this, kit.operator, kit.clock.now())
        self._resumed = self._tally.rows_done
        done = await asyncio.to_thread(self._unpacking.skip, self._resumed)
        path = path_for(kit.settings.home, self._id, order.path.stem)
        self._rejects = Rejects(path, self._unpacking.header, done)

    async def go_on(self, progress: Progress) -> Report:
        """Do the chunks that are left.

        The next one is read while PostgreSQL writes by itself; beside other work Python would only pass its lock to and
        fro. On SQLite it is read between two transactions: SQLite gives its lock to whoever asks first, and in that
        pause a daemon in another process has its turn.
        """
        kit, started = self._kit, self._kit.clock.monotonic()
        while (chunk := await self._reader.next()).records:
            async with kit.store.begin() as tx:
                await self._do(tx, chunk)
            del chunk
            seconds = max(kit.clock.monotonic() - started, 1e-6)
            progress(self._tally.rows_done, (self._tally.rows_done - self._resumed) / seconds)
        rejects = await self._finish()
        columns = self._unpacking.columns
        told = (columns.ignored, columns.undeclared, self._unpacking.encoding, self._odd)
        return Report(self._tally, rejects, tuple(self._shown), self._resumed, *told)

    async def stop(self) -> None:
        """Let nobody read the file any more."""
        await self._reader.stop()

    async def _finish(self) -> Path | None:
        kit = self._kit
        if self._rejects is None:
            return None
        async with kit.store.begin() as tx:
            await imports.finish(tx, self._id, kit.clock.now())
            after = {"import": self._id, "list": self._order.list, **asdict(self._tally)}
            await auditing.note(kit, tx, Deed("import.run", self._order.path.name, after=after))
        if self._order.confirm:
            kit.doorbell.ring()
        _log.info("import_finished", import_id=self._id, rows=self._tally.rows_done, refused=self._tally.refused)
        return self._rejects.close()

    async def _do(self, tx: Transaction, chunk: Chunk) -> None:
        """Do one chunk in one transaction; the file of refused rows is on disk before it commits."""
        await staging.prepare(tx)
        found = await staging.known(tx, self._list_id, self._wording_id, [row.key for row in chunk.rows])
        self._blocked = await suppressions.domains(tx)
        batch = self._sort_out(chunk, found)
        after = self._tally + batch.tally
        self._shown += batch.refused[: _SHOWN - len(self._shown)]
        if self._rejects is not None:
            if not await imports.advance(tx, self._id, self._tally, after):
                raise Conflict("This file is being imported elsewhere at this moment.")
            await self._write(tx, batch)
            self._rejects.add(batch.refused)
        self._tally = after

    async def _write(self, tx: Transaction, batch: _Batch) -> None:
        kit, now = self._kit, self._kit.clock.now()
        given = Given(self._wording_id, Source.IMPORT, now, kit.operator, self._id)
        state = SubscriptionState.PENDING if self._order.confirm else SubscriptionState.ACTIVE
        await people.confirm(tx, batch.confirm, now)
        await consents.record(tx, batch.agree, given)
        await staging.change(tx, batch.change, now)
        await undos.record(tx, self._id, batch.before)
        if batch.join or batch.enter:
            sealed = joining.sealed(kit, [(row.key, row.person) for row in batch.join], self._id)
            came = await staging.add(tx, sealed, batch.enter, now)
            if not kit.store.sqlite:
                self._reader.read_ahead()
            await staging.join(tx, came, Joining(self._list_id, state, given))
            if self._order.confirm:
                await self._ask(tx, came)

    async def _ask(self, tx: Transaction, came: Newcomers) -> None:
        asked = await staging.to_ask(tx, self._list_id, came)
        letters = [joining.confirmation(self._kit, one, self._list_language) for one in asked]
        await staging.enqueue(tx, letters, self._kit.clock.now())

    def _sort_out(self, chunk: Chunk, found: dict[bytes, Known]) -> _Batch:
        """Decide about each row, in the file's order."""
        batch = _Batch(refused=list(chunk.refused))
        changed = 0
        for row in chunk.rows:
            known = found.get(row.key)
            if row.person.address.domain in self._blocked:
                batch.refused.append(Refused(row.line, why_refused(_BLOCKED), row.cells))
            elif known is None:
                batch.join.append(row)
                self._see_new(row)
            else:
                changed += self._sort_known(row, known, batch)
        batch.refused.sort(key=lambda one: one.line)
        if self._order.review is not None:
            for one in batch.refused:
                self._order.review(reviewing.refused(one, self._unpacking.columns.place))
        added, refused = len(batch.join) + len(batch.enter), len(batch.refused)
        unchanged = len(chunk.rows) + len(chunk.refused) - added - changed - refused
        batch.tally = Tally(chunk.records, added, changed, unchanged, refused)
        return batch

    def _see_new(self, row: Row) -> None:
        if (why := oddity(row.person.address)) is not None:
            self._odd[why] += 1
        if self._order.review is not None:
            self._order.review(reviewing.new(row))

    def _see_known(
        self, row: Row, known: Known, changes: Mapping[str, Any], *, confirms: bool = False, agrees: bool = False
    ) -> None:
        if self._order.review is not None:
            became: dict[str, tuple[Any, Any]] = {}
            if confirms:
                became["state"] = (known.state, SubscriptionState.ACTIVE)
            if agrees:
                became["consent"] = (None, "in these words")
            self._order.review(reviewing.known(self._kit, row, known, changes, became))

    def _sort_known(self, row: Row, known: Known, batch: _Batch) -> bool:
        """Decide about somebody who is known; say whether that changes something besides putting them on the list."""
        membership = Membership(known.state, known.left_at, known.suppressed)
        step = next_step(membership, self._way)
        if step is Step.REFUSE:
            batch.refused.append(Refused(row.line, why_refused(membership), row.cells))
            return False
        found = {name: getattr(known, name) for name in people.CHANGEABLE}
        changes = merging.merged(self._kit, found, row.person)
        if changes and known.subscriber_id is not None:
            batch.change[known.subscriber_id] = changes
        confirms = step is Step.ACTIVATE and known.subscription_id is not None
        if known.subscriber_id is not None and (changes or confirms):
            sealed = merging.sealed_change(self._kit, found, changes) if changes else None
            batch.before.append((known.subscriber_id, confirms, sealed))
        if known.subscription_id is None:
            if known.subscriber_id is not None:
                batch.enter.append(known.subscriber_id)
            self._see_known(row, known, changes)
            return False
        agrees = self._way.consented and not known.consented
        if confirms:
            batch.confirm.append(known.subscription_id)
        if agrees:
            batch.agree.append(known.subscription_id)
        if changes or confirms or agrees:
            self._see_known(row, known, changes, confirms=confirms, agrees=agrees)
        return bool(changes) or confirms or agrees
