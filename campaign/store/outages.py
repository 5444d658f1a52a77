"""What it means that a database is away: in an admin's words, with what to do, said once and not a thousand times.

It knows errors by what they say, and never tries anything again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from campaign.domain.errors import CampaignError

Tell = Callable[[str, str, str], None]
"""Hears what happened (`away`, `waits`, `back`), in which words, and what may be done about it."""

_SLOW: Final = 5.0
"""Seconds after which a transaction that has not ended is worth a word: somebody else holds the database."""
_CALM: Final = 2.0
"""Seconds for which all must have worked before it is called back: on a full disk, now and then something does."""
_AGAIN: Final = 60.0
"""Seconds between two words about one outage."""

_REMEDIES: Final = (
    ("locked", "Another program holds it. Wait for it, or end it: fuser names who has the file open."),
    ("full", "Make room on its disk."),
    ("no space", "Make room on its disk."),
    ("readonly", "Let the user who runs Campaign write the file and its folder."),
    ("read-only", "Make it writable again: its server, its disk, or the rights on the file and its folder."),
    ("unable to open", "Let the user who runs Campaign read and write the file and its folder."),
    ("disk i/o error", "Look at its disk, and whether it is mounted read-only."),
    ("too many clients", "Close other programs' connections, or raise max_connections."),
    ("connection slots", "Close other programs' connections, or raise max_connections."),
)
_REMEDY: Final = "Check CAMPAIGN_DATABASE_URL, and that the database is running."


def remedy_for(error: object) -> str:
    """Return what to do about an error of the database, by what it says."""
    words = str(error).lower()
    return next((remedy for sign, remedy in _REMEDIES if sign in words), _REMEDY)


class Outage:
    """Whether the database is away, as everybody sees it who uses one store."""

    def __init__(self) -> None:
        """Begin with a database that is there, and nobody who listens."""
        self.tell: Tell | None = None
        """Who hears of it; a command that ends with the error tells it by itself."""
        self._since: float | None = None
        self._well: float | None = None
        self._told: dict[str, float] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch over one transaction: that it fails, that it takes long, and that one works again."""
        if self.tell is None:
            yield
            return
        began = _now()
        overdue = asyncio.get_running_loop().call_later(_SLOW, self._slow, began)
        try:
            yield
        except CampaignError as error:
            if error.code == "database_away":
                self._seen("away", began, error.message, error.remedy)
            raise
        else:
            if self._since is not None:
                self._worked()
        finally:
            overdue.cancel()

    def _slow(self, began: float) -> None:
        words = f"The database has let nobody write for {_SLOW:.0f} seconds, or is very slow"
        self._seen("waits", began, words, remedy_for("locked"))

    def _seen(self, what: str, began: float, words: str, remedy: str) -> None:
        self._since = began if self._since is None else self._since
        self._well = None
        if self.tell is not None and _now() - self._told.get(what, -_AGAIN) >= _AGAIN:
            self._told[what] = _now()
            self.tell(what, words, remedy)

    def _worked(self) -> None:
        now = _now()
        self._well = now if self._well is None else self._well
        if now - self._well >= _CALM:
            self.over()

    def over(self) -> None:
        """Say that the database is back, if all has worked since its last fault.

        It is said after a while of calm. Whoever ends before that says it as the last word: the log of a daemon that
        has sent everything must not end with a database that is away.
        """
        if self._well is None or self.tell is None:
            return
        self.tell("back", f"The database is back after {self._well - (self._since or 0.0):.0f} seconds.", "")
        self._since = self._well = None
        self._told.clear()


def _now() -> float:
    return asyncio.get_running_loop().time()
