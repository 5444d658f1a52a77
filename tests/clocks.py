"""A clock that stands still and dice that are loaded, for tests that want to know what happens and when."""

from __future__ import annotations

import base64
import hashlib
import random
from datetime import UTC, datetime, timedelta
from typing import Final

START: Final = datetime(2027, 6, 1, 9, 0, tzinfo=UTC)


class FrozenClock:
    """Stands at one instant until it is moved; its chance is the same in every run."""

    def __init__(self, start: datetime = START, seed: int = 1) -> None:
        self._now = start
        self._started = start
        self._tokens = 0
        self._seed = seed
        self._dice = random.Random(seed)

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._started).total_seconds()

    def token_bytes(self, n: int) -> bytes:
        self._tokens += 1
        return hashlib.shake_256(f"{self._seed}/{self._tokens}".encode()).digest(n)

    def token(self, n: int = 16) -> str:
        return base64.urlsafe_b64encode(self.token_bytes(n)).rstrip(b"=").decode()

    def uniform(self, low: float, high: float) -> float:
        return self._dice.uniform(low, high)

    def travel_to(self, instant: datetime) -> None:
        self._now = instant

    def advance(self, by: timedelta) -> datetime:
        self._now += by
        return self._now
