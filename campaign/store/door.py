"""Who is next to write to a SQLite file, among all processes that write to it. It never guards the data.

SQLite has a lock for that, but no queue: whoever waits looks at it again and again, at last every tenth of a second,
and one process that writes much would always have taken it anew. So writers wait for that lock one at a time, at a
door: a file beside the database, locked by whoever stands first. The system frees it with whoever dies there.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_GLANCE: Final = 0.002
"""Seconds between two looks at the door."""
_PATIENCE: Final = 2.0
"""Seconds. Who stands there longer was stopped, or waits for one that was: then all wait for SQLite's lock alone."""


class Door:
    """The door of one database, for all connections of one process."""

    def __init__(self, database: Path) -> None:
        """Stand beside the file `database`; the door itself is made by the first who comes."""
        self._path = database.with_name(f"{database.name}.door")
        self._jammed = False

    @contextmanager
    def first(self, pause: Callable[[float], object]) -> Iterator[None]:
        """Be the next to write for the length of the block, in which SQLite's lock is waited for; `pause` sleeps.

        Where there can be no door (a folder that is read-only, a disk that is full), nobody waits for it.
        """
        try:
            mine = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            yield
            return
        try:
            self._come(mine, pause)
            yield
        finally:
            os.close(mine)

    def busy(self) -> bool:
        """Say whether somebody stands at the door now."""
        try:
            mine = os.open(self._path, os.O_RDWR)
        except OSError:
            return False
        try:
            return not _opens(mine)
        finally:
            os.close(mine)

    def _come(self, mine: int, pause: Callable[[float], object]) -> None:
        """Wait at the door, but not at one that did not open the last time either."""
        waited = 0.0
        while not _opens(mine):
            if self._jammed or waited >= _PATIENCE:
                self._jammed = True
                return
            pause(_GLANCE)
            waited += _GLANCE
        self._jammed = False


def _opens(mine: int) -> bool:
    try:
        fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody stands there; or this file system knows no such locks
        return False
    return True
