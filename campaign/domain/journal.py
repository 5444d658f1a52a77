"""What the journal of leaves says: lines that a restored database is told again. It never reads or writes a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from campaign.domain.consent import Reason


class What(StrEnum):
    """What somebody's wish was."""

    LEFT = "left"
    ERASED = "erased"
    SUPPRESSED = "suppressed"
    LIFTED = "lifted"


@dataclass(frozen=True, slots=True)
class Line:
    """One wish: when, what, and whose, by the keyed hash of the mailbox. `lists` are short names, None means all.

    `reason` is that of the suppression; at a lifting it says that an operator took away a suppression of that reason.
    A block of a whole `domain` is about nobody's mailbox, and has no key.
    """

    at: datetime
    what: What
    key: bytes
    lists: tuple[str, ...] | None = None
    reason: Reason | None = None
    domain: str | None = None

    @property
    def whose(self) -> bytes | str:
        """What a suppression and its lifting have in common."""
        return self.domain or self.key

    def __str__(self) -> str:
        values = {"at": self.at.isoformat(), "what": self.what, "key": self.key.hex()}
        if self.lists is not None:
            values["lists"] = list(self.lists)  # type: ignore[assignment]  # the one value that is no text
        if self.reason is not None:
            values["reason"] = self.reason
        if self.domain is not None:
            values["domain"] = self.domain
        return json.dumps(values)


def parse_line(text: str) -> Line | None:
    """Read a line; None for one that a crash cut off."""
    try:
        found = json.loads(text)
        lists, reason = found.get("lists"), found.get("reason")
        return Line(
            datetime.fromisoformat(found["at"]),
            What(found["what"]),
            bytes.fromhex(found["key"]),
            None if lists is None else tuple(lists),
            Reason(reason) if reason else None,
            found.get("domain"),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
