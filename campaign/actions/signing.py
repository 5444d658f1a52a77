"""Threads beside the event loop in which letters are signed, a pile at a time. It never makes or sends a letter.

An RSA signature takes longer than all else that is done for a letter, and lets other threads run meanwhile: so the next
letters are signed on other processors while the loop talks to the relay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, Generic, TypeVar

_T = TypeVar("_T")
_THREADS: Final = 4
"""More would sign faster than one loop can send; fewer than four get too little of two processors beside that loop, the
database and a relay on the same machine."""


class Signing(Generic[_T]):
    """One worker's signing threads; they start when there is something to sign, and end with the process."""

    def __init__(self, sign: Callable[[_T], _T]) -> None:
        """Sign by `sign`, which may be called by several threads at once."""
        self._sign = sign
        self._threads = ThreadPoolExecutor(_THREADS, "signing")

    async def one(self, letter: _T) -> _T:
        """Return a letter signed; what `sign` raises is raised here."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._sign, letter)

    def pile(self, letters: Sequence[_T]) -> list[asyncio.Future[_T | None]]:
        """Begin to sign some letters in one go, and promise each: signed, or None where `sign` raised."""
        loop = asyncio.get_running_loop()
        promises: list[asyncio.Future[_T | None]] = [loop.create_future() for _ in letters]

        def kept(done: asyncio.Future[list[_T | None]]) -> None:
            signed = [None] * len(letters) if done.cancelled() else done.result()
            for promise, letter in zip(promises, signed, strict=True):
                if not promise.done():  # whoever waited for it may have been cancelled
                    promise.set_result(letter)

        if not letters:
            return promises
        try:
            signing = loop.run_in_executor(self._threads, self._signed, letters)
        except RuntimeError:  # no thread can be started: the letters are in hand all the same, and must not be lost
            signing = loop.create_future()
            signing.set_result([None] * len(letters))
        signing.add_done_callback(kept)
        return promises

    def _signed(self, letters: Sequence[_T]) -> list[_T | None]:
        return list(map(self._tried, letters))

    def _tried(self, letter: _T) -> _T | None:
        with suppress(Exception):  # whoever takes the letter makes it anew, and hears what is wrong with it
            return self._sign(letter)
        return None
