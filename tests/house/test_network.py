"""The guard against tests that talk to strangers."""

from __future__ import annotations

import asyncio
import socket

import pytest


def _connect(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as client:
        client.setblocking(False)
        client.connect((host, 9))


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "0.0.0.1"])
def test_strangers_cannot_be_reached(host: str) -> None:
    with pytest.raises(pytest.fail.Exception, match="only talk to this machine"):
        _connect(host)


async def test_names_cannot_be_looked_up() -> None:
    with pytest.raises(pytest.fail.Exception, match="only talk to this machine"):
        await asyncio.get_running_loop().getaddrinfo("mail.example.org", 25)


def test_nobody_outside_can_reach_a_test() -> None:
    with socket.socket() as server, pytest.raises(pytest.fail.Exception, match="only talk to this machine"):
        server.bind(("0.0.0.0", 0))


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
