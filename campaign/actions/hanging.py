"""Which domains hang: their letters are under way while others that set out later have arrived. It judges no reply.

As long as there are letters to others, such a domain holds one connection, and all of them few; when there are none,
most. Letters that are on their way already stay: nobody hangs up on a server that may be at work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from campaign.actions.backlog import Backlog
from campaign.actions.sharing import Share

_LOOK: Final = 0.25
"""Seconds between two looks at what is under way."""
_LEAST: Final = 1.0
_TIMES: Final = 4.0
"""A letter is late when another set out so many seconds later, and so many times what is usual, and has arrived."""
_SILENCE: Final = 30.0
"""Seconds after which an answer is none: a domain that takes as long is dead rather than slow."""
_PART: Final = 10
"""Slow domains together hold one connection in so many, at least one; dead ones as many, so that neither wait."""
_RESERVE: Final = 4
"""One connection in so many is left for what may come, when all letters go to domains that hang, or to a new one."""
NOT_YET: Final = float("inf")
"""When a letter sets out whose connection is still being made."""
_PATIENCE: Final = 1.0
"""Seconds with connections to spare and no letter to anybody else, after which domains that hang may hold more."""
_REMEMBERED: Final = 64
"""When more slow domains are known, those with no letter in hand are forgotten: each is counted for each letter."""


class Line:
    """What one connection is at; its carrier keeps it up to date."""

    __slots__ = ("arrived", "domain", "judged", "share", "since")

    def __init__(self, share: Share) -> None:
        """Begin with nothing under way; `share` knows how long a letter takes there as a rule."""
        self.share = share
        self.domain: str | None = None
        """Where the letter goes that is under way, None between two."""
        self.since = self.arrived = float("-inf")
        """When the letter that is under way set out, and when the last one that arrived had."""
        self.judged: float | None = None
        """When the last one had set out that was found to be late: it says no more of its domain than once."""

    @property
    def patience(self) -> float:
        """Seconds that a letter may be behind others."""
        return max(_LEAST, _TIMES / self.share.each_second)


class Hanging:
    """What one drain knows of domains that hang, and of those of which it knows nothing yet."""

    def __init__(self, backlog: Backlog, seconds: Callable[[], float]) -> None:
        """Begin with no domain known; `seconds` is a clock that never runs backwards."""
        self._backlog, self._seconds = backlog, seconds
        self._lines: list[Line] = []
        self._dead: set[str] = set()
        self._slow: set[str] = set()
        self._unseen: set[str] = set()
        """Those of them that came late between two looks."""
        self._known: set[str] = set()
        """Domains to which a letter has come to its end, be it a bad one."""
        self.wary = True
        """Whether it has to be asked before a letter sets out: some domain hangs or is not known."""
        self._alone_since: float | None = None
        self._in_the_air = 0, 0
        """To slow domains and to dead ones, as counted last."""

    def join(self, line: Line) -> None:
        """Watch one more connection."""
        self._lines.append(line)

    def leave(self, line: Line) -> None:
        """Watch a connection no more: its carrier has ended."""
        self._lines.remove(line)

    def hangs(self, domain: str | None) -> bool:
        """Say whether a domain hangs."""
        return domain in self._dead or domain in self._slow

    def allows(self, domain: str) -> bool:
        """Say whether a letter to this domain may set out now."""
        dead, lines = domain in self._dead, len(self._lines)
        if not self.hangs(domain):
            return domain in self._known or self._backlog.flying(domain) < lines - lines // _RESERVE
        if self._alone_since is not None and self._seconds() - self._alone_since >= _PATIENCE:
            return sum(self._in_the_air) < lines - lines // _RESERVE
        return not self._backlog.flying(domain) and self._in_the_air[dead] < max(1, lines // _PART)

    def count(self) -> None:
        """Count the letters in the air to domains that hang, once for a choice among many; `allows` goes by it."""
        flying = self._backlog.flying
        self._in_the_air = sum(map(flying, self._slow)), sum(map(flying, self._dead))

    def allows_ahead(self, domain: str) -> bool:
        """Say the same of a letter that would be laid ready behind another; of domains not known yet one is enough."""
        if domain not in self._known and self._backlog.flying(domain):
            return False
        return self.allows(domain)

    def chose(self, domain: str | None) -> None:
        """Note where the next letter goes, None where those in hand go only to domains that may have no more."""
        if domain is None:
            if self._alone_since is None:
                self._alone_since = self._seconds()
        elif self._alone_since is not None and not self.hangs(domain) and not self._to_spare():
            self._alone_since = None

    def _to_spare(self) -> bool:
        """Say whether more connections rest than are kept for what may come: others have letters, but not for all."""
        resting = sum(line.domain is None and not line.share.limited for line in self._lines)
        return resting > len(self._lines) // _RESERVE

    def arrived(self, line: Line, seconds: float) -> None:
        """Note that a letter came to its end after so many seconds, and learn from it how its domain is.

        Nothing is learned of one that was given back: its line has no domain any more.
        """
        domain = line.domain
        if domain is None:
            return
        hung, late = self.hangs(domain), seconds > line.patience
        line.arrived, line.domain = line.since, None
        self._known.add(domain)
        if not hung and not (late and self._overtaken(line)):
            line.share.spent(seconds)
            return
        self._dead.discard(domain)
        self._slow.discard(domain)
        if late:
            (self._dead if seconds > _SILENCE else self._slow).add(domain)
        if not hung:
            self._unseen.add(domain)
            self.wary = True

    def _overtaken(self, line: Line) -> bool:
        """Say whether another letter of this relay set out long after the one that has just arrived, and came first."""
        behind = line.arrived + line.patience
        return any(other.arrived > behind for other in self._lines if other.share is line.share)

    def look(self) -> set[str]:
        """Return the domains that were found to hang since it looked last."""
        newest: dict[Share, float] = {}
        for line in self._lines:
            newest[line.share] = max(line.arrived, newest.get(line.share, line.arrived))
        late, silent = set[str](), set[str]()
        for line in self._lines:
            if line.domain is None:
                continue
            if line.judged != line.since and line.since + line.patience < newest[line.share]:
                line.judged = line.since
                late.add(line.domain)
            if line.since + _SILENCE < newest[line.share]:
                silent.add(line.domain)
        new = {domain for domain in late if not self.hangs(domain)}
        self._dead |= new | (self._slow & silent)
        self._slow -= silent
        self._forget()
        new |= self._unseen & (self._dead | self._slow)
        self._unseen.clear()
        strange = not self._known or not self._known.issuperset(self._backlog.names)
        self.wary = strange or bool(self._dead or self._slow)
        if not self.wary:
            self._alone_since = None
        return new

    def _forget(self) -> None:
        """Forget slow domains to which no letter is in hand, where many are known."""
        if len(self._slow) > _REMEMBERED:
            flying, waiting = self._backlog.flying, self._backlog.names
            self._slow = {domain for domain in self._slow if flying(domain) or domain in waiting}

    async def watch(self, step_back: Callable[[set[str]], None]) -> None:
        """Look again and again; `step_back` takes the letters that are laid ready from domains that hang."""
        while True:
            await asyncio.sleep(_LOOK)
            if new := self.look():
                step_back(new)
