"""Who lives and who is dead: on SQLite by a lock file, on PostgreSQL by a session, which may break under a living one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolExhausted

from campaign.store import presence as room
from campaign.store.engine import Store
from campaign.store.presence import is_dead, living, presence

ENDED = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
"""Ends all sessions that hold a lock of an owner."""


async def test_an_owner_lives_as_long_as_its_block(store: Store) -> None:
    assert await is_dead(store, "worker-1")
    async with presence(store, "worker-1"):
        assert not await is_dead(store, "worker-1")
        assert await is_dead(store, "worker-2")
    await at_last(lambda: is_dead(store, "worker-1"))


async def at_last(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it is true: a server takes a moment to notice that a session has ended."""
    async with asyncio.timeout(10):
        while not await true():  # noqa: ASYNC110 -- what changes is in the database
            await asyncio.sleep(0.05)


async def test_who_lives_is_counted_without_taking_anything_away(store: Store) -> None:
    def later() -> datetime:
        return datetime.now(UTC) + timedelta(minutes=1)

    async def nobody() -> bool:
        return await living(store, later()) == 0

    assert await nobody()
    async with presence(store, "worker-1"):
        assert await living(store, later()) == 1
        async with presence(store, "worker-2"):
            assert await living(store, later()) == 2
        assert not await is_dead(store, "worker-1")
    await at_last(nobody)


@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True)
async def test_an_owner_whose_session_breaks_is_seen_alive_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock file has no session, so this is about PostgreSQL alone."""
    monkeypatch.setattr(room, "_HEARTBEAT", 0.05)
    async with presence(store, "worker-1"):
        async with store.begin() as tx:
            await tx.execute(text(ENDED))

        async def alive() -> bool:
            return not await is_dead(store, "worker-1")

        await at_last(alive)
    await at_last(lambda: is_dead(store, "worker-1"))


@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True)
async def test_an_owner_outlives_a_moment_in_which_all_connections_are_busy(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_HEARTBEAT", 0.05)
    async with presence(store, "worker-1"):
        connect, busy = store.engine.connect, [PoolExhausted()]

        def connected(_: object) -> object:
            if busy:
                raise busy.pop()
            return connect()

        async def alive() -> bool:
            return not busy and not await is_dead(store, "worker-1")

        async with store.begin() as tx:
            monkeypatch.setattr(type(store.engine), "connect", connected)
            await tx.execute(text(ENDED))
        await at_last(alive)
