"""What the doctor finds in a database, on SQLite and on PostgreSQL: each fault is a real one."""

from __future__ import annotations

import asyncio
import base64
import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from campaign.actions import guarding
from campaign.actions.examining import database
from campaign.actions.kit import Kit
from campaign.clock import Clock, SystemClock
from campaign.domain.delivery import Event
from campaign.domain.findings import Finding, Level, worst
from campaign.keys import fresh_key
from campaign.settings import Settings
from campaign.store import relays, vitals
from campaign.store.engine import Store
from campaign.store.presence import living, presence
from tests.builders import KEY, a_kit, some_readers
from tests.clocks import FrozenClock
from tests.contracts.test_ledger import a_sending_edition, claim, offer, settle

SQLITE_ONLY = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def kit(store: Store, home: Path) -> Kit:
    if store.file:
        store.file.chmod(0o600)
    return a_kit(store, SystemClock(), home)


async def findings(kit: Kit, clock: Clock | None = None) -> dict[str, Finding]:
    """What is found, the worst of each subject."""
    found: dict[str, Finding] = {}
    for one in await database.examine(kit.settings, clock or kit.clock):
        if one.subject not in found or worst([one, found[one.subject]]) is not found[one.subject].level:
            found[one.subject] = one
    return found


async def test_a_database_that_is_well(kit: Kit) -> None:
    found = await findings(kit)
    assert {name: one.level for name, one in found.items()} == {
        "database": Level.OK,
        "keys": Level.OK,
        "clock": Level.OK,
        "daemon": Level.NOTE,
        "letters": Level.OK,
    }
    assert found["daemon"].mend == f"campaign --home {kit.settings.home} run"
    async with kit.store.read() as tx:
        assert (await tx.execute(text("SELECT count(*) FROM instance"))).scalar_one() == 0, "a look writes nothing"


def keyed(kit: Kit, **keys: str) -> Settings:
    ours = dict.fromkeys(("secret_key", "suppression_key", "seal_key"), base64.urlsafe_b64encode(KEY).decode())
    return Settings(home=kit.settings.home, database_url=kit.settings.database_url, **{**ours, **keys})


async def test_keys_of_another_database(kit: Kit) -> None:
    await some_readers(kit, 1)
    await guarding.check_keys(kit)
    assert (await findings(kit))["keys"].found == "They are those of this database."
    other = fresh_key(SystemClock())
    for name, said in (("suppression_key", "SUPPRESSION"), ("seal_key", "SEAL")):
        settings = keyed(kit, **{name: other})
        found = [one for one in await database.examine(settings, kit.clock) if one.subject == "keys"]
        assert (found[0].level, said in found[0].found) == (Level.ERROR, True)
        assert str(kit.settings.home / ".env") in found[0].mend
        assert other not in str(found)
    bare = Settings(home=kit.settings.home, database_url=kit.settings.database_url)
    assert not [one for one in await database.examine(bare, kit.clock) if one.subject == "keys"]


@pytest.mark.parametrize(
    ("revision", "said", "mend"), [("0001", "older", "db upgrade"), ("9999", "newer", "Update Campaign")]
)
async def test_a_database_of_another_version(kit: Kit, revision: str, said: str, mend: str) -> None:
    async with kit.store.begin() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    found = await findings(kit)
    assert list(found) == ["database"]
    assert (found["database"].level, said in found["database"].found) == (Level.ERROR, True)
    assert mend in found["database"].mend


async def test_a_database_that_was_never_set_up(empty_database_url: str, home: Path) -> None:
    settings = Settings(home=home, database_url=empty_database_url)
    if empty_database_url.startswith("sqlite"):
        (found,) = await database.examine(settings, SystemClock())
        assert "There is no database" in found.found
        Path(empty_database_url.removeprefix("sqlite:///")).touch(0o600)
    (found,) = await database.examine(settings, SystemClock())
    assert "never set up" in found.found
    assert found.mend == f"campaign --home {home} init"


async def test_a_server_that_is_not_there(home: Path) -> None:
    settings = Settings(home=home, database_url="postgresql://campaign:geheim@127.0.0.1:1/campaign")
    (found,) = await database.examine(settings, SystemClock())
    assert (found.subject, found.level) == ("database", Level.ERROR)
    assert "CAMPAIGN_DATABASE_URL=" in found.mend
    assert "geheim" not in str(found)


async def test_a_driver_that_is_not_installed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    settings = Settings(home=home, database_url="postgresql://127.0.0.1:1/campaign")
    (found,) = await database.examine(settings, SystemClock())
    assert found.mend == 'pip install "campaign[postgres]"'


