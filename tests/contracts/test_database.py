"""The house's databases: both are there, both begin with all tables and no rows, and neither is another test's."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from campaign.assets import asset
from campaign.store import migrations
from campaign.store.engine import Store


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_has_a_database_of_its_own(store: Store, turn: int) -> None:
    async with store.begin() as tx:
        await tx.execute(text("CREATE TABLE mine (turn INTEGER)"))
        await tx.execute(text("INSERT INTO mine VALUES (:turn)"), {"turn": turn})
    async with store.read() as tx:
        assert (await tx.execute(text("SELECT turn FROM mine"))).scalars().all() == [turn]


async def test_begins_at_the_newest_revision(store: Store) -> None:
    await migrations.require_current(store)
    assert migrations.newest(asset("alembic")) == migrations.HEAD


async def test_every_commit_is_durable_and_every_look_is_fresh_whatever_the_server_says(store: Store) -> None:
    async with store.begin() as tx:
        if store.sqlite:
            assert (await tx.execute(text("PRAGMA synchronous"))).scalar_one() == 2
            return
        assert (await tx.execute(text("SHOW synchronous_commit"))).scalar_one() == "on"
        assert (await tx.execute(text("SHOW transaction_isolation"))).scalar_one() == "read committed"


async def test_a_read_is_one_look_and_the_next_one_is_fresh(store: Store) -> None:
    async with store.begin() as tx:
        await tx.execute(text("CREATE TABLE mine (turn INTEGER)"))
    count = text("SELECT count(*) FROM mine")
    async with store.read() as tx:
        assert (await tx.execute(count)).scalar_one() == 0
        async with store.begin() as writing:
            await writing.execute(text("INSERT INTO mine VALUES (1)"))
        assert (await tx.execute(count)).scalar_one() == 0, "sums that are read in several statements belong together"
    async with store.read() as tx:
        assert (await tx.execute(count)).scalar_one() == 1
