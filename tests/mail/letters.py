"""The letter, the envelope and the patience that the wire's tests share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from campaign.domain.addresses import parse_address
from campaign.domain.replies import Answer
from campaign.mail.conversation import SmtpConversation
from campaign.mail.smtp import SmtpOptions, SmtpTransport, Tls
from campaign.mail.terms import PhaseTimeouts
from campaign.mail.transport import Envelope

LONG = PhaseTimeouts(
    connect=10, greeting=10, ehlo=10, tls=10, auth=10, mail=10, rcpt=10, data=10, body=10, dot=10, quit=10
)
"""Long enough for a machine with much else to do."""


def impatient(moment: str) -> PhaseTimeouts:
    """Little patience at the one moment at which a server hangs, with a group of commands and with the farewell."""
    return replace(LONG, **{"mail": 0.4, "quit": 0.2, moment: 0.4})


BODY = b"Subject: A letter\r\n\r\n.starts with a dot\r\n..and two\r\n.\r\nNot the end.\r\n"


def envelope(recipient: str = "reader-07@example.org", sender: str = "news@example.net") -> Envelope:
    return Envelope(sender, parse_address(recipient))


def relay(port: int, timeouts: PhaseTimeouts = LONG, **more: object) -> SmtpTransport:
    options: dict[str, object] = {"tls": Tls.NONE, "name": "test", "hello": "sender.example.net", **more}
    return SmtpTransport(SmtpOptions("127.0.0.1", port, timeouts=timeouts, **options))  # type: ignore[arg-type] # tests only


@asynccontextmanager
async def conversation(port: int, timeouts: PhaseTimeouts = LONG, **more: object) -> AsyncIterator[SmtpConversation]:
    """Open a conversation and leave no connection behind."""
    opened = await relay(port, timeouts, **more).open()
    try:
        yield opened
    finally:
        await opened.close()


class Token:
    """A `before_dot` that counts, and may pause so that what the server did meanwhile can arrive."""

    def __init__(
        self, answer: bool = True, *, pause: float = 0.0, meanwhile: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        self.answer = answer
        self.asked = 0
        self._pause = pause
        self._meanwhile = meanwhile

    async def __call__(self) -> bool:
        self.asked += 1
        if self._meanwhile is not None:
            await self._meanwhile()
        await asyncio.sleep(self._pause)
        return self.answer


async def send(port: int, token: Token | None = None, timeouts: PhaseTimeouts = LONG) -> Answer:
    """Send one letter on a connection of its own."""
    async with conversation(port, timeouts) as opened:
        return await opened.deliver(envelope(), BODY, token or Token())
