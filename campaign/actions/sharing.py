"""Whose turn it is: shares letters out among the lanes of one drain, by their weights. It never holds a letter.

Weights are kept among lanes that can keep up. One that is full, slow, limited or closed takes what it can, and holds no
other back; what it fell behind meanwhile is forgotten.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

_SLACK: Final = 4.0
"""So many letters a lane may be ahead of another, so that connections need not wait for each other at every letter."""
_FRESH: Final = 1.0
"""Seconds after its last letter in which a lane without idle connections still counts."""
_SLOWER: Final = 4.0
"""A lane that could only take a letter where another could take more than so many does not hold that one back."""
_SMOOTH: Final = 0.1
_GLANCE: Final = 0.05
"""Seconds after which who waits for a turn looks again: a lane may have stopped to count."""

_BLINK: Final = 0.001


class Share:
    """One lane's part: how many letters it took for its weight, and how many it could take."""

    def __init__(self, weight: int, connections: int, seconds: Callable[[], float]) -> None:
        """Begin with nothing taken; `seconds` is a clock that never runs backwards."""
        self.weight, self.connections, self._seconds = weight, connections, seconds
        self.passed = 0.0
        self.idle = 0
        """Connections that wait for a letter."""
        self.limited = False
        """Whether no letter may go this way for now, although the lane is open."""
        self._took_at = float("-inf")
        self._each = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def wanting(self) -> bool:
        """Whether it would take a letter now, or did so a moment ago."""
        return not self.limited and (self.idle > 0 or self._seconds() - self._took_at < _FRESH)

    @property
    def capacity(self) -> float:
        """How many letters a second it could take with all connections at work; without end until one was taken."""
        return self.connections * self.each_second

    @property
    def each_second(self) -> float:
        """How many letters a second one connection takes."""
        return 1 / self._each if self._each else float("inf")

    def keeps_up_with(self, other: Share) -> bool:
        """Whether its weight counts against `other`."""
        return self.wanting and (self.idle > 0 or self.capacity * _SLOWER >= other.capacity)

    def took(self) -> None:
        """Count a letter."""
        self.passed += 1 / self.weight
        self._took_at = self._seconds()

    def spent(self, seconds: float) -> None:
        """Learn how long one letter kept one connection."""
        self._each = seconds if not self._each else self._each + _SMOOTH * (seconds - self._each)

    async def glance(self, seconds: float = _GLANCE) -> None:
        """Wait until it may be this lane's turn: so long, and a short while at most."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await asyncio.wait({waiting}, timeout=min(max(seconds, _BLINK), _GLANCE))
        waiting.cancel()

    def wake(self) -> None:
        """Let one connection that waits for its turn look again."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return


class Shares:
    """All lanes' parts in one drain."""

    def __init__(self) -> None:
        """Begin without lanes."""
        self._shares: list[Share] = []

    def join(self, share: Share) -> None:
        """Let a lane take part from now on, as if it had always taken its share."""
        share.passed = max((other.passed for other in self._shares), default=0.0)
        self._shares.append(share)

    def leave(self, share: Share) -> None:
        """Let a lane take no part any more, and whoever waited for it go on."""
        self._shares.remove(share)
        for other in self._shares:
            other.wake()

    @property
    def several(self) -> bool:
        """Whether there is anybody to share with."""
        return len(self._shares) > 1

    def may_take(self, share: Share) -> bool:
        """Say whether the next letter may be this lane's."""
        ahead = share.passed - _SLACK / share.weight
        return not any(
            other.passed < ahead and other.keeps_up_with(share) for other in self._shares if other is not share
        )

    def took(self, share: Share) -> None:
        """Count a letter of one lane; those that do not keep up are level with it, and who waits may have the turn."""
        share.took()
        for other in self._shares:
            if other is share:
                continue
            if other.passed < share.passed and not other.keeps_up_with(share):
                other.passed = share.passed
            elif self.may_take(other):
                other.wake()
