"""What runs for every letter, or every second, finds its rows by an index: a million others make it no slower."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text

from campaign.actions import campaigning, freezing, planning
from campaign.actions.kit import Kit
from campaign.actions.watching import Watch
from campaign.domain.consent import Reason
from campaign.domain.delivery import Event
from campaign.store import agenda, audiences, claims, editions, ledger, recovery, waves
from campaign.store.engine import Store, Transaction
from campaign.store.moves import Cause
from campaign.store.schema.ledger import deliveries
from campaign.store.schema.people import subscribers, suppressions
from tests.actions.test_lanes import EVERY
from tests.builders import Reader, a_kit, fresh_articles, some_readers
from tests.clocks import FrozenClock
from tests.contracts.test_ledger import ME, a_sending_edition, claim, token
from tests.postgres import Postgres

Statement = tuple[str, Any]

_WHOLE = {
    f"SCAN {table}" for table in ("deliveries", "delivery_events", "subscribers", "subscriptions", "suppressions")
}
"""What SQLite says when it reads a table from end to end; a partial index it may read, for few letters are in it."""


@pytest.fixture
async def kit(migrated_sqlite: Path, tmp_path: Path, clock: FrozenClock, home: Path) -> AsyncIterator[Kit]:
    """On SQLite alone: PostgreSQL reads a small table whole whatever its indexes, and by index when it is large."""
    path = tmp_path / "campaign.db"
    shutil.copyfile(migrated_sqlite, path)
    store = Store(f"sqlite:///{path}")
    yield a_kit(store, clock, home)
    await store.close()


async def test_no_statement_that_runs_often_reads_all_letters(kit: Kit) -> None:
    edition_id = await a_sending_edition(kit, people=40)
    said: list[Statement] = []

    @event.listens_for(kit.store.engine.sync_engine, "before_cursor_execute")
    def listen(_connection: Any, _cursor: Any, words: str, values: Any, _context: Any, many: bool) -> None:
        said.append((words, values[0] if many else values))

    await _a_day(kit, edition_id)
    scans = [f"{plan}: {words}" for words, plan in _plans(kit, said) if plan in _WHOLE]
    assert not scans, "\n".join(scans)


MANY = 1_000
_WATCH = (
    "LOAD 'auto_explain'",
    "SET auto_explain.log_min_duration = 0",
    "SET client_min_messages = log",
)
_READ_WHOLE = re.compile(r"(?:Seq|Bitmap Heap) Scan on deliveries")
"""What PostgreSQL says when it reads all letters, or picks half of them from an index before it looks at the first."""


@pytest.mark.postgresql
async def test_no_statement_of_a_tick_reads_all_letters_on_postgresql(
    postgres: Postgres, migrated_postgres: str, clock: FrozenClock, home: Path
) -> None:
    """With so many letters that reading them all is worth avoiding, and with figures about them, as after a freeze."""
    name = postgres.create(migrated_postgres)
    store = Store(postgres.url(name))
    kit = a_kit(store, clock, home)
    edition_id = await a_sending_edition(kit, people=40)
    async with store.begin() as tx:
        copied = [column.name for column in deliveries.c if column.name not in {"id", "purpose_key"}]
        rows = select(deliveries.c.purpose_key + text("'/' || n"), *(deliveries.c[name] for name in copied))
        rows = rows.select_from(deliveries, text(f"generate_series(1, {MANY}) AS n"))
        await tx.execute(insert(deliveries).from_select(["purpose_key", *copied], rows))
    await waves.look_over(store)
    plans: list[str] = []
    async with store.begin() as tx:
        raw = await tx.get_raw_connection()
        raw.driver_connection.add_notice_handler(lambda notice: plans.append(notice.message_primary or ""))
        for words in _WATCH:
            await tx.exec_driver_sql(words)
        await _a_tick(tx, kit, edition_id)
    await store.close()
    postgres.drop(name)
    whole = [plan for plan in plans if _READ_WHOLE.search(plan)]
    assert len(plans) > 20, "it was watched"
    assert not whole, "\n".join(whole)


@pytest.fixture
async def beside(postgres: Postgres, migrated_postgres: str) -> AsyncIterator[Callable[[], Store]]:
    """Makes stores on one PostgreSQL database, as programs beside each other have them."""
    name = postgres.create(migrated_postgres)
    made: list[Store] = []

    def another() -> Store:
        made.append(Store(postgres.url(name)))
        return made[-1]

    yield another
    for store in made:
        await store.close()
    postgres.drop(name)


@pytest.mark.postgresql
async def test_people_who_came_lately_are_looked_at_before_they_are_frozen(
    beside: Callable[[], Store], clock: FrozenClock, home: Path
) -> None:
    """However few are frozen: PostgreSQL would read all subscriptions for each token, as if there were none."""

    async def seen() -> list[tuple[float, int]]:
        """How many subscribers, subscriptions and suppressions it believes in; how often it was told to look."""
        figures = "SELECT reltuples, analyze_count FROM pg_stat_user_tables JOIN pg_class ON pg_class.oid = relid"
        async with kit.store.read() as tx:
            rows = await tx.execute(text(f"{figures} WHERE pg_class.relname LIKE 'su%s' ORDER BY pg_class.relname"))
            return [(row[0], row[1]) for row in rows]

    async def more(first: int, count: int, slug: str) -> None:
        store = beside()
        await some_readers(a_kit(store, clock, home), [Reader(n) for n in range(first, first + count)], slug)
        await store.close()  # as the program ends that brought them, and tells the server what it changed

    kit = a_kit(beside(), clock, home)
    await more(1, 40, "supporters")
    assert await seen() == [(-1, 0)] * 4, "it never looked"
    await fresh_articles(kit)
    await campaigning.create(kit, "news", EVERY)
    await campaigning.approve(kit, "news")
    await planning.send_now(kit, "news")
    assert await freezing.freeze_due(kit) == 1
    await kit.renderer.aclose()
    assert await seen() == [(40, 1), (40, 1), (0, 1), (0, 1)]
    await more(101, 5, "few")
    await audiences.look_over(kit.store)
    assert await seen() == [(40, 1), (40, 1), (0, 1), (0, 1)], "five more change no plan"
    await more(201, 60, "many")
    await audiences.look_over(kit.store)
    assert await seen() == [(105, 2), (105, 2), (0, 1), (0, 1)]


async def _a_tick(tx: Transaction, kit: Kit, edition_id: int) -> None:
    """What the daemon asks each second, and before each claim, however many letters wait."""
    now = kit.clock.now()
    await waves.open_due(tx, now)
    await agenda.next_instant(tx, now)
    await agenda.is_busy(tx, now, within=now - now)
    await editions.finish_empty(tx, now)
    await editions.stopped_with_letters(tx)
    await recovery.owners(tx)
    await recovery.recover_owner(tx, ME, now)
    await recovery.recover_frozen(tx, claimed_before=now, offered_before=now, now=now)
    await recovery.resolve_by_policy(tx, now)
    letters, _ = await claims.claim(tx, claims.Claim(ME, edition_id, 50), now)
    assert len(letters) == 50


async def _a_day(kit: Kit, edition_id: int) -> None:
    """Everything that happens to letters, once."""
    letters = await claim(kit, edition_id)
    now = kit.clock.now()
    async with kit.store.begin() as tx:
        await waves.open_due(tx, now)
        await ledger.offer(tx, ME, [token(letter) for letter in letters[:20]], now)
        ends = (Event.ACCEPT, Event.DEFER, Event.DOUBT, Event.REFUSE, Event.EXPIRE, Event.RELEASE)
        for number, end in enumerate(ends):
            values = {"due_at": now} if end is Event.DEFER else {}
            held = [(letter.id, letter.claim_no) for letter in letters[number::6]]
            await ledger.settle(tx, end, held, Cause(now, code=250, values=values))
        await ledger.let_go(tx, ME, [(letter.id, letter.claim_no) for letter in letters[20:]], now)
        await _somebody_leaves(tx, kit)
        await recovery.owners(tx)
        await recovery.recover_owner(tx, ME, now)
        await recovery.recover_frozen(tx, claimed_before=now, offered_before=now, now=now)
        await recovery.resolve_by_policy(tx, now)
        await editions.finish_empty(tx, now)
        await agenda.next_instant(tx, now)
        await agenda.is_due(tx, now)
        await agenda.is_busy(tx, now, within=now - now)
    watch = Watch(kit)
    await watch.look()
    await watch.look()


async def _somebody_leaves(tx: Transaction, kit: Kit) -> None:
    key = (await tx.execute(select(subscribers.c.address_key).limit(1))).scalar_one()
    row = {"address_key": key, "key_version": 1, "reason": Reason.BLOCKED, "since": kit.clock.now()}
    await tx.execute(insert(suppressions).values(**row, recorded_by="test"))
    assert await ledger.suppress_person(tx, key, now=kit.clock.now(), reason="blocked") == 1


def _plans(kit: Kit, said: list[Statement]) -> list[tuple[str, str]]:
    """What SQLite would do for each of these statements."""
    assert kit.store.file is not None
    found: list[tuple[str, str]] = []
    with closing(sqlite3.connect(kit.store.file)) as connection:
        for words, values in dict(said).items():
            if words.lstrip().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
                found += [(words, row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {words}", values)]
    return found
