"""A relay in a process of its own, slow and faulty by chance, that writes down each letter the moment it takes it.

`python -m benchmarks.fault_relay --log FILE --slow 0.02 --faults 0.02 --seed 7` prints its port and serves until its
input ends. It outlives every daemon, so its log is the truth about what was taken; a daemon that dies finds no trace of
it there. What it did wrong stands in `FILE.faults`, a line for each: the step and the misdeed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import socket
import struct
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LIMIT: Final = 1 << 24
_MESSAGE_ID: Final = re.compile(rb"^Message-ID:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
_OFFERS: Final = ("fault.example.org", "PIPELINING", "SIZE 10000000", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8")
_BREAKS: Final = ("drop", "reset", "hang", "half", "garbage")
MISDEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "greeting": (*_BREAKS, "421", "451", "554"),
    "ehlo": (*_BREAKS, "421", "451", "554"),
    "mail": (*_BREAKS, "421", "451"),  # a 5xx here is about our settings, and stops the lane until somebody looks
    "rcpt": (*_BREAKS, "421", "451", "554"),
    "data": (*_BREAKS, "421", "451", "554"),
    "body": ("drop", "reset", "hang", "garbage", "421", "451", "554"),
    "dot": ("drop", "reset", "hang", "421", "451", "554"),
    "reply": _BREAKS,
}
"""What may go wrong at each step. At `dot` the letter is complete and not taken, at `reply` it is taken already."""
UNCERTAIN: Final = ("body", "dot", "reply")
"""The steps at which a fault can leave a letter in doubt: what happened to a body may be seen only after its dot."""


class _Over(Exception):
    """The relay has done with this connection."""


@dataclass(frozen=True, slots=True)
class Chances:
    """The longest time that a letter takes, in seconds, half of it after its dot; the chance of a fault at a step."""

    slow: float = 0.0
    faults: float = 0.0
    seed: int = 1


class FaultRelay:
    """Speaks SMTP, and at each step does something else, as chance will have it."""

    def __init__(self, log: Path, chances: Chances) -> None:
        """Append to `log`; the same seed gives the same chances."""
        self._log, self._misdeeds = _opened(log), _opened(log.with_name(log.name + ".faults"))
        self._chances = chances
        self._dice = random.Random(chances.seed)

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end, however it ends."""
        with suppress(ConnectionError, asyncio.IncompleteReadError, _Over):
            await self._talk(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._say(writer, "greeting", b"220 fault.example.org ESMTP\r\n")
        recipients: list[bytes] = []
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                await self._say(writer, "ehlo", _hello())
            elif verb == b"MAIL":
                recipients = []
                await self._say(writer, "mail", b"250 2.1.0 Ok\r\n")
            elif verb == b"RCPT":
                recipients.append(line[line.index(b"<") + 1 : line.rindex(b">")])
                await self._linger(1 / 2)
                await self._say(writer, "rcpt", b"250 2.1.5 Ok\r\n")
            elif verb == b"DATA":
                if await self._say(writer, "data", b"354 Go ahead\r\n"):
                    await self._take(reader, writer, recipients)
            elif verb == b"QUIT":
                writer.write(b"221 2.0.0 Bye\r\n")
                return
            else:
                writer.write(b"250 2.0.0 Ok\r\n")

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, recipients: list[bytes]) -> None:
        """Take a letter: some of the time it is taken although nobody is left to hear so, as relays do."""
        letter = await reader.readuntil(b"\r\n")
        if not await self._say(writer, "body", b""):
            raise _Over
        letter += await reader.readuntil(b"\r\n.\r\n")
        found = _MESSAGE_ID.search(letter)
        await self._linger(1 / 4)
        if not await self._say(writer, "dot", b""):
            return
        if _is_gone(reader, writer) and self._dice.random() < 1 / 2:
            raise _Over
        os.write(self._log, b"%s %s\n" % (found[1] if found else b"none", b" ".join(recipients)))
        await self._linger(1 / 4)
        await self._say(writer, "reply", b"250 2.0.0 Ok: queued\r\n")

    async def _say(self, writer: asyncio.StreamWriter, step: str, usual: bytes) -> bool:
        """Say what is usual at a step, or do something else; return whether it was the usual, be it late."""
        if self._dice.random() >= self._chances.faults:
            writer.write(usual)
            return True
        misdeed = self._dice.choice(MISDEEDS[step])
        os.write(self._misdeeds, f"{step} {misdeed}\n".encode())
        if misdeed == "hang":
            await asyncio.sleep(self._dice.uniform(0.1, 0.5))
            writer.write(usual)
            return True
        await self._misbehave(writer, misdeed, usual)
        return False

    async def _misbehave(self, writer: asyncio.StreamWriter, misdeed: str, usual: bytes) -> None:
        """Do it, and leave where no relay would go on."""
        if misdeed == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        elif misdeed == "half":
            writer.write(usual[: len(usual) // 2])
        elif misdeed == "garbage":
            writer.write(b"Who are you?\r\n")
            return
        elif misdeed != "drop":
            writer.write(f"{misdeed} {misdeed[0]}.3.0 A fault of the relay\r\n".encode())
            if misdeed != "421":
                return
        raise _Over

    async def _linger(self, share: float) -> None:
        if self._chances.slow:
            await asyncio.sleep(self._dice.uniform(0, share * self._chances.slow))


def _opened(log: Path) -> int:
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _is_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether the other side has hung up, be there what may that it said before."""
    return bool(writer.is_closing() or getattr(reader, "_eof", False))


def _hello() -> bytes:
    marks = "-" * (len(_OFFERS) - 1) + " "
    return "".join(f"250{mark}{words}\r\n" for mark, words in zip(marks, _OFFERS, strict=True)).encode()


async def serve(relay: FaultRelay) -> None:
    """Listen on a free port of this machine, print it, and serve until standard input ends."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # whom a daemon's death leaves waiting
    server = await asyncio.start_server(relay.meet, "127.0.0.1", 0, limit=_LIMIT, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await asyncio.to_thread(sys.stdin.buffer.read)


def main() -> None:
    """Read the options and serve."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--log", type=Path, required=True)
    options.add_argument("--slow", type=float, default=0.0, help="seconds that a letter takes at most")
    options.add_argument("--faults", type=float, default=0.0, help="chance of a fault at each step")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    asyncio.run(serve(FaultRelay(given.log, Chances(given.slow, given.faults, given.seed))))


if __name__ == "__main__":
    main()