async def test_letters_in_doubt_and_relays_that_rest(kit: Kit) -> None:
    edition_id = await a_sending_edition(kit, people=3)
    letters = await claim(kit, edition_id)
    await offer(kit, letters)
    await settle(kit, Event.DOUBT, letters[:2])
    now = kit.clock.now()
    async with kit.store.begin() as tx:
        for _ in range(3):
            await relays.fault(tx, "main", "auth: 535 no such user letters@example.org", now)
        await relays.fault(tx, "spare", "connect: refused", now)
        await relays.pause(tx, "third", "local:test")
        await relays.pause(tx, "set-no-more", "local:test")
    ways = tuple(kit.settings.relays[0].model_copy(update={"name": name}) for name in ("main", "spare", "third"))
    found = await findings(replace(kit, settings=kit.settings.model_copy(update={"relays": ways})))
    assert found["letters"].level is Level.WARNING
    assert "2 of " in found["letters"].found
    assert "campaign deliveries resolve " in found["letters"].mend
    assert "535" in found["relay main"].found
    assert "letters@example.org" not in found["relay main"].found
    assert "relay spare" not in found, "one fault is no rest"
    assert (found["relay third"].level, found["relay third"].mend) == (Level.WARNING, "campaign relays resume third")
    assert "relay set-no-more" not in found, "nobody could resume it"


async def test_daemons_that_run(kit: Kit) -> None:
    await a_sending_edition(kit, people=1)
    assert (await findings(kit))["daemon"].level is Level.WARNING
    later = kit.clock.now() + timedelta(seconds=5)
    async with presence(kit.store, "worker-1"), presence(kit.store, "worker-2"):
        assert await living(kit.store, later) == 2
        assert (await findings(kit))["daemon"].found == "2 run."
        async with presence(kit.store, "worker-3"):
            assert await living(kit.store, later) == 3
    async with asyncio.timeout(10):
        while await living(kit.store, later):  # noqa: ASYNC110 -- PostgreSQL ends a session in its own time
            await asyncio.sleep(0.05)


@SQLITE_ONLY
async def test_a_dead_workers_lock_is_no_worker(kit: Kit) -> None:
    assert kit.store.file is not None
    left = kit.store.file.with_name(f"{kit.store.file.name}.owners") / "dead.lock"
    left.parent.mkdir()
    left.touch()
    assert await living(kit.store, kit.clock.now()) == 1, "it could be about to take it"
    assert await living(kit.store, kit.clock.now() + timedelta(seconds=2)) == 0
    assert left.exists(), "a look tidies nothing away"


async def test_clocks_that_differ(kit: Kit) -> None:
    """PostgreSQL has a clock of its own; on SQLite only what happened already tells."""
    edition_id = await a_sending_edition(kit, people=1)
    await claim(kit, edition_id)
    for clock in (SystemClock(), FrozenClock(kit.clock.now() - timedelta(days=3))):
        found = (await findings(kit, clock))["clock"]
        assert found.level is (Level.OK if isinstance(clock, SystemClock) else Level.WARNING)
    assert "timedatectl" in found.mend
    assert ("database server" in found.found) == (not kit.store.sqlite)


@SQLITE_ONLY
async def test_a_file_that_somebody_holds(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kit.store.file is not None
    monkeypatch.setattr(database, "_LOCKED", 0.2)
    with closing(sqlite3.connect(kit.store.file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found = await findings(kit)
        assert (found["database"].level, "fuser" in found["database"].mend) == (Level.WARNING, True)
        assert "letters" in found, "it can still be read"
        other.execute("ROLLBACK")
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        found = await findings(kit)
        assert list(found) == ["database"]
        assert (found["database"].level, "locked" in found["database"].found) == (Level.ERROR, True)
        assert "fuser" in found["database"].mend


@SQLITE_ONLY
async def test_a_file_that_is_broken_or_open_to_others(kit: Kit) -> None:
    assert kit.store.file is not None
    kit.store.file.chmod(0o644)
    found = (await findings(kit))["database"]
    assert (found.level, found.mend) == (Level.WARNING, f"chmod 600 {kit.store.file}")
    kit.store.file.write_bytes(b"no database at all " * 1000)
    found = (await findings(kit))["database"]
    assert (found.level, "backup" in found.mend) == (Level.ERROR, True)


@contextmanager
def somebody_else() -> Iterator[None]:
    """Be a user whom file modes bind, as nobody is who may do everything."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(was)


def test_a_file_that_cannot_be_written_to(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "campaign.db"
        with closing(sqlite3.connect(file)) as made:
            made.execute("CREATE TABLE t (a)")
        file.chmod(0o444)
        folder.chmod(0o555)
        with somebody_else():
            found = database._of_file(file, tmp_path)
            folder_is_shut = vitals.pulse(folder / "none.db", 0.1)
        folder.chmod(0o755)
    errors = [one for one in found if one.level is Level.ERROR]
    assert "readonly" in errors[0].found
    assert "chmod u+rw" in errors[0].mend
    assert "unable to open" in folder_is_shut.unreadable
    assert "chown" in database._readable(file, folder_is_shut.unreadable)
    assert "chown" in database._readable(file, "attempt to write a readonly database")
