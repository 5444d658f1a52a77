"""Which workers live: each holds a lock that the operating system or the database frees when it dies.

No time-outs, no guessing.
Beside a SQLite file it is a lock file, on PostgreSQL a session advisory lock. It never touches a letter.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from campaign.store.engine import Store

_CLASS: Final = 0x4F574E52
"""The class of our advisory locks ("OWNR")."""

_HEARTBEAT: Final = 1.0
"""Seconds between two looks whether the session that holds the lock is still there."""

_LIVING: Final = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = :ours AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@asynccontextmanager
async def presence(store: Store, owner: str) -> AsyncIterator[None]:
    """Be seen as alive under the name `owner` for the length of the block, and no longer than the process lives."""
    if store.file is not None:
        path = _lock_file(store.file, owner)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with path.open("w") as handle:
            _take(handle)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
        return
    taken = asyncio.Event()
    holding, held = asyncio.create_task(_hold(store, owner, taken)), asyncio.create_task(taken.wait())
    try:
        await asyncio.wait({holding, held}, return_when=asyncio.FIRST_COMPLETED)
        if holding.done():
            holding.result()
        yield
    finally:
        holding.cancel()
        held.cancel()
        await asyncio.gather(holding, held, return_exceptions=True)


async def _hold(store: Store, owner: str, taken: asyncio.Event) -> None:
    """Hold a session lock, and take it anew when its session ends under us, as at a restart of the database.

    The first time it must work; later the database may be away for as long as it likes.
    """
    while True:
        try:
            async with store.engine.connect() as connection:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                await connection.execute(select(func.pg_advisory_lock(_CLASS, _number(owner))))
                taken.set()
                try:
                    while True:
                        await asyncio.sleep(_HEARTBEAT)
                        await connection.execute(select(1))
                finally:
                    await connection.invalidate()
        except (DBAPIError, PoolExhausted):
            if not taken.is_set():
                raise
            await asyncio.sleep(_HEARTBEAT)


async def is_dead(store: Store, owner: str) -> bool:
    """Say whether nobody holds the lock of `owner` any more."""
    if store.file is not None:
        path = _lock_file(store.file, owner)
        if not path.exists():
            return True
        with path.open("r+") as handle:
            dead = _take(handle)
        if dead:
            path.unlink(missing_ok=True)
        return dead
    async with store.engine.connect() as connection, connection.begin():
        taken = await connection.execute(select(func.pg_try_advisory_xact_lock(_CLASS, _number(owner))))
        return bool(taken.scalar_one())


async def living(store: Store, now: datetime) -> int:
    """Return how many workers are alive. Beside a SQLite file a lock that was only just made counts as held.

    To try it in that moment could take it from under its owner.
    """
    if store.file is not None:
        files = _lock_file(store.file, "").parent.glob("*.lock")
        return sum([_is_held(path, now) for path in files])
    async with store.engine.connect() as connection, connection.begin():
        return int((await connection.execute(text(_LIVING), {"ours": _CLASS})).scalar_one())


def _is_held(path: Path, now: datetime) -> bool:
    try:
        with path.open("r+") as handle:
            age = now.timestamp() - os.fstat(handle.fileno()).st_mtime
            return abs(age) < _HEARTBEAT or not _take(handle)  # further ahead: the clock was set back
    except FileNotFoundError:  # it ended in this moment
        return False


def _take(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    os.fsync(handle.fileno())
    return True


def _lock_file(database: Path, owner: str) -> Path:
    return database.with_name(f"{database.name}.owners") / f"{owner}.lock"


def _number(owner: str) -> int:
    return int.from_bytes(sha256(owner.encode()).digest()[:4], signed=True)
