"""How fast letters may go one way: limits by span of time, warm-up, permits. It never waits, and knows no relay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
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

    def on(self, day: date) -> dict[Span, int]:
        """Return the limits that hold on `day`."""
        found = {
            Span.SECOND: self.per_second,
            Span.MINUTE: self.per_minute,
            Span.HOUR: self.per_hour,
            Span.DAY: self.day_limit(day),
        }
        return {span: limit for span, limit in found.items() if limit is not None}

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


class Span(StrEnum):
    """Over which time letters are counted."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


MICRO: Final = 1_000_000
"""Instants and lengths of time are whole microseconds here, as the database keeps them."""
AHEAD: Final = MICRO
"""A permit is given out at most so long before it may be used: a worker that dies wastes no more."""
_LENGTH: Final = {Span.SECOND: MICRO, Span.MINUTE: 60 * MICRO, Span.HOUR: 3_600 * MICRO, Span.DAY: 86_400 * MICRO}
SPACED: Final = frozenset({Span.SECOND, Span.MINUTE})
"""By these, permits lie evenly apart; one that was not used is over with its time."""
PATIENCE: Final = 3 * MICRO
"""A relay that may be handed nothing for longer than this has used up a limit: others get its letters meanwhile."""
_PIECES: Final = 50
"""An hour and a day are counted in so many pieces; what fell into a piece counts until all of it is too long ago."""
_SKEW: Final = 5 * MICRO
"""By so much the clocks of two workers may differ; an instant further ahead means that a clock was set back."""


@dataclass(slots=True)
class Bound:
    """One limit and what was granted under it: `free_at` is when the next permit may be used, as far as is known.

    By second and minute permits lie evenly apart (the generic cell rate algorithm of ITU-T I.371, without a burst), so
    no window has more than the limit plus the one at its edge. An hour's and a day's may be used at once: they are
    counted in pieces of a fiftieth, and no window has more than the limit.
    """

    span: Span
    limit: int
    free_at: int = 0
    pieces: dict[int, int] = field(default_factory=dict)

    @property
    def spaced(self) -> bool:
        """Whether permits lie evenly apart."""
        return self.span in SPACED

    @property
    def gap(self) -> int:
        """How far apart permits lie, in microseconds, so that the limit holds."""
        return -(-_LENGTH[self.span] // self.limit)

    @property
    def _piece(self) -> int:
        return _LENGTH[self.span] // _PIECES

    def settle(self, now: int) -> None:
        """Forget what is too long ago, and take what lies in the future, because a clock was set back, for just now."""
        if self.spaced:
            if self.free_at > now + AHEAD + self.gap + _SKEW:
                self.free_at = now + self.gap
            return
        present, latest = now // self._piece, (now + AHEAD + _SKEW) // self._piece
        kept: dict[int, int] = {}
        for piece, count in self.pieces.items():
            if piece >= present - _PIECES:
                place = piece if piece <= latest else present
                kept[place] = kept.get(place, 0) + count
        self.pieces = kept

    def earliest(self, at: int) -> int:
        """Return the first instant from `at` on at which a permit may be used."""
        if self.spaced:
            return max(at, self.free_at)
        piece = at // self._piece
        counted = sum(count for place, count in self.pieces.items() if place >= piece - _PIECES)
        for place in sorted(self.pieces):
            if counted < self.limit:
                break
            if place >= piece - _PIECES:
                counted -= self.pieces[place]
                at = max(at, (place + _PIECES + 1) * self._piece)
        return at

    def take(self, at: int) -> None:
        """Write down that a permit for `at` was given out."""
        if self.spaced:
            self.free_at = at + self.gap
        else:
            piece = at // self._piece
            self.pieces[piece] = self.pieces.get(piece, 0) + 1
            self.free_at = self.earliest(at)

    def give_back(self, at: int) -> None:
        """Take back a permit for `at` that was not used. Where they lie evenly apart its time is over all the same.

        One for a time after all that is known was granted before a clock was set back, and is counted with the latest.
        """
        piece = min(at // self._piece, max(self.pieces, default=0))
        if not self.spaced and self.pieces.get(piece):
            self.pieces[piece] -= 1
            self.free_at = min(self.free_at, self.earliest(at))


def first(bounds: Sequence[Bound], at: int) -> int:
    """Return the first instant from `at` on that all of `bounds` allow."""
    while True:
        later = max((bound.earliest(at) for bound in bounds), default=at)
        if later == at:
            return at
        at = later


def grant(bounds: Sequence[Bound], now: int, wanted: int, ahead: int = AHEAD) -> list[int]:
    """Give out up to `wanted` permits for the time until `now + ahead`; return the instants from which each is good."""
    for bound in bounds:
        bound.settle(now)
    given: list[int] = []
    at = now
    while len(given) < wanted and (at := first(bounds, at)) <= now + ahead:
        for bound in bounds:
            bound.take(at)
        given.append(at)
    return given


def room(bounds: Sequence[Bound], now: int, most: int, ahead: int) -> int:
    """Return how many permits could be given out for the time until `now + ahead`, up to `most`; take none."""
    return len(grant([replace(bound, pieces=dict(bound.pieces)) for bound in bounds], now, most, ahead))


def supply(bounds: Sequence[Bound], most: int) -> int:
    """Return how many permits to fetch at once: for a fifth of a second, and a hundredth of an hour's or a day's.

    That is little enough to share fairly with other workers, and to lose when a worker dies.
    """
    wanted = [MICRO / bound.gap / 5 if bound.spaced else bound.limit / 100 for bound in bounds]
    return min(max(math.ceil(min(wanted, default=most)), 1), most)
