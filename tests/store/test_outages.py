"""A database that is away, locked or read-only is told in words, with what to do; once, however many ask for it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolExhausted

from campaign.store import outages
from campaign.store.engine import DatabaseAway, Store, away
from campaign.store.outages import remedy_for
from campaign.store.writer import Writer


class Listener:
    """Writes down what is told."""

    def __init__(self, store: Store) -> None:
        self.heard: list[str] = []
        self.words: list[str] = []
        store.outage.tell = self.hear

    def hear(self, what: str, words: str, _remedy: str) -> None:
        self.heard.append(what)
        self.words.append(words)


async def fail(store: Store) -> None:
    with suppress(DatabaseAway):
        async with store.begin():
            with away():
                raise PoolExhausted
        pytest.fail("it was not called away")


async def work(store: Store) -> None:
    async with store.begin() as tx:
        await tx.execute(text("SELECT 1"))


async def test_an_outage_is_told_once_and_its_end_once_all_works(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(store)
    await work(store)
    for _ in range(3):
        await fail(store)
        await work(store)
    assert listener.heard == ["away"], "what works now and then is not back"
    monkeypatch.setattr(outages, "_CALM", 0.0)
    await work(store)
    await work(store)
    assert listener.heard == ["away", "back"]
    await fail(store)
    assert listener.heard == ["away", "back", "away"], "the next one is another"


async def test_whoever_ends_before_all_is_calm_says_that_it_is_back_if_it_is(store: Store) -> None:
    listener = Listener(store)
    store.outage.over()
    await fail(store)
    store.outage.over()
    assert listener.heard == ["away"], "nothing has worked since"
    await work(store)
    store.outage.over()
    store.outage.over()
    assert listener.heard == ["away", "back"]


async def test_a_long_outage_is_told_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(store)
    await fail(store)
    monkeypatch.setattr(outages, "_AGAIN", 0.0)
    await fail(store)
    assert listener.heard == ["away", "away"]


async def test_whoever_waits_for_another_program_s_lock_is_told_of(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "_SLOW", 0.1)
    monkeypatch.setattr(outages, "_CALM", 0.0)
    store = Store(database_url)
    writer, listener = Writer(store), Listener(store)

    async def look(tx: object) -> None:
        del tx

    if store.file is None:
        async with store.begin():
            await asyncio.sleep(0.3)
    else:
        with closing(sqlite3.connect(store.file, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            writing = asyncio.create_task(writer.run(look))
            await asyncio.sleep(0.3)
            other.execute("COMMIT")
        await writing
    await writer.close()
    assert listener.heard == ["waits", "back"]
    await store.close()


@pytest.mark.postgresql
async def test_a_server_that_only_reads_is_away_for_a_writer(database_url: str) -> None:
    if database_url.startswith("sqlite"):
        with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as made:
            made.execute("PRAGMA query_only = ON")
            with pytest.raises(sqlite3.OperationalError) as refused:
                made.execute("DELETE FROM brakes")
            assert "write the file" in remedy_for(refused.value)
        return
    store = Store(f"{database_url}&options=-c%20default_transaction_read_only%3Don")
    with pytest.raises(DatabaseAway) as caught:
        async with store.begin() as tx:
            await tx.execute(text("DELETE FROM brakes"))
    assert "writable" in caught.value.remedy
    await store.close()


async def test_a_mistake_of_ours_is_not_called_an_outage(store: Store) -> None:
    with pytest.raises(Exception, match="nothing_of_the_kind") as caught:
        async with store.read() as tx:
            await tx.execute(text("SELECT * FROM nothing_of_the_kind"))
    assert not isinstance(caught.value, DatabaseAway)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("database is locked", "fuser"),
        ("database or disk is full", "Make room"),
        ("FATAL: sorry, too many clients already", "max_connections"),
        ("connection refused", "CAMPAIGN_DATABASE_URL"),
    ],
)
def test_each_fault_has_its_remedy(words: str, part: str) -> None:
    assert part in remedy_for(words)
