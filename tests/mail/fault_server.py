"""A small SMTP server that misbehaves by script, and remembers which letters it took responsibility for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Self

Meeting = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ALL_OFFERS = ("PIPELINING", "SIZE 1000000", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")


@dataclass(frozen=True, slots=True)
class Act:
    """What the server does at one moment: says some bytes, and then goes on, drops, resets or hangs."""

    words: bytes = b""
    then: str = "go on"
    seconds: float = 0.0

    def and_then(self, what: str) -> Act:
        return replace(self, then=what)

    def after(self, seconds: float) -> Act:
        """Let the server think before it says so."""
        return replace(self, seconds=seconds)


DROP, RESET, HANG = Act(then="drop"), Act(then="reset"), Act(then="hang")


def say(*lines: str) -> Act:
    return Act("".join(f"{line}\r\n" for line in lines).encode())


def raw(words: bytes, then: str = "go on") -> Act:
    return Act(words, then)


class FaultServer:
    """Speaks SMTP on a free loopback port; the script names the moments that differ from good behaviour.

    What it says to RCPT and to the dot may also be scripted by the recipient's domain: `rcpt_to`, `dot_to`.

    Moments: greeting, ehlo, starttls, auth, mail, rcpt, data, body (the first body line was read), dot, rset, quit. A
    list is used up one by one, and its last act repeats.
    """

    def __init__(
        self, offers: Iterable[str] = ALL_OFFERS, *, tls: ssl.SSLContext | None = None, **script: Act | list[Act]
    ) -> None:
        self.offers = tuple(offers)
        self.rcpt_to: dict[str, Act | list[Act]] = {}
        self.dot_to: dict[str, Act] = {}
        self.at_once: Counter[str] = Counter()
        self.most_at_once: Counter[str] = Counter()
        self.taken: list[str] = []
        self.script = {moment: list(acts) if isinstance(acts, list) else [acts] for moment, acts in script.items()}
        self.commands: list[bytes] = []
        self.held: list[bytes] = []
        self.connections = 0
        self.met = asyncio.Event()
        self.body_seen = asyncio.Event()
        self.at_dot = asyncio.Event()
        self._news = asyncio.Event()
        self._tls = tls
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._listener = listening(self._meet, tls=self._tls)
        self.port = await self._listener.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await self._listener.__aexit__(None, None, None)

    async def until(self, enough: Callable[[], bool]) -> None:
        """Wait until the letters that were proposed or taken are enough."""
        while not enough():
            await self._news.wait()
            self._news.clear()

    def hang_up(self) -> None:
        """End every connection that hangs, now and from now on."""
        self._over.set()

    def proposed(self, domain: str) -> int:
        """How many letters to a domain it was asked to take."""
        return sum(line.startswith(b"RCPT") and f"@{domain}>".encode() in line for line in self.commands)

    @property
    def verbs(self) -> list[str]:
        return [command.split(b" ")[0].strip().decode(errors="replace").upper() for command in self.commands]

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.met.set()
        with contextlib.suppress(ConnectionError, _Over):
            await self._talk(reader, writer)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._act(writer, "greeting", say("220 fault.example.org ESMTP"))
        recipients, domain = 0, ""
        while line := await reader.readline():
            self.commands.append(line)
            verb = line.split(b" ")[0].strip().upper().decode(errors="replace")
            match verb:
                case "EHLO":
                    lines = ["fault.example.org", *self.offers]
                    marks = ["-"] * (len(lines) - 1) + [" "]
                    hello = say(*(f"250{mark}{words}" for mark, words in zip(marks, lines, strict=True)))
                    await self._act(writer, "ehlo", hello)
                case "MAIL":
                    recipients = 0
                    await self._act(writer, "mail", say("250 2.1.0 Ok"))
                case "RCPT":
                    domain = line[line.rindex(b"@") + 1 : line.rindex(b">")].decode()
                    self._news.set()
                    said = await self._act(writer, "rcpt", say("250 2.1.5 Ok"), self.rcpt_to.get(domain))
                    recipients += said.startswith(b"2")
                case "DATA":
                    said = await self._act(writer, "data", say("354 go" if recipients else "554 5.5.1 no recipients"))
                    if said.startswith(b"354"):
                        await self._take_body(reader, writer, domain)
                case "QUIT":
                    await self._act(writer, "quit", say("221 2.0.0 Bye"))
                    return
                case _:
                    await self._act(writer, verb.lower(), say("250 2.0.0 Ok"))

    async def _take_body(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, domain: str) -> None:
        self.at_once[domain] += 1
        self.most_at_once[domain] = max(self.most_at_once[domain], self.at_once[domain])
        try:
            await self._read_body(reader, writer)
            await self._act(writer, "dot", say("250 2.0.0 Ok: queued"), self.dot_to.get(domain))
            self.taken.append(domain)
            self._news.set()
        finally:
            self.at_once[domain] -= 1

    async def _read_body(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body, begun = bytearray(), False
        while (line := await reader.readline()) != b".\r\n":
            if not line:
                raise _Over
            body += line[1:] if line.startswith(b".") else line
            if not begun:
                begun = True
                self.body_seen.set()
                await self._act(writer, "body", Act())
        self.held.append(bytes(body))
        self.at_dot.set()

    async def _act(
        self, writer: asyncio.StreamWriter, moment: str, usual: Act, own: Act | list[Act] | None = None
    ) -> bytes:
        acts = self.script.get(moment, [usual]) if own is None else own if isinstance(own, list) else [own]
        act = acts.pop(0) if len(acts) > 1 else acts[0]
        await asyncio.sleep(act.seconds)
        writer.write(act.words)
        await writer.drain()
        if act.then == "hang":
            await self._over.wait()
        if act.then == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        if act.then != "go on":
            raise _Over
        return act.words


@asynccontextmanager
async def listening(meet: Meeting, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Listen on a free loopback port, give its number, and leave no connection and no task behind."""
    live: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        live[task] = writer
        with contextlib.suppress(ConnectionError):
            await meet(reader, writer)
        writer.close()

    server = await asyncio.start_server(welcome, "127.0.0.1", 0, limit=1 << 16, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in live.values():
            writer.transport.abort()
        await asyncio.gather(*live, return_exceptions=True)
        await asyncio.sleep(0)


class _Over(Exception):
    """The script ends this connection."""
