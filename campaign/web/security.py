"""What every answer carries and how much a question may hold. It never knows what a page is about."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY: Final = 64 * 1024
"""Bytes of a request's body; our largest form needs a few dozen."""

POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing inline, nothing from elsewhere, no frame around us (Content Security Policy Level 3)."""

_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), browsing-topics=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "X-Robots-Tag": "noindex, nofollow",
    }
)
_ONE_YEAR: Final = "max-age=31536000"
_TOO_LARGE: Final = 413


class SecureAnswers:
    """Adds the headers to every answer, errors included, and stops reading a body that is too large."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        """Take the pages, and whether people reach them by https (then browsers are told to stay with it)."""
        self._app = app
        self._headers = dict(_HEADERS) | ({"Strict-Transport-Security": _ONE_YEAR} if https else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, _capped(receive), answer)


def _capped(receive: Receive) -> Receive:
    """Give `receive` that refuses to go on after the largest body, whatever Content-Length said."""
    read = 0

    async def capped() -> Message:
        nonlocal read
        message = await receive()
        if message["type"] == "http.request":
            read += len(message.get("body", b""))
            if read > LARGEST_BODY:
                raise HTTPException(_TOO_LARGE)
        return message

    return capped
