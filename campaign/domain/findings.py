"""What a check found: about what, how bad it is, and the exact mend. It never checks anything itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    """Nothing to mend, or nothing that can be told from here."""
    WARNING = "warning"
    """Letters go out, but not as well as they could, or not for long."""
    ERROR = "error"
    """Letters do not go out, do not arrive, or somebody else can read or change what nobody should."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a report: the mend is a line for `.env`, a record to publish or a command to run."""

    subject: str
    level: Level
    found: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What findings are about; it words them at one level each."""

    name: str

    def ok(self, found: str) -> Finding:
        """Say that something is as it should be."""
        return Finding(self.name, Level.OK, found)

    def note(self, found: str, mend: str = "") -> Finding:
        """Say what is worth knowing."""
        return Finding(self.name, Level.NOTE, found, mend)

    def warning(self, found: str, mend: str) -> Finding:
        """Say what should be mended."""
        return Finding(self.name, Level.WARNING, found, mend)

    def error(self, found: str, mend: str) -> Finding:
        """Say what has to be mended."""
        return Finding(self.name, Level.ERROR, found, mend)


def worst(findings: Iterable[Finding]) -> Level:
    """Return the worst level of some findings; of none it is OK."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)
