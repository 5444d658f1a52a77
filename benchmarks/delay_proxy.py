"""A line with a long way: a TCP proxy that holds every byte back for half a round trip in each direction.

`python -m benchmarks.delay_proxy --port PORT --to PORT --round-trip MILLISECONDS`

What came first leaves first, and nothing limits how much is on its way. The handshake of TCP itself is not delayed.
All bytes wait equally long, so one queue holds them all in order; the proxy sleeps by microseconds, which asyncio's
loops do not, and costs a small part of a core, so that it is not what is measured.
"""

from __future__ import annotations

import argparse
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from benchmarks.installation import ROOT, cpu_seconds
from benchmarks.sink import free_port, wait_for

_PIECE: Final = 256 * 1024
_READ: Final = select.EPOLLIN
_WRITE: Final = select.EPOLLOUT


@dataclass(eq=False, slots=True)
class _End:
    """One end of a connection; `waiting` is what its socket did not take yet, after what has travelled."""

    socket: socket.socket
    other: _End | None = None
    waiting: deque[memoryview] = field(default_factory=deque)
    heard_all: bool = False
    told_all: bool = False
    watched: int = 0


class DelayProxy:
    """Takes connections on one port and leads them to another, `delay` seconds away in each direction."""

    def __init__(self, port: int, target: int, delay: float) -> None:
        """Listen at once."""
        self._target, self._delay = target, delay
        self._door = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._door.setblocking(False)
        self._poll = select.epoll()
        self._poll.register(self._door.fileno(), _READ)
        self._ends: dict[int, _End] = {}
        self._travelling: deque[tuple[float, _End, bytes]] = deque()

    def run(self) -> None:
        """Work until killed."""
        while True:
            patience = max(self._travelling[0][0] - time.monotonic(), 0) if self._travelling else None
            select.select([self._poll], [], [], patience)  # by microseconds; epoll's own patience is in milliseconds
            for number, event in self._poll.poll(0):
                if number == self._door.fileno():
                    self._connect()
                elif (end := self._ends.get(number)) is not None:
                    if event & _WRITE:
                        self._push(end)
                    if event & ~_WRITE:
                        self._listen(end)
            now = time.monotonic()
            while self._travelling and self._travelling[0][0] <= now:
                _, end, piece = self._travelling.popleft()
                self._arrive(end, piece)

    def _connect(self) -> None:
        """Take every connection that waits at the door."""
        with suppress(BlockingIOError):
            while True:
                near, _ = self._door.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                here, there = _End(near), _End(far)
                here.other, there.other = there, here
                for end in (here, there):
                    end.socket.setblocking(False)
                    end.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._ends[end.socket.fileno()] = end
                    self._watch(end)

    def _listen(self, end: _End) -> None:
        try:
            piece = end.socket.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            end.heard_all = True
            self._watch(end)
        assert end.other is not None
        self._travelling.append((time.monotonic() + self._delay, end.other, piece))

    def _arrive(self, end: _End, piece: bytes) -> None:
        """Hand on what has travelled; nothing at all stands for the end."""
        if end.socket.fileno() < 0:
            return
        end.waiting.append(memoryview(piece))
        self._push(end)

    def _push(self, end: _End) -> None:
        try:
            while end.waiting:
                piece = end.waiting[0]
                if not piece:
                    end.told_all = True
                    end.socket.shutdown(socket.SHUT_WR)
                elif (taken := end.socket.send(piece)) < len(piece):
                    end.waiting[0] = piece[taken:]
                    continue
                end.waiting.popleft()
        except BlockingIOError:
            self._watch(end)
            return
        except OSError:  # nobody is there any more
            end.told_all = True
            end.waiting.clear()
        if end.told_all and (end.heard_all or end.other is None or end.other.told_all):
            self._close(end)
        else:
            self._watch(end)

    def _watch(self, end: _End) -> None:
        """Look out for what can still come or go; one of whom nothing is awaited would be reported again and again."""
        wanted = (0 if end.heard_all else _READ) | (_WRITE if end.waiting else 0)
        if wanted and end.watched:
            self._poll.modify(end.socket.fileno(), wanted)
        elif wanted:
            self._poll.register(end.socket.fileno(), wanted)
        elif end.watched:
            self._poll.unregister(end.socket.fileno())
        end.watched = wanted

    def _close(self, end: _End) -> None:
        for one in (end, end.other):
            if one is not None and one.told_all and one.socket.fileno() >= 0:
                del self._ends[one.socket.fileno()]
                if one.watched:
                    self._poll.unregister(one.socket.fileno())
                one.socket.close()


@dataclass(frozen=True, slots=True)
class Line:
    """A running proxy: its port, and what it cost."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """How a daemon reaches the relay at the other end."""
        return f"smtp://127.0.0.1:{self.port}?tls=none"

    @property
    def cpu(self) -> float:
        """Seconds of CPU so far."""
        return cpu_seconds(self.pid)


@contextmanager
def line(target: int, round_trip: float) -> Iterator[Line]:
    """Run a proxy to a port of this machine that is `round_trip` seconds away, in a process of its own."""
    port = free_port()
    words = ["--port", str(port), "--to", str(target), "--round-trip", str(1000 * round_trip)]
    running = subprocess.Popen([sys.executable, "-m", "benchmarks.delay_proxy", *words], cwd=ROOT)
    try:
        wait_for(port)
        yield Line(port, running.pid)
    finally:
        running.terminate()
        running.wait()


def main() -> int:
    """Read the options and run."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--to", type=int, required=True)
    options.add_argument("--round-trip", type=float, required=True)
    given = options.parse_args()
    DelayProxy(given.port, given.to, given.round_trip / 2000).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
