"""The file of refused rows: each with its line, the reason and the row as it was, to be corrected and imported again.

It holds addresses in the clear, as the imported file does, so only the owner of the home can read it.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from campaign.domain.addresses import Address
from campaign.domain.rows import guarded

IMPORTS: Final = "imports"
"""The folder of a home where these files lie."""

_SUFFIX: Final = ".rejects.csv"
_LINE, _REASON = "line", "reason"
_BOM: Final = "\ufeff"
"""Spreadsheet programs take a CSV for UTF-8 only when it begins with this."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One row that was not imported: the line it begins on, why, and its cells."""

    line: int
    reason: str
    cells: Sequence[str]


class Rejects:
    """The refused rows of one import, on disk before the rows beside them are in the database.

    It only writes while the import's row in the database is held, so two imports of one file cannot spoil it.
    """

    def __init__(self, path: Path, header: Sequence[str], done: int) -> None:
        """Go on after line `done` of the imported file: what a crash left behind of later lines does not count."""
        self.path = path
        self._header = (_LINE, _REASON, *header)
        self._size, self.count = _written(path, done)

    def add(self, refused: Iterable[Refused]) -> None:
        """Append rows and force them to disk; what a crash left behind is overwritten."""
        rows = [(one.line, one.reason, *map(guarded, one.cells)) for one in refused]
        if not rows:
            return
        text = _text(rows) if self._size else _BOM + _text([self._header, *rows])
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        with open(handle, "r+b") as file:  # noqa: PTH123 -- by handle, so that the file is private from its first byte
            file.truncate(self._size)
            file.seek(self._size)
            file.write(text.encode(errors="replace"))
            file.flush()
            os.fsync(file.fileno())
            self._size = file.tell()
        self.count += len(rows)

    def close(self) -> Path | None:
        """Take away what a crash left behind; return the file, or None where no row was refused."""
        if not self.count:
            self.path.unlink(missing_ok=True)
            return None
        os.truncate(self.path, self._size)
        return self.path


def path_for(home: Path, import_id: int, stem: str) -> Path:
    """Name the file of one import after its id and the imported file."""
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in stem)[:60]
    return home / IMPORTS / f"{import_id}-{name}{_SUFFIX}"


def mentioning(folder: Path, address: Address) -> tuple[Path, ...]:
    """Return the files that still hold an address in the clear."""
    wanted = {address.wire.casefold(), address.canonical.casefold()}
    return tuple(path for path in sorted(folder.glob(f"*{_SUFFIX}")) if _holds(path, wanted))


def _holds(path: Path, wanted: Iterable[str]) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        return any(text in line.casefold() for line in file for text in wanted)


def _written(path: Path, done: int) -> tuple[int, int]:
    """Measure how many bytes, and how many rows, of a file are about lines up to `done`."""
    if not path.exists():
        return 0, 0
    taken = size = count = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        with path.open("rb") as file:
            for line in file:
                taken += len(line)
                yield line.decode(errors="replace")

    rows = csv.reader(lines())
    next(rows, None)
    for row in rows:
        if len(row) < len((_LINE, _REASON)) or not row[0].isdecimal() or int(row[0]) > done:
            break
        size, count = taken, count + 1
    return size, count


def _text(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
