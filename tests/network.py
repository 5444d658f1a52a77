"""Keeps tests from talking to anybody but this machine. It watches Python's own sockets of this process."""

from __future__ import annotations

import sys
from ipaddress import ip_address
from typing import Any, Final

import pytest

_ADDRESSED: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind"})
_NAMED: Final = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})


def guard() -> None:
    """Start watching; it lasts as long as the process. Calling it twice only watches twice."""
    sys.addaudithook(_watch)


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if event in _ADDRESSED and isinstance(args[1], tuple):
        _only_here(event, args[1][0])
    elif event in _NAMED:
        _only_here(event, args[0])


def _only_here(event: str, host: object) -> None:
    """Fail the test with an exception that no `except Exception` swallows."""
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if not name or not isinstance(name, str) or name == "localhost" or _is_loopback(name):
        return
    msg = f"{event} to {name}: tests only talk to this machine (127.0.0.1, ::1, localhost)"
    raise pytest.fail.Exception(msg)


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False
