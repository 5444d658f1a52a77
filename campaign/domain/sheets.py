"""Reads a table written as text (CSV, RFC 4180): its records with their line numbers, whatever is in them.

It holds one record at a time, of a million characters at most, and never knows what a column means.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

MAX_RECORD: Final = 1_000_000
"""Characters of one record, and of one line, beyond which it is refused."""

_SHOWN: Final = 200
_DELIMITERS: Final = ",;\t"


class Record(NamedTuple):
    """One record: the line it begins on (from 1), its cells, and why it cannot be read ("" when it can)."""

    line: int
    cells: list[str]
    trouble: str = ""


class _Cut(str):
    """The beginning of a line that was too long to be kept."""

    __slots__ = ()


class _TooLongError(Exception):
    """A record goes on for more characters than any record has."""


class Sheet:
    """The records of one table.

    A quotation mark that is never closed would swallow the rest of the file. So a record that cannot be read costs its
    first line only: reading goes on with the next one.
    """

    def __init__(self, readline: Callable[[int], str]) -> None:
        """Take a text file's `readline`, opened with `newline=""`; nothing is read yet but the first line."""
        self._readline = readline
        self._line = 0
        self._ahead: deque[str] = deque()
        self._taken: list[str] = []
        self.delimiter: Final = self._find_delimiter()

    def _find_delimiter(self) -> str:
        """Choose what divides the first line with words in it into most cells; a comma where nothing does."""
        while (first := self._next_line()) and not first.strip():
            pass
        if first:
            self._ahead.append(first)
            self._line -= 1
        return max(_DELIMITERS, key=_unquoted(first).count)

    def __iter__(self) -> Iterator[Record]:
        """Give the records in order, without empty ones; the first is the header."""
        reading = True
        while reading:
            reading = False
            reader = csv.reader(self._lines(), delimiter=self.delimiter, skipinitialspace=True, strict=True)
            self._taken.clear()
            line = self._line + 1
            try:
                for cells in reader:
                    if any(cells):
                        yield Record(line, cells)
                    self._taken.clear()
                    line = self._line + 1
            except (csv.Error, _TooLongError) as error:
                reading = True
                yield Record(line, [self._taken[0][:_SHOWN].rstrip("\r\n")], _in_words(error))
                self._ahead.extendleft(reversed(self._taken[1:]))
                self._line = line

    def _lines(self) -> Iterator[str]:
        """Give lines to the reader, and remember those of the record at hand."""
        taken, held = self._taken, 0
        while line := self._next_line():
            held = held + len(line) if taken else len(line)
            taken.append(line)
            if held > MAX_RECORD or type(line) is _Cut:
                raise _TooLongError
            yield line

    def _next_line(self) -> str:
        """Give the next line; of one that is too long keep the beginning and read past the rest."""
        line = self._ahead.popleft() if self._ahead else self._readline(MAX_RECORD)
        if line:
            self._line += 1
        if len(line) < MAX_RECORD or line[-1] in "\r\n":
            return line
        while (rest := self._readline(MAX_RECORD)) and rest[-1] not in "\r\n":
            pass
        return _Cut(line[:_SHOWN])


def _unquoted(line: str) -> str:
    """Give what stands outside quotation marks."""
    return "".join(line.split('"')[::2])


def _in_words(error: Exception) -> str:
    """Say what is wrong with a record, and what to do about it."""
    words = str(error)
    if isinstance(error, _TooLongError):
        return f"This goes on for more than {MAX_RECORD:,} characters. Is a quotation mark open?"
    if "field limit" in words:
        return f"A cell has more than {csv.field_size_limit():,} characters. Is a quotation mark open?"
    if "end of data" in words:
        return "A quotation mark is open until the end of the file. Close it, or write two where one is meant."
    return 'A quotation mark stands inside a cell. Write two ("") where one is meant.'
