"""Our end of the line: starts a program of our own, asks it, and starts it again where it has ended."""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import campaign
from campaign.beside.line import LENGTH, framed
from campaign.logs import get_log

_log = get_log()
_PATIENCE: Final = 60.0
"""Seconds until a program is started again where it could not be."""
_START_SECONDS: Final = 30.0
"""Seconds that a program may take to start; mostly it is a fifth of one."""
_LAST_WORDS: Final = 3.0
"""Seconds that a program may take to end once the line to it is closed."""
_AT_ONCE: Final = 0.5
"""Seconds that one takes at most to end when it is killed, or nobody sees it end."""


class ProgramGone(Exception):
    """A program ended before it had answered, or was given up because it did not."""

    def __init__(self, name: str, how: str = "has ended") -> None:
        """Take what the program is called, and how it went."""
        super().__init__(f"the program {name} {how}")


class Program:
    """One program, started with the first question; it ends with this process, however that ends."""

    def __init__(self, module: str, opening: Callable[[], Any]) -> None:
        """Run the `main` of `module`, which is first told what `opening` returns."""
        self._module, self._opening = module, opening
        self._line: Line | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._starting = asyncio.Lock()
        self._closed = False
        self._not_before = float("-inf")

    @property
    def pid(self) -> int | None:
        """The program's number, while it is known to run."""
        return self._child.pid if self._child is not None else None

    async def line(self) -> Line | None:
        """Return the line to the program, started if need be; None where it does not start for a while, or is over."""
        if self._is_heard():
            return self._line
        async with self._starting:  # whoever else would start one meanwhile takes it for the old one
            if not self._is_heard() and not self._closed and self._seconds() >= self._not_before:
                try:
                    await self._end()
                    await self._start()
                except (OSError, ProgramGone) as error:
                    if not self._closed:
                        self._not_before = self._seconds() + _PATIENCE
                        _log.warning("program_not_started", program=self._module, error=str(error))
                    await self._end()
                except asyncio.CancelledError:  # whoever wanted it may be the last who would see to its end
                    self._drop()
                    raise
            return self._line if self._is_heard() else None

    async def close(self) -> None:
        """Hang up, and wait for the program's end; whoever asks later starts no other one."""
        self._closed = True
        self._hang_up()  # also where it is just starting
        async with self._starting:
            await self._end()

    def _is_heard(self) -> bool:
        return self._line is not None and self._line.opened and not self._line.ended

    async def _start(self) -> None:
        self._heed()
        self._child, end = _started(self._module)
        _, self._line = await asyncio.get_running_loop().create_connection(lambda: Line(self._module), sock=end)
        self._heed()
        await self._line.heard(self._line.ask(self._opening()), _START_SECONDS)
        self._line.opened = True

    def _heed(self) -> None:
        """Start nothing any more once it was closed."""
        if self._closed:
            raise ProgramGone(self._module, "is no longer wanted")

    async def _end(self) -> None:
        """Hang up, and wait for its end: what it was asked for and has not answered is known to be unknown."""
        self._hang_up()
        if self._child is not None:
            try:
                await asyncio.to_thread(self._child.wait, _LAST_WORDS)
            except subprocess.TimeoutExpired:  # it hangs
                self._child.kill()
                await asyncio.to_thread(self._child.wait)
            except asyncio.CancelledError:  # nobody waits for it any more, so it must not go on alone
                self._drop()
                raise
        self._line = self._child = None

    def _drop(self) -> None:
        """End it at once."""
        self._hang_up()
        if self._child is not None:
            self._child.kill()
            with suppress(subprocess.TimeoutExpired):  # its disk hangs, and the loop must not
                self._child.wait(_AT_ONCE)
        self._line = self._child = None

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.hang_up()

    @staticmethod
    def _seconds() -> float:
        return asyncio.get_running_loop().time()


def _started(module: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a program; return it, and our end of the line to it.

    It is not run as a module (`-m`): its classes would be others then than those that come over the line.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        command = [sys.executable, "-s", "-P", "-c", f"from {module} import main; main()", str(theirs.fileno())]
        places = os.pathsep.join([str(Path(campaign.__file__).parent.parent), *filter(None, sys.path)])
        try:
            child = subprocess.Popen(  # noqa: S603 -- our own words
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": places},
            )
        except OSError:
            ours.close()
            raise
    return child, ours


class Line(asyncio.Protocol):
    """The line to a program: answers come in the order of the questions."""

    def __init__(self, name: str) -> None:
        """Begin unconnected; `name` is what the program is called where it ends too early."""
        self._name = name
        self.opened = False
        """Whether the program has answered its opening: only then others may ask."""
        self._unread = bytearray()
        self._asked: deque[asyncio.Future[Any]] = deque()
        self._transport: asyncio.Transport | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._transport is None or self._transport.is_closing()

    def ask(self, what: Any) -> asyncio.Future[Any]:
        """Ask something, now; the answer is what the program returned or raised. Raises ProgramGone."""
        words = framed(what)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._transport is None:
            answer.set_exception(ProgramGone(self._name))
        else:
            self._asked.append(answer)
            self._transport.write(words)
        return answer

    async def heard(self, asked: asyncio.Future[Any], patience: float) -> Any:
        """Wait for an answer; where none comes in `patience` seconds, hang up. Raises ProgramGone.

        Such a program is stopped, or hangs; it is killed before another one is started.
        """
        try:
            async with asyncio.timeout(patience):
                return await asked
        except TimeoutError as error:
            self.hang_up()
            raise ProgramGone(self._name, f"has not answered for {patience:g} seconds") from error

    def hang_up(self) -> None:
        """Let the program end."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Hand each whole answer to whoever asked first."""
        self._unread += data
        while len(self._unread) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._unread)[0]
            if len(self._unread) < end:
                return
            answer = pickle.loads(self._unread[LENGTH.size : end])  # noqa: S301 -- the child's own words
            del self._unread[:end]
            asked = self._asked.popleft()
            if not asked.done():
                asked.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the protocol's signature
        """Tell all who wait that no answer will come."""
        self._transport = None
        while self._asked:
            if not (asked := self._asked.popleft()).done():
                asked.set_exception(ProgramGone(self._name))
