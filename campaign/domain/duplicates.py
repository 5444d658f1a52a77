"""Remembers which mailboxes a file named already, in about 12 bytes each. It never knows an address."""

from __future__ import annotations

from array import array
from typing import Final

_MARK: Final = 8
_ROOM: Final = 3


class Seen:
    """A set of keyed hashes that tells two apart with certainty but for one case in 2**64 for each pair.

    Python's own set would take ten times the memory, too much for a list of some million people.
    """

    def __init__(self, expected: int = 0) -> None:
        """Make room for about so many."""
        self._count = 0
        self._slots = _empty(expected)

    def add(self, key: bytes) -> bool:
        """Remember a hash of 8 bytes or more, evenly spread; say whether it is new."""
        mark = int.from_bytes(key[:_MARK]) or 1
        new = _put(self._slots, mark)
        if new:
            self._count += 1
            if _ROOM * self._count > 2 * len(self._slots):
                self._grow()
        return new

    def __len__(self) -> int:
        return self._count

    def _grow(self) -> None:
        larger = _empty(2 * self._count)
        for mark in self._slots:
            if mark:
                _put(larger, mark)
        self._slots = larger


def _empty(expected: int) -> array[int]:
    """Give slots for so many marks, two thirds of them to be filled."""
    return array("Q", bytes(_MARK * (_ROOM * max(expected, 1_000) // 2 + 1)))


def _put(slots: array[int], mark: int) -> bool:
    """Put a mark into its slot or the next free one; say whether it was not there."""
    slot = mark % len(slots)
    while found := slots[slot]:
        if found == mark:
            return False
        slot = slot + 1 if slot + 1 < len(slots) else 0
    slots[slot] = mark
    return True
