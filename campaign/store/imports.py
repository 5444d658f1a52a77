"""Statements about imports: which file went to which list, how far, what became of its rows. It never reads a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import insert, select, update

from campaign.store.engine import Transaction
from campaign.store.schema.people import imports

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


async def begin(tx: Transaction, run: Run, recorded_by: str, now: datetime) -> tuple[int, Tally]:
    """Return the id and the tally of an unfinished import of this kind, or of a new one."""
    same = (_I.list_id == run.list_id, _I.digest == run.digest, _I.confirm == int(run.confirm))
    columns = [_I[name] for name in Tally.__dataclass_fields__]
    open_ = select(_I.id, *columns).where(*same, _I.wording_id == run.wording_id, _I.finished_at.is_(None))
    row = (await tx.execute(open_.order_by(_I.id.desc()).limit(1))).one_or_none()
    if row is not None:
        return row[0], Tally(*row[1:])
    values = {name: getattr(run, name) for name in Run.__dataclass_fields__} | {"confirm": int(run.confirm)}
    made = await tx.execute(
        insert(imports).values(**values, recorded_by=recorded_by, started_at=now).returning(_I.id),
    )
    return int(made.scalar_one()), Tally()


async def advance(tx: Transaction, import_id: int, before: Tally, after: Tally) -> bool:
    """Write down how far an import is; return False when somebody else moved it, whose rows these then are."""
    mine = (_I.id == import_id, _I.rows_done == before.rows_done, _I.finished_at.is_(None))
    values = {name: getattr(after, name) for name in Tally.__dataclass_fields__}
    return bool((await tx.execute(update(imports).where(*mine).values(**values))).rowcount == 1)


async def finish(tx: Transaction, import_id: int, now: datetime) -> None:
    """Close an import after its last row."""
    await tx.execute(update(imports).where(_I.id == import_id, _I.finished_at.is_(None)).values(finished_at=now))
