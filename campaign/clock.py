"""Time and chance. The only module that asks the machine what time it is or for a random number."""

from __future__ import annotations

import random
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where a verb gets its time and its chance from."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start that never run backwards."""
        ...

    def token_bytes(self, n: int) -> bytes:
        """Return `n` bytes nobody can guess."""
        ...

    def token(self, n: int = 16) -> str:
        """Return `n` unguessable bytes as URL-safe text."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """Return a number between `low` and `high`; for jitter, never for secrets."""
        ...


class SystemClock:
    """The machine's own time and chance."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start that never run backwards."""
        return time.monotonic()

    def token_bytes(self, n: int) -> bytes:
        """Return `n` bytes nobody can guess."""
        return secrets.token_bytes(n)

    def token(self, n: int = 16) -> str:
        """Return `n` unguessable bytes as URL-safe text."""
        return secrets.token_urlsafe(n)

    def uniform(self, low: float, high: float) -> float:
        """Return a number between `low` and `high`; for jitter, never for secrets."""
        return random.uniform(low, high)  # noqa: S311 -- jitter only


class TravelClock(SystemClock):
    """A clock that runs at the usual pace from wherever it is set: `campaign demo` travels to 30 July with it."""

    def __init__(self, start: datetime | None = None) -> None:
        """Start at `start`, or at the present."""
        self._shift = timedelta(0)
        if start is not None:
            self.travel_to(start)

    def now(self) -> datetime:
        """Return the travelled instant, aware, in UTC."""
        return super().now() + self._shift

    def travel_to(self, instant: datetime) -> None:
        """Go on from `instant`."""
        self._shift = instant - super().now()
