"""Which workers live: each holds a lock that the operating system or the database frees when it dies.

No time-outs, no guessing.
Beside a SQLite file it is a lock file, on PostgreSQL a session advisory lock. It never touches a letter.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

from sqlalchemy import func, select

from campaign.store.engine import Store

_CLASS: Final = 0x4F574E52
"""The class of our advisory locks ("OWNR")."""


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
    async with store.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(select(func.pg_advisory_lock(_CLASS, _number(owner))))
        try:
            yield
        finally:
            await connection.execute(select(func.pg_advisory_unlock(_CLASS, _number(owner))))


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
