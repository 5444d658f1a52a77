"""A smarthost in a process of its own that is slow to some recipient domains, and gets no answer from others.

`python -m benchmarks.domain_relay --usual 0.02 --lag slow.example.org=2 --hang dead.example.org`
prints its port and serves until its input ends. A domain that lags makes it wait before each reply to RCPT and to the
dot; one that hangs never lets it answer RCPT; one that refuses makes it say 421 to RCPT and hang up.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import suppress
from dataclasses import dataclass, field

_LIMIT = 1 << 24
_HELLO = b"250-domain.example.org\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n250 8BITMIME\r\n"


@dataclass(slots=True)
class DomainRelay:
    """What it does to whom."""

    usual: float = 0.0
    lag: dict[str, float] = field(default_factory=dict)
    hang: frozenset[str] = frozenset()
    refuse: frozenset[str] = frozenset()

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end, however it ends."""
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._talk(reader, writer)
        writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 domain.example.org ESMTP\r\n")
        domain = ""
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                writer.write(_HELLO)
            elif verb == b"RCPT":
                domain = line[line.rindex(b"@") + 1 : line.rindex(b">")].decode()
                if domain in self.refuse:
                    writer.write(b"421 4.4.1 The next server does not answer\r\n")
                    return
                if domain in self.hang:
                    await reader.read()
                await asyncio.sleep(self.lag.get(domain, 0))
                writer.write(b"250 2.1.5 Ok\r\n")
            elif verb == b"DATA":
                writer.write(b"354 Go ahead\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                await asyncio.sleep(self.lag.get(domain, self.usual))
                writer.write(b"250 2.0.0 Ok: queued\r\n")
            elif verb == b"QUIT":
                writer.write(b"221 2.0.0 Bye\r\n")
                return
            else:
                writer.write(b"250 2.0.0 Ok\r\n")


async def serve(relay: DomainRelay) -> None:
    """Listen on a free port of this machine, print it, and serve until standard input ends."""
    server = await asyncio.start_server(relay.meet, "127.0.0.1", 0, limit=_LIMIT)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)
    server.close()


def main() -> None:
    """Read the options and serve."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--usual", type=float, default=0.0, help="seconds before it says that it has a letter")
    options.add_argument("--lag", action="append", default=[], metavar="DOMAIN=SECONDS")
    options.add_argument("--hang", action="append", default=[], metavar="DOMAIN")
    options.add_argument("--refuse", action="append", default=[], metavar="DOMAIN")
    given = options.parse_args()
    lag = {domain: float(seconds) for domain, _, seconds in (one.partition("=") for one in given.lag)}
    asyncio.run(serve(DomainRelay(given.usual, lag, frozenset(given.hang), frozenset(given.refuse))))


if __name__ == "__main__":
    main()
