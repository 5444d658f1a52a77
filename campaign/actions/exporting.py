"""Writes people down for other programs: as CSV that no spreadsheet runs and our own import reads, or as JSON."""

from __future__ import annotations

import csv
import fcntl
import json
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from campaign.actions import auditing, finding, merging
from campaign.actions.auditing import Deed
from campaign.actions.kit import Kit
from campaign.domain.addresses import printable
from campaign.domain.errors import BadInput
from campaign.domain.rows import guarded
from campaign.store.roster import Entry

_FIELDS: Final = ("email", "name", "list", "state", "country", "language", "timezone", "topics")
_BOM: Final = "\ufeff"
_ASIDE: Final = ".part"
_PATH_MAX: Final = 1_000

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """Whom to write down, and where: of one list and one state, or of all."""

    path: Path
    list: str | None = None
    state: str | None = None
    json: bool = False


async def export(kit: Kit, order: Order) -> int:
    """Write a file that only its owner can read, whole or not at all; return how many rows it has.

    A file that is there is replaced. In CSV each attribute has a column.
    """
    names = () if order.json else await _names(kit, order)
    with whole_file(order.path) as file:
        count = 0
        sheet = csv.writer(file)
        if not order.json:
            file.write(_BOM)
            sheet.writerow([*_FIELDS, *names])
        async for row in _rows(kit, order):
            if order.json:
                file.write(f"{',' if count else '['}\n  {json.dumps(row, ensure_ascii=False)}")
            else:
                sheet.writerow(map(guarded, _cells(row, names)))
            count += 1
        if order.json:
            file.write("\n]\n" if count else "[]\n")
    async with kit.store.begin() as tx:
        after = {"rows": count, "list": order.list, "state": order.state}
        await auditing.note(kit, tx, Deed("subscriber.export", order.path.name, after=after))
    return count


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Open a file beside `path` that takes its place at the end of the block: it is there whole, or as it was.

    Where the block fails, nothing stays behind. Raises BadInput for what is no file, cannot be written, or is being
    written by another export.
    """
    place = _place(path)  # beside the file itself: a link to it stays a link
    aside = place.with_name(f"{place.name}{_ASIDE}")
    with _begun(aside) as file:
        try:
            yield file
            _put(file, aside, place)
        except BaseException:
            if _is(file, aside):
                aside.unlink(missing_ok=True)
            raise


@contextmanager
def _begun(aside: Path) -> Iterator[TextIO]:
    """Begin the file beside, and hold it: whoever else would write it meanwhile is refused."""
    with ExitStack() as held:
        held.enter_context(_left_behind(aside))
        # Whoever begins it in this moment is refused too: "File exists".
        file = held.enter_context(_stream(_opened(aside, os.O_EXCL | os.O_NOFOLLOW)))
        _hold(file.fileno(), aside)
        yield file


@contextmanager
def _left_behind(aside: Path) -> Iterator[None]:
    """Take away what an export that was killed left there, or a link that somebody laid; hold it for the block."""
    try:
        handle = os.open(aside, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # nothing, or a link
        handle = None
    try:
        if handle is not None:
            _hold(handle, aside)
        with suppress(OSError):  # a folder: it is said in a moment
            aside.unlink()
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _hold(handle: int, aside: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _taken(aside) from None
    except OSError:  # a file system that knows no locks
        return


def _put(file: TextIO, aside: Path, place: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    if not _is(file, aside):
        raise _taken(aside)
    aside.replace(place)


def _is(file: TextIO, path: Path) -> bool:
    """Say whether an open file is the one of that name: where nothing is locked another export may begin it anew."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False


def _taken(aside: Path) -> BadInput:
    msg = f"Another export is writing {_shown(aside)}, or took away what this one wrote."
    return BadInput(msg, remedy="Wait until it has ended, or name another file.")


def private_file(path: Path) -> TextIO:
    """Open a file for writing that nobody else can read from its first byte on, one that is there included.

    Raises BadInput for what is no file, or cannot be written.
    """
    handle = _opened(_place(path))
    os.fchmod(handle, 0o600)
    os.ftruncate(handle, 0)
    return _stream(handle)


def _opened(place: Path, how: int = 0) -> int:
    try:
        return os.open(place, os.O_WRONLY | os.O_CREAT | how, 0o600)
    except OSError as error:
        msg = f"{_shown(place)} cannot be written: {error.strerror}."
        raise BadInput(msg, remedy="Name a file in a folder that is there and that you may write to.") from error


def _stream(handle: int) -> TextIO:
    return open(handle, "w", encoding="utf-8", newline="")  # the caller closes it


def _shown(path: Path) -> str:
    return printable(str(path).removesuffix(_ASIDE), limit=_PATH_MAX)


def _place(path: Path) -> Path:
    """Return where a file really lies; raise BadInput for what must not be replaced, such as /dev/null or a folder."""
    try:
        place = path.resolve()
        if place.name and (place.is_file() or not place.exists()):
            return place
    except (OSError, ValueError, RuntimeError):
        pass  # a name that is too long, a zero in it, links in a circle
    msg = f"{printable(str(path), limit=_PATH_MAX)} is not a file that can be written."
    raise BadInput(msg, remedy="Name a file, as in letters.csv.")


async def _entries(kit: Kit, order: Order) -> AsyncIterator[Entry]:
    async for entry in finding.entries(kit, order.list):
        if order.state is None or finding.state_of(entry) == order.state:
            yield entry


async def _names(kit: Kit, order: Order) -> tuple[str, ...]:
    """Return the attributes that these people have, by a look at each of them."""
    found: set[str] = set()
    async for entry in _entries(kit, order):
        found.update(_attributes(kit, entry))
    return tuple(sorted(found))


async def _rows(kit: Kit, order: Order) -> AsyncIterator[Row]:
    async for entry in _entries(kit, order):
        known = finding.row_of(kit, entry)
        yield {
            "email": known.address,
            "name": known.name,
            "list": known.list,
            "state": known.state,
            "country": known.country,
            "language": known.language,
            "timezone": known.timezone,
            "topics": list(entry.topics or ()),
            "attributes": _attributes(kit, entry),
        }


def _attributes(kit: Kit, entry: Entry) -> dict[str, Any]:
    known = {"attributes": entry.attributes, "attributes_sealed": entry.attributes_sealed}
    return merging.readable(kit, known)[0]


def _cells(row: Row, names: Iterable[str]) -> list[str]:
    plain = [row[field] for field in _FIELDS[:-1]]
    values = [row["attributes"].get(name) for name in names]
    return [_cell(value) for value in (*plain, ", ".join(row["topics"]), *values)]


def _cell(value: object) -> str:
    if value is None:
        return ""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
