"""A relay in a process of its own that is slow by chance, and writes down each letter the moment it takes it.

`python -m benchmarks.fault_relay --log FILE --slow 0.02 --seed 7` prints its port and serves until its input ends.
It outlives every daemon, so its log is the truth about what was taken; a daemon that dies finds no trace of it there.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_LIMIT: Final = 1 << 24
_MESSAGE_ID: Final = re.compile(rb"^Message-ID:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
_OFFERS: Final = ("fault.example.org", "PIPELINING", "SIZE 10000000", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8")


class FaultRelay:
    """Speaks SMTP, waits up to `slow` seconds before it takes a letter and again before it says so."""

    def __init__(self, log: Path, slow: float, seed: int) -> None:
        """Append to `log`; the same `seed` gives the same chances."""
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._slow = slow
        self._dice = random.Random(seed)
        self.at_dot = 0

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end, however it ends."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._talk(reader, writer)
        writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 fault.example.org ESMTP\r\n")
        recipient = b""
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                marks = "-" * (len(_OFFERS) - 1) + " "
                lines = [f"250{mark}{words}\r\n" for mark, words in zip(marks, _OFFERS, strict=True)]
                writer.write("".join(lines).encode())
            elif verb == b"RCPT":
                recipient = line[line.index(b"<") + 1 : line.rindex(b">")]
                writer.write(b"250 2.1.5 Ok\r\n")
            elif verb == b"DATA":
                writer.write(b"354 Go ahead\r\n")
                await self._take(reader, writer, recipient)
            elif verb == b"QUIT":
                writer.write(b"221 2.0.0 Bye\r\n")
                return
            else:
                writer.write(b"250 2.0.0 Ok\r\n")

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, recipient: bytes) -> None:
        """Take a letter: some of the time it is taken although nobody is left to hear so, as relays do."""
        letter = await reader.readuntil(b"\r\n.\r\n")
        found = _MESSAGE_ID.search(letter)
        await self._linger()
        if reader.at_eof() and self._dice.random() < 1 / 2:
            raise ConnectionResetError
        os.write(self._log, b"%s %s\n" % (found[1] if found else b"none", recipient))
        await self._linger()
        writer.write(b"250 2.0.0 Ok: queued\r\n")

    async def _linger(self) -> None:
        if self._slow:
            await asyncio.sleep(self._dice.uniform(0, self._slow))


async def serve(relay: FaultRelay) -> None:
    """Listen on a free port of this machine, print it, and serve until standard input ends."""
    server = await asyncio.start_server(relay.meet, "127.0.0.1", 0, limit=_LIMIT)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await asyncio.to_thread(sys.stdin.buffer.read)


def main() -> None:
    """Read the options and serve."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--log", type=Path, required=True)
    options.add_argument("--slow", type=float, default=0.0, help="seconds, at most, before taking and before replying")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    asyncio.run(serve(FaultRelay(given.log, given.slow, given.seed)))


if __name__ == "__main__":
    main()
