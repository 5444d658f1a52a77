"""A mail server for this machine alone that keeps every letter in a folder to look at. It never passes one on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aiosmtpd.smtp import SMTP, Envelope, Session

from campaign.runtime.caught import Caught, extract, write_index

_HOST: Final = "127.0.0.1"
_SIZE_LIMIT: Final = 10 * 1024 * 1024
_INDEX_EVERY: Final = 1.0


class Catcher:
    """Listens on a loopback port in the running event loop and writes `NNNN.eml`, `.html`, `.txt` and `index.html`."""

    def __init__(self, folder: Path, *, port: int = 0, size_limit: int = _SIZE_LIMIT) -> None:
        """Take the folder, made if missing, and the port (0: any free one). Letters already there stay listed."""
        self._folder = folder
        self._wanted_port = port
        self._size_limit = size_limit
        self._letters: list[Caught] = []
        self._caught = 0
        self._next = 1
        self._server: asyncio.Server | None = None
        self._lines: set[_Line] = set()
        self._index: asyncio.Task[None] | None = None
        self._arrived = asyncio.Condition()

    @property
    def port(self) -> int:
        """The port it listens on; only known while it runs."""
        if self._server is None:
            msg = "The mail catcher is not running."
            raise RuntimeError(msg)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """What to write into CAMPAIGN_SMTP_URL."""
        return f"smtp://{_HOST}:{self.port}?tls=none"

    @property
    def caught(self) -> int:
        """How many letters came since it started."""
        return self._caught

    @property
    def letters(self) -> Sequence[Caught]:
        """The letters in the folder, oldest first."""
        return tuple(self._letters)

    @property
    def index(self) -> Path:
        """The page that lists them."""
        return self._folder / "index.html"

    async def start(self) -> None:
        """Begin to listen; raise OSError where the port is taken or the folder cannot be written."""
        await asyncio.to_thread(self._open_folder)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Line(self, self._size_limit), _HOST, self._wanted_port)

    async def stop(self) -> None:
        """Hang up on everybody, and bring the index up to date."""
        if self._server is None:
            return
        self._server.close()
        for line in list(self._lines):
            line.hang_up()
        await self._server.wait_closed()
        self._server = None
        if self._index is not None:
            self._index.cancel()
            await asyncio.wait({self._index})
        await self._write_index()

    async def wait_for(self, count: int, *, timeout: float) -> bool:
        """Wait until that many letters have come since the start; False when the seconds ran out first."""
        try:
            async with asyncio.timeout(timeout), self._arrived:
                await self._arrived.wait_for(lambda: self._caught >= count)
        except TimeoutError:
            return False
        return True

    def opened(self, line: _Line) -> None:
        """Note a connection."""
        self._lines.add(line)

    def closed(self, line: _Line) -> None:
        """Forget a connection."""
        self._lines.discard(line)

    async def keep(self, recipient: str, letter: bytes) -> str:
        """Write one letter to the folder and return the reply to its dot."""
        number, self._next = self._next, self._next + 1
        try:
            caught = await asyncio.to_thread(extract, self._folder, number, recipient, letter)
        except OSError as error:
            return f"452 4.3.1 The letter cannot be written: {error.strerror}"
        self._letters.append(caught)
        self._caught += 1
        if self._index is None or self._index.done():
            self._index = asyncio.create_task(self._write_index_soon())
        async with self._arrived:
            self._arrived.notify_all()
        return f"250 2.0.0 Kept as {caught.eml}"

    def _open_folder(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._letters = Caught.all_in(self._folder)
        self._next = max((caught.number for caught in self._letters), default=0) + 1
        write_index(self._folder, self._letters)

    async def _write_index_soon(self) -> None:
        """Many letters a second make one new index a second."""
        await asyncio.sleep(_INDEX_EVERY)
        await self._write_index()

    async def _write_index(self) -> None:
        with contextlib.suppress(OSError):  # a full disk is told to whoever sends; the list can wait for room
            await asyncio.to_thread(write_index, self._folder, list(self._letters))


class _Hooks:
    """What aiosmtpd asks along the way; it finds these by name."""

    def __init__(self, catcher: Catcher) -> None:
        self._catcher = catcher

    async def handle_EHLO(  # noqa: N802 -- the name that aiosmtpd calls
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Say that commands may come in groups, so that a rehearsal goes the way of the real thing."""
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", "250-ENHANCEDSTATUSCODES", responses[-1]]

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 -- the name that aiosmtpd calls
        """Keep the letter."""
        content = envelope.content
        letter = content if isinstance(content, bytes) else (content or "").encode()
        return await self._catcher.keep(", ".join(envelope.rcpt_tos), letter)


class _Line(SMTP):
    """One connection, which the catcher can hang up on."""

    def __init__(self, catcher: Catcher, size_limit: int) -> None:
        super().__init__(
            _Hooks(catcher),
            data_size_limit=size_limit,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="Campaign's mail catcher",
            loop=asyncio.get_running_loop(),
        )
        self._catcher = catcher

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._catcher.opened(self)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._catcher.closed(self)

    def hang_up(self) -> None:
        """Close the connection, whatever it was doing."""
        if self.transport is not None:
            self.transport.close()
