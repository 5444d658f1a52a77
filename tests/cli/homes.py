"""Fills homes for the command line: settings that can send, people on a list, and a relay that keeps what it gets."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from campaign import bootstrap
from campaign.actions import importing, listing
from campaign.assets import asset
from campaign.cli import main
from campaign.domain.lists import Terms
from campaign.runtime.catcher import Catcher
from campaign.settings import load_settings

READERS = 25


class Typist:
    """Types commands in one home and reads what they answer."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home, self._capsys = home, capsys
        self.said = self.aside = ""

    def __call__(self, *words: str) -> int:
        self._capsys.readouterr()
        status = main.run(["--home", str(self.home), *words])
        self.said, self.aside = self._capsys.readouterr()
        return status

    def read(self, *words: str) -> Any:
        assert self(*words, "--json") == 0, self.aside
        return json.loads(self.said)


def settle(home: Path, **settings: str) -> None:
    """Add settings to `.env`, over those that every sender needs."""
    usual = {
        "CAMPAIGN_SENDER": "Example Campaign <letters@example.org>",
        "CAMPAIGN_SMTP_URL": "smtp://127.0.0.1:1?tls=none",
        "CAMPAIGN_BASE_URL": "http://127.0.0.1:8000",
        "CAMPAIGN_POSTAL_ADDRESS": "1 Example Street, Example Town",
        "CAMPAIGN_TIMEZONE": "Europe/Berlin",
    }
    env = home / ".env"
    kept = [line for line in env.read_text("utf-8").splitlines() if line.partition("=")[0] not in {*usual, *settings}]
    lines = [f'{name}="{value}"' for name, value in {**usual, **settings}.items()]
    env.write_text("\n".join([*kept, *lines, ""]), "utf-8")


def invite(home: Path) -> None:
    """Put the sample readers of the demo on a list."""

    async def go() -> None:
        async with bootstrap.kit(load_settings(home, {}), operator="local:test") as kit:
            await listing.add(kit, "supporters", Terms("Supporters"))
            await listing.add(kit, "empty", Terms("Empty"))
            people = asset("config/demo/subscribers.csv")
            await importing.run(kit, importing.Order(people, "supporters", "Yes, please. A sheet of paper, 2026"))

    asyncio.run(go())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@contextmanager
def a_relay(folder: Path) -> Iterator[Catcher]:
    """A mail catcher in a thread and loop of its own, so that a test may block."""
    loop = asyncio.new_event_loop()
    catcher = Catcher(folder)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(catcher.start(), loop).result(10)
    try:
        yield catcher
    finally:
        asyncio.run_coroutine_threadsafe(catcher.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
