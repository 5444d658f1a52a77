"""Serves an ASGI application beside the ticks of a daemon, on a port that is taken before anything else begins.

It never looks at a request.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn

from campaign.domain.errors import CampaignError
from campaign.logs import get_log
from campaign.runtime.daemon import Service

_log = get_log()
_SILENT: Final[dict[str, Any]] = {"log_config": None, "access_log": False, "server_header": False}
_PATIENCE: Final = 5
"""Seconds that pages in the making get when the daemon stops."""


class PortTaken(CampaignError):
    """The pages cannot listen where CAMPAIGN_LISTEN says."""

    code = "port_taken"


def listen(host: str, port: int) -> socket.socket:
    """Take a port (0: any free one), so that nothing starts where the pages could not; raise PortTaken."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        msg = f"The pages cannot listen on {host}:{port}: {_why(error)}."
        remedy = "Set another CAMPAIGN_LISTEN, stop what uses it, or start without pages: campaign run --no-web"
        raise PortTaken(msg, remedy=remedy) from error


def _why(error: OSError) -> str:
    """Give the system's word for it, without what Python adds; names that cannot be looked up have no number."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror or error)


def pages(app: Any, door: socket.socket) -> Service:
    """Return the service that serves `app` at an open `door` until the daemon stops."""

    async def serve(stopping: asyncio.Event) -> None:
        config = uvicorn.Config(app, lifespan="off", timeout_graceful_shutdown=_PATIENCE, **_SILENT)
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[door]))
        told = asyncio.create_task(stopping.wait())
        _log.info("pages_served", listen="{}:{}".format(*door.getsockname()[:2]))
        await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        server.should_exit = True
        await serving

    return serve


class _Server(uvicorn.Server):
    """A server that leaves the signals of the process to the daemon."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
