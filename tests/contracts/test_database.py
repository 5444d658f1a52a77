"""The house's databases: both are there, both begin with all tables and no rows, and neither is another test's."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from campaign.assets import asset
from campaign.store import migrations
from campaign.store.engine import DatabaseAway, Store, Transaction
from campaign.store.writer import Writer


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


async def test_a_session_that_is_cut_is_told_in_our_words_and_the_next_one_works(store: Store) -> None:
    if store.sqlite:
        return  # no server, no session
    for opened in (store.read, store.begin):
        with pytest.raises(DatabaseAway):
            async with opened() as tx:
                await tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        async with opened() as tx:
            assert (await tx.execute(text("SELECT 1"))).scalar_one() == 1


async def test_a_writer_that_stands_still_in_a_transaction_holds_up_the_others_for_a_minute_at_most(
    store: Store,
) -> None:
    async def look(tx: Transaction) -> str | None:
        shown = "SHOW idle_in_transaction_session_timeout"
        return None if store.sqlite else str((await tx.execute(text(shown))).scalar_one())

    writer = Writer(store)
    try:
        assert await writer.run(look) == (None if store.sqlite else "1min")
    finally:
        await writer.close()
