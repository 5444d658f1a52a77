"""When a domain's answers mean that it holds us for unwanted: the sender's breaker. It counts, and never acts.

Ten refusals for the sender's sake (5.7.x, spam, blocked, SPF, DMARC) among the last 200 answers of one domain on one
relay trip it. So do more than 5 % of all answers of a spell of at least 200, which finds what comes in bursts. An
answer is one that ends a letter, accepted or refused: "later" says nothing yet. A spell begins with the first such
refusal and is over with 200 answers in a row without any, so that nothing is kept of domains that like our letters.
"""

from __future__ import annotations

from collections import deque
from typing import Final

LAST: Final = 200
MOST: Final = 10
SHARE: Final = 0.05


class Spell:
    """The answers of one domain on one relay since it first refused a letter for the sender's sake."""

    __slots__ = ("_recent", "answers", "refused")

    def __init__(self) -> None:
        """Begin before the first refusal, which is still to be told."""
        self.answers = 0
        self.refused = 0
        self._recent: deque[int] = deque(maxlen=MOST)
        """At which answers the last ten refusals fell."""

    def refuse(self) -> bool:
        """Count a refusal for the sender's sake; say whether it trips the breaker."""
        self.answers += 1
        self.refused += 1
        self._recent.append(self.answers)
        dense = len(self._recent) == MOST and self.answers - self._recent[0] < LAST
        return dense or (self.answers >= LAST and self.refused > SHARE * self.answers)

    def pass_by(self) -> bool:
        """Count any other answer that ended a letter; say whether the spell is over."""
        self.answers += 1
        return self.answers - self._recent[-1] >= LAST
