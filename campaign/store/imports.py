"""Statements about imports: which file went to which list, how far, what became of its rows. It never reads a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import insert, select, update

from campaign.store.engine import Transaction
from campaign.store.schema.people import imports, lists, wordings

_I: Final = imports.c


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of rows; the rest of `rows_done` are repetitions of a mailbox named before in the same file."""

    rows_done: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0

    @property
    def duplicates(self) -> int:
        """Rows that named a mailbox again."""
        return self.rows_done - self.added - self.changed - self.unchanged - self.refused

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, name) + getattr(other, name) for name in Tally.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Run:
    """One import: the file by its digest, the list, the wording; the same again goes on where it stopped."""

    list_id: int
    file: str
    digest: bytes
    confirm: bool
    wording_id: int
    path: str = ""
    reading: Mapping[str, str] = field(default_factory=dict)
    """What somebody said about columns, by name."""


async def begin(tx: Transaction, run: Run, recorded_by: str, now: datetime) -> tuple[int, Tally]:
    """Return the id and the tally of an unfinished import of this kind, or of a new one."""
    same = (_I.list_id == run.list_id, _I.digest == run.digest, _I.confirm == int(run.confirm))
    columns = [_I[name] for name in Tally.__dataclass_fields__]
    unfinished = (_I.wording_id == run.wording_id, _I.finished_at.is_(None), _I.undoing_at.is_(None))
    open_ = select(_I.id, _I.reading, *columns).where(*same, *unfinished).order_by(_I.id.desc())
    for row in await tx.execute(open_):
        if (row[1] or {}) == run.reading:
            return row[0], Tally(*row[2:])
    values = {name: getattr(run, name) for name in Run.__dataclass_fields__}
    values |= {"confirm": int(run.confirm), "reading": dict(run.reading) or None}
    made = await tx.execute(
        insert(imports).values(**values, recorded_by=recorded_by, started_at=now).returning(_I.id),
    )
    return int(made.scalar_one()), Tally()


async def advance(tx: Transaction, import_id: int, before: Tally, after: Tally) -> bool:
    """Write down how far an import is; return False when somebody else moved it, whose rows these then are."""
    mine = (_I.id == import_id, _I.rows_done == before.rows_done, _I.finished_at.is_(None), _I.undoing_at.is_(None))
    values = {name: getattr(after, name) for name in Tally.__dataclass_fields__}
    return bool((await tx.execute(update(imports).where(*mine).values(**values))).rowcount == 1)


async def finish(tx: Transaction, import_id: int, now: datetime) -> None:
    """Close an import after its last row."""
    open_ = (_I.id == import_id, _I.finished_at.is_(None), _I.undoing_at.is_(None))
    await tx.execute(update(imports).where(*open_).values(finished_at=now))


class State(StrEnum):
    """How far an import is."""

    RUNNING = "running"
    FINISHED = "finished"
    UNDOING = "undoing"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Import:
    """One import as it is listed."""

    id: int
    file: str
    path: str
    list: str
    confirm: int
    digest: bytes
    wording: str
    reading: Mapping[str, str]
    recorded_by: str
    started_at: datetime
    finished_at: datetime | None
    undoing_at: datetime | None
    undone_at: datetime | None
    undone: int
    tally: Tally

    @property
    def state(self) -> State:
        """How far it is: `running` also when it was interrupted and waits to be resumed."""
        if self.undone_at is not None:
            return State.UNDONE
        if self.undoing_at is not None:
            return State.UNDOING
        return State.RUNNING if self.finished_at is None else State.FINISHED


async def every(tx: Transaction, import_id: int | None = None) -> list[Import]:
    """Return the imports, newest first; or the one of that id."""
    alone = (_I.id, _I.file, _I.path, lists.c.slug, _I.confirm, _I.digest, wordings.c.text, _I.reading, _I.recorded_by)
    columns = (*alone, _I.started_at, _I.finished_at, _I.undoing_at, _I.undone_at, _I.undone)
    found = select(*columns, *(_I[name] for name in Tally.__dataclass_fields__))
    found = found.join(lists, lists.c.id == _I.list_id).join(wordings, wordings.c.id == _I.wording_id)
    if import_id is not None:
        found = found.where(_I.id == import_id)
    rows = await tx.execute(found.order_by(_I.id.desc()))
    return [_import(row) for row in rows]


def _import(row: Any) -> Import:
    names = list(Import.__dataclass_fields__)[:-1]
    values = dict(zip(names, row, strict=False))
    return Import(**{**values, "reading": values["reading"] or {}}, tally=Tally(*row[len(names) :]))


async def begin_undo(tx: Transaction, import_id: int, now: datetime) -> bool:
    """Say that an import is being undone: from now on nobody goes on with it. Return False when that was so."""
    begun = update(imports).where(_I.id == import_id, _I.undoing_at.is_(None)).values(undoing_at=now)
    return bool((await tx.execute(begun)).rowcount)


async def count_undone(tx: Transaction, import_id: int, people: int) -> None:
    """Count the people whom an undo took away."""
    await tx.execute(update(imports).where(_I.id == import_id).values(undone=_I.undone + people))


async def finish_undo(tx: Transaction, import_id: int, now: datetime) -> bool:
    """Say that an undo is done; return False when it was."""
    done = await tx.execute(update(imports).where(_I.id == import_id, _I.undone_at.is_(None)).values(undone_at=now))
    return bool(done.rowcount)
