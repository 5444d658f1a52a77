"""What every test gets: no network but this machine, no settings of the developer's, databases that are thrown away."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import socket
import subprocess
import traceback
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from campaign.assets import asset
from campaign.beside import program
from campaign.store import migrations
from campaign.store.engine import Store
from tests import network
from tests.clocks import FrozenClock
from tests.postgres import Postgres, PostgresUnavailableError
from tests.programs import CI, missing

network.guard()

# A shell's background job ignores Ctrl-C, and so would every program that a test starts from there and then interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

_SLOW_FIXTURES = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
settings.register_profile("dev", max_examples=50, deadline=None, suppress_health_check=_SLOW_FIXTURES)
settings.register_profile("ci", max_examples=80, deadline=None, suppress_health_check=_SLOW_FIXTURES, print_blob=True)
settings.load_profile("ci" if CI else "dev")


@pytest.fixture(autouse=True)
def _nobodys_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may run Campaign, too; their variables are not the tests'."""
    for name in [name for name in os.environ if name.startswith("CAMPAIGN_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_program_outlives_its_test() -> Iterator[None]:
    """A program that nobody ends is told of here: its remains would be swept up in some other test, which is innocent."""
    started: list[tuple[subprocess.Popen[bytes], str]] = []
    real = program._started

    def remembered(module: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
        child, line = real(module)
        started.append((child, "".join(traceback.format_stack(limit=12))))
        return child, line

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(program, "_started", remembered)
        yield
    left = [(child, where) for child, where in started if child.returncode is None]
    for child, _ in left:
        child.kill()
        child.wait()
    if left:
        with warnings.catch_warnings():  # of the line to it, too; no other test is to hear of that
            warnings.simplefilter("ignore")
            gc.collect()
    assert not left, f"Nobody ended {left[0][0].args}, started here:\n{left[0][1]}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for the whole run, started when first asked for."""
    try:
        server = Postgres.start()
    except PostgresUnavailableError as error:
        missing(f"PostgreSQL cannot run here: {error}")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres) -> str:
    """The name of a database with all tables, to be copied and never used."""
    name = postgres.create()
    _migrate(postgres.url(name))
    return name


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with all tables, to be copied and never used."""
    path = tmp_path_factory.mktemp("migrated") / "campaign.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of this test's own with all tables and no rows: the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        path = tmp_path / "campaign.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create(request.getfixturevalue("migrated_postgres"))
    yield server.url(name)
    server.drop(name)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The same with nothing in it, for tests of the migrations themselves."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create()
    yield server.url(name)
    server.drop(name)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """That database, opened; closed after the test."""
    opened = Store(database_url)
    yield opened
    await opened.close()


def _migrate(url: str) -> None:
    async def upgrade() -> None:
        store = Store(url)
        await migrations.upgrade(store, asset("alembic"))
        await store.close()

    asyncio.run(upgrade())
