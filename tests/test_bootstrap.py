"""The joiner: a kit opens only on a database that is right, and the pages also run by themselves."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from campaign import bootstrap
from campaign.domain.errors import NotFound, NotReady, SettingsMissing
from campaign.settings import RelaySettings, Settings
from campaign.store.migrations import SchemaBehind
from tests.builders import KEY
from tests.cli.programs import Started, environment


def settings(home: Path, url: str, **more: object) -> Settings:
    keys = {"secret_key": (KEY,), "suppression_key": KEY, "seal_key": (KEY,)}
    return Settings(home=home, database_url=url, **(keys | more))  # type: ignore[arg-type] -- keys and what a case adds


async def test_a_kit_opens_on_a_database_that_is_up_to_date(home: Path, database_url: str) -> None:
    async with bootstrap.kit(settings(home, database_url), operator="local:test") as kit:
        assert kit.operator == "local:test"
        assert kit.relays == ()
        with pytest.raises(NotReady, match="relay"):
            kit.require_relays()


async def test_a_relay_is_made_of_its_url(home: Path, database_url: str) -> None:
    chosen = settings(home, database_url, smtp_url="smtp://127.0.0.1:2525?tls=none")
    async with bootstrap.kit(chosen, operator="daemon") as kit:
        assert kit.relay("main").weight == 1
        with pytest.raises(NotFound, match=r"no relay 'other'.*There are: main"):
            kit.relay("other")


async def test_several_relays_are_made_of_their_table(home: Path, database_url: str) -> None:
    url = "smtp://127.0.0.1:2525?tls=none"
    tables = (RelaySettings(name="one", url=url, weight=3), RelaySettings(name="two", url=url, per_second=4))
    async with bootstrap.kit(settings(home, database_url, relays=tables), operator="daemon") as kit:
        assert [(relay.name, relay.weight, relay.limits.per_second) for relay in kit.require_relays()] == [
            ("one", 3, None),
            ("two", 1, 4),
        ]


async def test_without_keys_nothing_opens(home: Path, database_url: str) -> None:
    with pytest.raises(SettingsMissing, match="CAMPAIGN_SEAL_KEY"):
        async with bootstrap.kit(settings(home, database_url, seal_key=()), operator="local:test"):
            pass


async def test_a_database_that_was_never_set_up_is_told_apart(home: Path, empty_database_url: str) -> None:
    chosen = settings(home, empty_database_url)
    with pytest.raises((NotReady, SchemaBehind)) as caught:
        async with bootstrap.kit(chosen, operator="local:test"):
            pass
    assert "campaign init" in caught.value.remedy
    assert (await bootstrap.database_revision(chosen))[0] is None

    before, after = await bootstrap.upgrade_database(chosen)
    assert (before, after) == (None, (await bootstrap.database_revision(chosen))[1])
    assert await bootstrap.upgrade_database(chosen) == (after, after)
    assert await bootstrap.database_differences(chosen) == []


def test_the_pages_run_under_any_asgi_server(home: Path) -> None:
    made = subprocess.run([sys.executable, "-m", "campaign", "init"], cwd=home, env=environment(), check=False)
    assert made.returncode == 0
    command = [sys.executable, "-m", "uvicorn", "--factory", "campaign.bootstrap:web", "--port", "0"]
    with Started(command, cwd=home, env=environment(), stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        address = next(found[0] for line in running.stderr if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        answer = httpx2.get(f"{address}/healthz")
        running.terminate()
        running.stderr.read()
    assert answer.json() == {"status": "ok"}
