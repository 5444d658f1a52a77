"""Time and chance. The only module that asks the machine what time it is or for a random number."""

from __future__ import annotations

import base64
import os
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


_DRAUGHT = 4_096
"""So many bytes of chance are asked of the machine at once: each asking costs more than the bytes do."""


class SystemClock:
    """The machine's own time and chance."""

    def __init__(self) -> None:
        """Begin without any chance at hand."""
        self._chance = b""
        self._drawn = 0
        self._process = 0

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start that never run backwards."""
        return time.monotonic()

    def token_bytes(self, n: int) -> bytes:
        """Return `n` bytes nobody can guess; each byte of chance is handed out once, and never by two processes."""
        start, self._drawn = self._drawn, self._drawn + n
        if self._drawn > len(self._chance) or self._process != os.getpid():
            self._chance, start = secrets.token_bytes(max(n, _DRAUGHT)), 0
            self._drawn, self._process = n, os.getpid()
        return self._chance[start : start + n]

    def token(self, n: int = 16) -> str:
        """Return `n` unguessable bytes as URL-safe text."""
        return base64.urlsafe_b64encode(self.token_bytes(n)).rstrip(b"=").decode()

    def uniform(self, low: float, high: float) -> float:
        """Return a number between `low` and `high`; for jitter, never for secrets."""
        return random.uniform(low, high)  # noqa: S311 -- jitter only


class TravelClock(SystemClock):
    """A clock that runs at the usual pace from wherever it is set: `campaign demo` travels to 30 July with it."""

    def __init__(self, start: datetime | None = None) -> None:
        """Start at `start`, or at the present."""
        super().__init__()
        self._shift = timedelta(0)
        if start is not None:
            self.travel_to(start)

    def now(self) -> datetime:
        """Return the travelled instant, aware, in UTC."""
        return super().now() + self._shift

    def travel_to(self, instant: datetime) -> None:
        """Go on from `instant`."""
        self._shift = instant - super().now()
