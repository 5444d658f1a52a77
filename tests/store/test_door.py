"""Writers of all processes take turns at a SQLite file, whoever writes how much."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from time import sleep
from typing import IO

import pytest
from sqlalchemy import text

from campaign.store import door as doors
from campaign.store import engine as engines
from campaign.store.door import Door
from campaign.store.engine import Store
from campaign.store.writer import Writer


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Two stores on one file: to each other they are what two processes are."""
    stores = Store(f"sqlite:///{tmp_path / 'shared.db'}"), Store(f"sqlite:///{tmp_path / 'shared.db'}")
    async with stores[0].begin() as tx:
        await tx.execute(text("CREATE TABLE mine (turn INTEGER)"))
    yield stores
    for store in stores:
        await store.close()


@pytest.fixture
def stood_at(tmp_path: Path) -> IO[str]:
    """The door of that file, with somebody who stands there until this is closed."""
    handle = (tmp_path / "shared.db.door").open("w")
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


@pytest.mark.parametrize("through", ["store", "writer"])
async def test_one_transaction_gets_in_between_two_of_a_process_that_writes_without_a_pause(
    two: tuple[Store, Store], through: str
) -> None:
    long, short = two
    written, over, inside = 0, asyncio.Event(), asyncio.Event()

    async def write_much() -> None:
        nonlocal written
        while not over.is_set():
            async with long.begin():
                inside.set()
                await asyncio.sleep(0.1)
                written += 1

    async def look(_: object) -> int:
        return written

    writer = Writer(short)
    await writer.run(look)
    async with short.begin():  # both are connected, so that they come to the door at once
        pass
    writing = asyncio.create_task(write_much())
    for _ in range(5):
        inside.clear()
        await inside.wait()
        before = written
        if through == "writer":
            after = await writer.run(look)
        else:
            async with short.begin():
                after = written
        assert after - before <= 1, "the one that was under way ended, and no other began"
    over.set()
    await writing
    await writer.close()


async def test_a_long_work_waits_for_those_who_wait_and_no_longer(two: tuple[Store, Store]) -> None:
    long, short = two
    loop = asyncio.get_running_loop()
    assert not long._is_wanted()
    inside, leave = asyncio.Event(), asyncio.Event()

    async def write(store: Store) -> None:
        async with store.begin():
            inside.set()
            await leave.wait()

    first = asyncio.create_task(write(short))
    await inside.wait()
    second = asyncio.create_task(write(long))
    await asyncio.sleep(0.05)
    assert long._door is not None
    assert long._door.busy(), "who is next stands at the door"
    began = loop.time()
    await long.give_way()
    assert loop.time() - began >= engines._COURTESY, "somebody still waits; it went on all the same"
    leave.set()
    await asyncio.gather(first, second)
    assert not long._is_wanted()


async def test_nobody_waits_for_somebody_who_never_leaves_the_door(
    two: tuple[Store, Store], stood_at: IO[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped there, for one. SQLite's own lock is the truth."""
    monkeypatch.setattr(doors, "_PATIENCE", 0.05)
    for turn in range(3):
        async with two[0].begin() as tx:
            await tx.execute(text("INSERT INTO mine VALUES (:turn)"), {"turn": turn})
    stood_at.close()
    async with two[1].read() as tx:
        assert (await tx.execute(text("SELECT count(*) FROM mine"))).scalar_one() == 3


def test_patience_is_lost_once_and_found_again(
    tmp_path: Path, stood_at: IO[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "_PATIENCE", 0.01)
    door, pauses = Door(tmp_path / "shared.db"), []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        sleep(seconds)

    for _ in range(2):
        with door.first(pause):
            pass
        assert len(pauses) == 5, "the second time it went by at once"
    stood_at.close()
    with door.first(pause):
        assert door.busy()
    assert len(pauses) == 5
    with closing((tmp_path / "shared.db.door").open("w")) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with door.first(pause):
            pass
    assert len(pauses) == 10, "since it opened, it is worth waiting for again"


def test_where_there_can_be_no_door_nobody_waits(tmp_path: Path) -> None:
    door = Door(tmp_path / "missing" / "shared.db")
    with door.first(lambda _: os.abort()):
        assert not door.busy()
