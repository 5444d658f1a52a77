"""What the drivers of SQLite and PostgreSQL are told, so that the ledger can rely on them. It knows no noun."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from time import sleep
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import await_only

from campaign.domain.errors import BadInput
from campaign.store.door import Door
from campaign.store.executor import Opening

SQLITE_WRITES: Final = "BEGIN IMMEDIATE"
"""How a writing transaction begins on SQLite."""

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 60000",
    "PRAGMA cache_size = -8192",
    "PRAGMA temp_store = MEMORY",
    # The log may grow to 32 MB before it is worked into the file: by then most of its pages were written several times.
    "PRAGMA wal_autocheckpoint = 8000",
)
_KEEPALIVE: Final = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""A vanished host is noticed within 15 seconds, so that its locks are free for others (design of recovery)."""


_DURABLE: Final = (
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)
"""Stricter settings of a server with replicas stay as they are."""

_NO_STANDSTILL: Final = "SELECT set_config('idle_in_transaction_session_timeout', '60000', false)"
"""A writer that is stopped in the middle of a transaction (a frozen machine) holds up the others for a minute at most:
then PostgreSQL ends its session, and what it wrote is as if it never had been. In milliseconds."""


def async_url(address: str) -> URL:
    """Read the address of a database, and choose its driver; raise BadInput."""
    try:
        url = make_url(address)
    except ArgumentError as error:
        msg = "CAMPAIGN_DATABASE_URL is not a database address."
        raise BadInput(msg, remedy="Write sqlite:///campaign.db or postgresql://user:password@host/name.") from error
    drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}
    backend = url.get_backend_name()
    if backend not in drivers:
        msg = f"Campaign does not know the database {backend!r}."
        raise BadInput(msg, remedy="Use sqlite or postgresql in CAMPAIGN_DATABASE_URL.")
    return url.set(drivername=drivers[backend])


def async_engine(url: URL) -> AsyncEngine:
    """Return an engine for the event loop."""
    return _sqlite_engine(url) if url.get_backend_name() == "sqlite" else _postgresql_engine(url)


def blocking_engine(url: URL) -> Engine:
    """Return an engine for one thread alone, with all that the store's own connections rely on."""
    sqlite = url.get_backend_name() == "sqlite"
    alone: dict[str, Any] = {"pool_size": 1, "max_overflow": 0}
    if sqlite:
        engine = create_engine(
            url.set(drivername="sqlite+pysqlite"), connect_args={"check_same_thread": False}, **alone
        )
        _prepare_sqlite(engine, sleep)
    else:
        engine = create_engine(url, isolation_level="READ COMMITTED", connect_args=dict(_KEEPALIVE), **alone)
        _prepare_postgresql(engine, _NO_STANDSTILL)
    return engine


def opening(engine: Engine) -> Opening:
    """Return how a program of its own comes to the database of a blocking engine, with the same words at first."""
    arguments, options = engine.dialect.create_connect_args(engine.url)
    if engine.dialect.name == "sqlite":
        return Opening(True, tuple(arguments), dict(options), _PRAGMAS)
    kept = {name: value for name, value in options.items() if name != "context"}  # SQLAlchemy's own
    return Opening(False, tuple(arguments), {**kept, **_KEEPALIVE}, (_DURABLE, _NO_STANDSTILL))


def _sqlite_engine(url: URL) -> AsyncEngine:
    engine = create_async_engine(url, pool_size=8, max_overflow=8, pool_use_lifo=True)
    _prepare_sqlite(engine.sync_engine, lambda seconds: await_only(asyncio.sleep(seconds)))
    return engine


def _prepare_sqlite(engine: Engine, pause: Callable[[float], object]) -> None:
    door = Door(Path(engine.url.database)) if engine.url.database else None

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        words = connection.get_execution_options().get("campaign_begin", SQLITE_WRITES)
        with door.first(pause) if door and words == SQLITE_WRITES else nullcontext():
            connection.exec_driver_sql(words)


def _postgresql_engine(url: URL) -> AsyncEngine:
    """Open with what the ledger relies on, whatever the server's defaults are.

    A look after a lock must see what the lock waited for (READ COMMITTED), and a token is on disk before its dot.
    """
    engine = create_async_engine(
        url,
        pool_size=8,
        max_overflow=8,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",
        connect_args=dict(_KEEPALIVE),
    )
    _prepare_postgresql(engine.sync_engine)
    return engine


def _prepare_postgresql(engine: Engine, *more: str) -> None:
    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for statement in (_DURABLE, *more):
            cursor.execute(statement)
        cursor.close()
        connection.commit()
