"""SMTP replies off a connection, strictly and with bounds, and bytes onto it. It never knows what a letter is."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import deque
from functools import lru_cache
from typing import Final, NamedTuple

from campaign.domain.replies import Reply

LINE_LIMIT: Final = 2048
"""Bytes of one reply line; RFC 5321 s. 4.5.3.1.5 allows 512."""
LINES_LIMIT: Final = 100
CLOSING: Final = 421
"""The code of a reply after which the server hangs up."""
_UNREAD_LIMIT: Final = 16
_KNOWN: Final = 256
"""So many lines that servers said are kept as they were read."""
_LINE: Final = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)

DROP: Final = "drop"
TIMEOUT: Final = "timeout"
GARBLED: Final = "garbled"


class WireFault(Exception):
    """The connection has nothing more to say; `fault` is the word for why."""

    def __init__(self, fault: str) -> None:
        """Take the fault's name."""
        self.fault = fault
        super().__init__(fault)


class ReplyReader:
    """Cuts a stream of bytes into replies; after the first nonsense it is broken and takes no more."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self.replies: deque[Reply] = deque()
        self.broken = False
        self._unfinished = bytearray()
        self._code = 0
        self._lines: list[str] = []

    @property
    def silent(self) -> bool:
        """Whether nothing at all lies unread, not even half a line."""
        return not (self.replies or self.broken or self._unfinished or self._lines)

    @property
    def closing(self) -> bool:
        """Whether a reply says that the server hangs up, whether it does or not (RFC 5321 s. 3.8)."""
        return any(reply.code == CLOSING for reply in self.replies)

    def feed(self, data: bytes) -> None:
        """Take what came off the wire; complete replies come to `replies`, in order."""
        if self.broken:
            return
        *complete, rest = (bytes(self._unfinished) + data).split(b"\n")
        for line in complete:
            if not self._take(line.removesuffix(b"\r")):
                self._break()
                return
        if len(rest) > LINE_LIMIT:
            self._break()
        else:
            self._unfinished[:] = rest

    def _take(self, line: bytes) -> bool:
        """Add one line; a multi-line reply must keep its code (RFC 5321 s. 4.2.1). False when that is no reply."""
        read = _read_line(line) if len(line) <= LINE_LIMIT else None
        if read is None:
            return False
        if not self._lines:
            self._code = read.code
        elif read.code != self._code or len(self._lines) >= LINES_LIMIT:
            return False
        if read.whole is None:
            self._lines.append(read.words)
        elif not self._lines:
            self.replies.append(read.whole)
        else:
            self.replies.append(Reply.parse(read.code, [*self._lines, read.words]))
            self._lines = []
        return len(self.replies) <= _UNREAD_LIMIT

    def _break(self) -> None:
        self.broken = True
        self._unfinished.clear()


class _Line(NamedTuple):
    """One line of a reply: its code, its words, and (of a last line) what it is where it has no others before it."""

    code: int
    words: str
    whole: Reply | None


@lru_cache(maxsize=_KNOWN)
def _read_line(line: bytes) -> _Line | None:
    """Read one line; None when it is no line of a reply. Servers say few things, and those all day long."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    code, words = int(found[1]), (found[3] or b"").decode("utf-8", "replace")
    return _Line(code, words, None if found[2] == b"-" else Reply.parse(code, [words]))


