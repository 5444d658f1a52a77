"""Takes a file of people apart: looks it over as a whole, then gives its rows in chunks. It never asks the database."""

from __future__ import annotations

import asyncio
import codecs
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, TextIO

from campaign.actions.rejecting import Refused
from campaign.domain.attributes import Attribute
from campaign.domain.duplicates import Seen
from campaign.domain.errors import BadInput
from campaign.domain.people import Person
from campaign.domain.rows import Columns, find_columns
from campaign.domain.sheets import Record, Sheet
from campaign.keys import Keyring

_BLOCK: Final = 1 << 20
_FIRST_WORDS: Final = 200
_OTHER_KINDS: Final = (
    (b"PK\x03\x04", "a spreadsheet"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet"),
    (codecs.BOM_UTF16_LE, "UTF-16 text"),
    (codecs.BOM_UTF16_BE, "UTF-16 text"),
)
_SAVE_AS: Final = "Open it in your spreadsheet program and save it as CSV UTF-8."


class FileRefused(BadInput):
    """This file cannot be imported."""

    code = "file_refused"


UTF_8: Final = "utf-8-sig"
WESTERN: Final = "cp1252"
"""What older spreadsheet programs of Western Europe and America write; Latin-1 with more signs."""


def open_text(path: Path, encoding: str = UTF_8) -> TextIO:
    """Open a file that was looked over, for `Unpacking`."""
    return path.open(encoding=encoding, newline="")


@dataclass(frozen=True, slots=True)
class Looked:
    """What a first look at a whole file tells: its SHA-256, about how many lines it has, how its text is written."""

    digest: bytes
    lines: int
    encoding: str = UTF_8


def look_over(path: Path) -> Looked:
    """Read a file once; raise FileRefused where it is no text or mixed, naming the line, before anything is written."""
    digest, lines = hashlib.sha256(), 0
    decoder = codecs.getincrementaldecoder("utf-8")()
    encoding = UTF_8
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                if not lines and (kind := next((kind for mark, kind in _OTHER_KINDS if block.startswith(mark)), None)):
                    raise FileRefused(f"{path.name} is {kind}, not a CSV file in UTF-8.", remedy=_SAVE_AS)
                digest.update(block)
                encoding = encoding if encoding == WESTERN or _decodes(decoder, block) else WESTERN
                lines += block.count(b"\n")
            if encoding == UTF_8 and not _decodes(decoder, b"", final=True):
                encoding = WESTERN
            if encoding == WESTERN:
                file.seek(0)
                _refuse_mixed(path, file)
    except OSError as error:
        raise FileRefused(f"{path} cannot be read: {error.strerror}.") from error
    return Looked(digest.digest(), lines, encoding)


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(block, final=final)
    except UnicodeDecodeError:
        return False
    return True


def _refuse_mixed(path: Path, file: BinaryIO) -> None:
    """See that a file which is no UTF-8 is Western text throughout: some lines of both would be read as nonsense."""
    as_utf_8 = first = number = 0
    while line := file.readline(_BLOCK):
        number += 1
        if line.isascii():
            continue
        if _is(line, "utf-8"):
            as_utf_8 = as_utf_8 or number
        elif _is(line, WESTERN):
            first = first or number
        else:
            msg = f"{path.name} is neither UTF-8 nor Western text: look at line {number}."
            raise FileRefused(msg, remedy=_SAVE_AS)
        if as_utf_8 and first:
            msg = f"{path.name} mixes two encodings: line {as_utf_8} is UTF-8, line {first} is not."
            raise FileRefused(msg, remedy=f"Repair or take out line {first}. {_SAVE_AS}")


@dataclass(frozen=True, slots=True)
class Reading:
    """How columns are to be read: the declared attributes, and what somebody said about columns by name."""

    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    mapping: Mapping[str, str] = field(default_factory=dict)


def _is(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


class Row(NamedTuple):
    """One good row: the line it begins on, the keyed hash of the mailbox, the person, and its cells as they were."""

    line: int
    key: bytes
    person: Person
    cells: list[str]


@dataclass(slots=True)
class Chunk:
    """Some records of a file: the good rows, the refused ones, how many in all, and the line the last begins on."""

    rows: list[Row] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    records: int = 0
    last_line: int = 0


def _table(file: TextIO) -> Iterable[Record]:
    """Read a file as what its first words say it is: cards, or a table of text."""
    beginning = file.read(_FIRST_WORDS).lstrip("\ufeff").lstrip()
    file.seek(0)
    if not beginning.upper().startswith("BEGIN:VCARD"):
        return Sheet(file.readline)
    from campaign.actions.cards import Cards  # noqa: PLC0415 -- a library that few imports need

    return Cards(file.readline)


class Unpacking:
    """The people in one file, in its order; a mailbox that was named before in a good row is left out."""

    def __init__(self, file: TextIO, keys: Keyring, lines: int, reading: Reading = Reading()) -> None:
        """Read the header of an open file; raise ColumnsRefused where that names no addresses."""
        self._keys = keys
        self.encoding: Final = file.encoding
        self._seen = Seen(lines)
        self._records: Iterator[Record] = iter(_table(file))
        header = next(self._records, Record(1, []))
        self.header: Final = header.cells
        self.columns: Final[Columns] = find_columns(header.cells, reading.attributes, reading.mapping)

    def next_chunk(self, most: int) -> Chunk:
        """Give the next records, at most so many; none after the last. It may run in a thread."""
        chunk = Chunk()
        for record in self._records:
            chunk.records += 1
            chunk.last_line = record.line
            self._sort(record, chunk)
            if chunk.records == most:
                break
        return chunk

    def skip(self, records: int) -> int:
        """Pass over records that an earlier run has done, remembering their mailboxes; return the last one's line."""
        line = 0
        while records:
            chunk = self.next_chunk(min(records, 1_000))
            if not chunk.records:
                raise FileRefused("The file is shorter than it was. Was it changed?")
            records, line = records - chunk.records, chunk.last_line
        return line

    def _sort(self, record: Record, chunk: Chunk) -> None:
        if record.trouble:
            chunk.refused.append(Refused(record.line, record.trouble, record.cells))
            return
        try:
            person = self.columns.read(record.cells)
        except BadInput as error:
            chunk.refused.append(Refused(record.line, str(error), record.cells))
            return
        key = self._keys.address_key(person.address)
        if self._seen.add(key):
            chunk.rows.append(Row(record.line, key, person, record.cells))


class Reader:
    """Reads chunk after chunk in a thread, one of them ahead where somebody says so."""

    def __init__(self, unpacking: Unpacking, most: int) -> None:
        """Read chunks of at most so many records."""
        self._unpacking, self._most = unpacking, most
        self._ahead: asyncio.Task[Chunk] | None = None

    def read_ahead(self) -> None:
        """Begin with the next chunk now, beside what the caller waits for."""
        if self._ahead is None:
            self._ahead = asyncio.create_task(asyncio.to_thread(self._unpacking.next_chunk, self._most))

    async def next(self) -> Chunk:
        """Give the next chunk; one without records after the last."""
        self.read_ahead()
        ahead, self._ahead = self._ahead, None
        return await ahead if ahead is not None else Chunk()

    async def stop(self) -> None:
        """Wait until nothing is read any more, so that the file can be closed."""
        if self._ahead is not None:
            await asyncio.wait([self._ahead])
