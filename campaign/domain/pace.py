"""How fast letters may go one way: limits by span of time, and warm-up. It never waits, and knows no relay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Final

_MATTERS: Final = 10_000_000
"""A day's limit above which a warm-up is over: nobody sends so much by one relay."""


@dataclass(frozen=True, slots=True)
class WarmUp:
    """How the day's limit of a new relay grows: receivers trust an unknown one only little by little."""

    start: date
    first_day: int
    growth: float

    def limit_on(self, day: date) -> int | None:
        """Return the most letters on `day`; None when that matters no more. Before its start it is the first day's."""
        days = max((day - self.start).days, 0)
        if days * math.log(self.growth) + math.log(self.first_day) > math.log(_MATTERS):
            return None
        return int(self.first_day * self.growth**days)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many letters one relay may be handed in a span of time; None is no limit."""

    per_second: int | None = None
    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None
    warm_up: WarmUp | None = None

    def __bool__(self) -> bool:
        """Whether there is any limit."""
        return self != Limits()

    def day_limit(self, day: date) -> int | None:
        """Return the most letters on `day`: what the warm-up allows, and never more than `per_day`."""
        warm = self.warm_up.limit_on(day) if self.warm_up else None
        known = [limit for limit in (warm, self.per_day) if limit is not None]
        return min(known, default=None)


@dataclass(frozen=True, slots=True)
class DomainLimits:
    """How many letters to one recipient domain one relay may be handed at once and per second; None is no limit."""

    parallel: int | None = None
    per_second: int | None = None

    def __bool__(self) -> bool:
        """Whether there is any limit."""
        return self.parallel is not None or self.per_second is not None