class Dialogue(asyncio.Protocol):
    """The lean protocol that takes an open connection over: write, drain, and read one reply after the other."""

    def __init__(self, transport: asyncio.Transport, leftover: bytes = b"") -> None:
        """Take the connection, and the bytes that were read but not understood before."""
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._reader = ReplyReader()
        self._lost: str | None = None
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._wanted = 1
        self._deadline = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._reader.feed(leftover)
        transport.set_protocol(self)
        # So that "drained" means: the kernel has every byte. Not 0, with which a TLS transport would never resume.
        transport.set_write_buffer_limits(high=1, low=0)

    @property
    def fault(self) -> str | None:
        """Why nothing more can be said here, or None while the line is open."""
        if self._reader.broken:
            return GARBLED
        return self._lost or (DROP if self._transport.is_closing() else None)

    @property
    def silent(self) -> bool:
        """Whether the server has said nothing that nobody asked for."""
        return self._reader.silent

    def in_order(self) -> bool:
        """Whether, at this moment, the line is open and the server has said nothing that nobody asked for."""
        return self._reader.silent and self._lost is None and not self._transport.is_closing()

    @property
    def tls(self) -> ssl.SSLObject | None:
        """What secures the line, if anything does."""
        found: ssl.SSLObject | None = self._transport.get_extra_info("ssl_object")
        return found

    def write(self, data: bytes | memoryview) -> None:
        """Send bytes; on a lost line they vanish, and whoever waits for a reply is told so."""
        if self._lost is None and not self._transport.is_closing():
            self._transport.write(data)

    @property
    def drained(self) -> bool:
        """Whether all that was written has left this process, as it mostly has at once."""
        return not self._paused

    async def drain(self, timeout: float) -> None:
        """Wait until all that was written has left this process, or the server interrupts; raise WireFault on a fault.

        `timeout` is for standing still: a server that takes a little now and then may go on doing so.
        """
        while self._paused and self.fault is None and self.silent:
            await self._news(self._loop.time() + timeout, 0)
        if self.fault is not None:
            raise WireFault(self.fault)

    def next_reply(self) -> Reply | None:
        """Return the next reply if it is here already, asked for or not (such as a 421 while the line was idle)."""
        return self._reader.replies.popleft() if self._reader.replies else None

    async def replies(self, count: int, timeout: float) -> list[Reply]:
        """Return so many replies as soon as they are here; raise WireFault where they do not come in `timeout` seconds.

        Those that came before the fault can be read all the same.
        """
        deadline = self._loop.time() + timeout
        while len(self._reader.replies) < count:
            if self._reader.closing:
                raise WireFault(DROP)
            if self.fault is not None:
                raise WireFault(self.fault)
            await self._news(deadline, count)
        return [self._reader.replies.popleft() for _ in range(count)]

    def close(self) -> None:
        """Send what is still to be sent, then close."""
        self._transport.close()

    def abort(self) -> None:
        """Drop the line at once; what was not sent yet never will be."""
        self._lost = self._lost or DROP
        self._transport.abort()

    async def closed(self, timeout: float) -> None:
        """Wait for the end of the connection; one that does not end by itself is dropped."""
        _, waiting = await asyncio.wait({self._closed}, timeout=timeout)
        if waiting:
            self.abort()

    async def _news(self, deadline: float, count: int) -> None:
        """Sleep until `count` replies are here or something else changes on the line, at most until `deadline`."""
        if self._waiter is not None:
            msg = "Two tasks may not talk on one connection."
            raise RuntimeError(msg)
        self._waiter, self._wanted, self._deadline = self._loop.create_future(), count, deadline
        if self._alarm is None or self._alarm.when() > deadline:
            self._set_alarm()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _set_alarm(self) -> None:
        """Have the clock looked at by the deadline.

        One alarm serves many waits: set again for each letter and each reply, it would cost more than reading them.
        """
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(self._deadline, self._look_at_clock)

    def _look_at_clock(self) -> None:
        self._alarm = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() >= self._deadline:
            self._waiter.set_exception(WireFault(TIMEOUT))
        else:
            self._set_alarm()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Take bytes off the wire; who waits for several replies is not woken for each."""
        self._reader.feed(data)
        if len(self._reader.replies) >= self._wanted or self._reader.broken or self._reader.closing:
            self._wake()

    def eof_received(self) -> None:
        """Treat a half-closed line as lost: no reply can come any more."""
        self._lost = self._lost or DROP
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the protocol's signature
        """Note the end."""
        self._lost = self._lost or DROP
        self._wake()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        """Note that bytes wait in this process."""
        self._paused = True

    def resume_writing(self) -> None:
        """Note that they have left it."""
        self._paused = False
        self._wake()
