"""An import looks for the people of one chunk, never through a whole list: SQLite takes the staged people first."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import event

from campaign.actions import importing, listing
from campaign.domain.lists import Terms
from campaign.store.engine import Store
from tests.builders import a_kit
from tests.clocks import FrozenClock

_STAGED = "CREATE TEMPORARY TABLE staged_people (address_key)"
_LOOKS = ("FROM staged_people", "FROM subscribers", "FROM subscriptions")


async def test_every_statement_of_a_chunk_begins_with_its_people(
    migrated_sqlite: Path, tmp_path: Path, clock: FrozenClock, home: Path
) -> None:
    path = tmp_path / "campaign.db"
    shutil.copyfile(migrated_sqlite, path)
    kit = a_kit(Store(f"sqlite:///{path}"), clock, home)
    await listing.add(kit, "supporters", Terms("Supporters"))
    said: list[tuple[str, Any]] = []

    @event.listens_for(kit.store.engine.sync_engine, "before_cursor_execute")
    def listen(_connection: Any, _cursor: Any, words: str, values: Any, _context: Any, many: bool) -> None:
        if any(look in words for look in _LOOKS) and not many:
            said.append((words, values))

    people = tmp_path / "people.csv"
    people.write_text("address\n" + "".join(f"reader-{n:02}@example.org\n" for n in range(9)), "utf-8")
    for confirm in (False, True):
        await importing.run(kit, importing.Order(people, "supporters", f"yes {confirm}", confirm=confirm))
    people.write_text("address\nreader-10@example.org\n", "utf-8")
    await importing.run(kit, importing.Order(people, "supporters", "yes", confirm=True))
    await kit.store.close()
    assert len(said) >= 10
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(_STAGED)
        for words, values in said:
            if words.startswith("DELETE"):
                continue
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {words}", values)]
            scans = [step for step in plan if step.startswith("SCAN")]
            assert scans in ([], ["SCAN staged_people"]), f"{scans}: {words}"
