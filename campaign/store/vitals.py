"""How a database feels: can it be read and written, what time is it there, what waits. It never changes a row."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import func, select

from campaign.domain.delivery import State
from campaign.domain.editions import CampaignState
from campaign.store.engine import Transaction
from campaign.store.moves import in_state
from campaign.store.schema.ledger import campaigns, deliveries, delivery_events, editions

_MOST: Final = 20


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a SQLite file says: `unreadable` and `unwritable` are SQLite's own words, empty where all is well."""

    unreadable: str = ""
    unwritable: str = ""


def pulse(file: Path, patience: float) -> Pulse:
    """Try to read a SQLite file and to take its lock for writing, each for `patience` seconds; nothing is made.

    It blocks: call it in a thread. The store's own connections would wait a minute for a lock.
    """
    try:
        connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=patience)
    except sqlite3.Error as error:
        return Pulse(unreadable=str(error))
    with closing(connection):
        connection.isolation_level = None
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            return Pulse(unreadable=str(error))
        try:
            connection.execute("BEGIN IMMEDIATE")  # on a file that cannot be written to, it would only read
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version = {version:d}")
            connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            return Pulse(unwritable=str(error))
    return Pulse()


async def server_time(tx: Transaction) -> datetime | None:
    """Return what time it is at the database server; None where there is none."""
    if tx.dialect.name == "sqlite":
        return None
    found: datetime = (await tx.execute(select(func.clock_timestamp()))).scalar_one()
    return found.astimezone(UTC)


async def newest_event(tx: Transaction) -> datetime | None:
    """Return when the last letter moved, as the clock said then."""
    e = delivery_events.c
    found: datetime | None = (await tx.execute(select(e.at).order_by(e.id.desc()).limit(1))).scalar_one_or_none()
    return found


async def doubts(tx: Transaction) -> list[tuple[str, int]]:
    """Return the editions that have letters in doubt, and how many; the newest first, a few at most."""
    e = editions.c
    counted = (
        select(e.name, func.count())
        .join(deliveries, deliveries.c.edition_id == e.id)
        .where(in_state(State.IN_DOUBT))
        .group_by(e.id, e.name)
        .order_by(e.id.desc())
        .limit(_MOST)
    )
    return [(name, number) for name, number in await tx.execute(counted)]


async def active_campaigns(tx: Transaction) -> int:
    """Return how many campaigns are approved and go on."""
    found = select(func.count()).where(campaigns.c.state == CampaignState.ACTIVE)
    return int((await tx.execute(found)).scalar_one())
