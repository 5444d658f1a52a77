"""Looks at the database: there, open, current, ours; and at what lies in it that waits for somebody. It never writes.

Each look needs the ones before it, so the first that fails is the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from campaign.actions.examining.guard import guarded
from campaign.actions.guarding import KeysDoNotFit, compare_keys
from campaign.clock import Clock
from campaign.domain.findings import Finding, Level, Subject, worst
from campaign.keys import Keyring
from campaign.logs import masked
from campaign.settings import Settings
from campaign.store import migrations, relays, vitals
from campaign.store.engine import DatabaseAway, Store
from campaign.store.presence import living

_DATABASE: Final = Subject("database")
_KEYS: Final = Subject("keys")
_CLOCK: Final = Subject("clock")
_DAEMON: Final = Subject("daemon")
_LETTERS: Final = Subject("letters")

_LOCKED: Final = 1.5
"""Seconds for a lock: a daemon holds it for milliseconds, one chunk of an import for less than a second."""
_SKEW: Final = timedelta(seconds=5)
_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True)
class Opened:
    """A database that can be read and is current, and what else a look at it needs."""

    store: Store
    settings: Settings
    clock: Clock


async def examine(settings: Settings, clock: Clock) -> list[Finding]:
    """Look from the file, or the server, inwards."""
    try:
        store = Store(settings.database_url)
    except ModuleNotFoundError as error:
        return [_DATABASE.error(f"Its driver is not installed: {error.name}.", 'pip install "campaign[postgres]"')]
    try:
        file = [] if store.file is None else await asyncio.to_thread(_of_file, store.file, settings.home)
        if worst(file) is Level.ERROR:
            return file
        schema = await guarded(_DATABASE, _of_schema(store, settings))
        if worst(schema) is Level.ERROR:
            return [*file, *schema]
        opened = Opened(store, settings, clock)
        within = [await guarded(subject, look(opened)) for subject, look in _WITHIN]
        return [*file, *schema, *(finding for found in within for finding in found)]
    finally:
        await store.close()


def _of_file(file: Path, home: Path) -> list[Finding]:
    """Look at a SQLite file without the store, whose connections would wait a minute for a lock."""
    if not file.exists():
        return [_DATABASE.error(f"There is no database at {file}.", f"campaign --home {home} init")]
    pulse = vitals.pulse(file, _LOCKED)
    if pulse.unreadable:
        return [_DATABASE.error(f"{file} cannot be read: {pulse.unreadable}.", _readable(file, pulse.unreadable))]
    findings = []
    if "locked" in pulse.unwritable:
        found = f"Something has been writing to {file} for more than {_LOCKED:g} s, so nobody else can."
        findings.append(_DATABASE.warning(found, f"An import may; see what it is: fuser {file}"))
    elif pulse.unwritable:
        findings.append(_DATABASE.error(f"{file} cannot be written to: {pulse.unwritable}.", _ours(file)))
    if (mode := file.stat().st_mode & 0o777) & _OTHERS:
        found = f"Others on this machine can open {file} (mode {mode:o}); names and addresses in it are sealed."
        findings.append(_DATABASE.warning(found, f"chmod 600 {file}"))
    return findings


def _readable(file: Path, said: str) -> str:
    """Propose what lets a file be read again, by what SQLite said."""
    if "locked" in said:
        return f"End the program that holds it; which one it is says: fuser {file}"
    denied = "unable to open" in said or "readonly" in said
    return _ours(file) if denied else "Put back a backup of it, then: campaign db replay"


def _ours(file: Path) -> str:
    """Propose what lets the user who runs Campaign write a file, and the ones that SQLite puts beside it."""
    return f"chown the file and its folder to the user who runs Campaign, and: chmod u+rw {file} {file.parent}"


async def _of_schema(store: Store, settings: Settings) -> list[Finding]:
    """Say which database it is, and whether this version of Campaign can work with it."""
    what = str(store.file) if store.file else "PostgreSQL"
    try:
        found = await migrations.current(store)
    except DatabaseAway as error:
        mend = 'Start it, or mend in .env: CAMPAIGN_DATABASE_URL="postgresql://user:password@host/name"'
        return [_DATABASE.error(masked(error.message), mend)]
    if found is None:
        return [_DATABASE.error(f"{what} was never set up.", f"campaign --home {settings.home} init")]
    if found != migrations.HEAD:
        older = found < migrations.HEAD
        words = "older" if older else "newer"
        mend = f"campaign --home {settings.home} db upgrade" if older else "Update Campaign."
        return [_DATABASE.error(f"{what} is {words} ({found}) than this Campaign needs ({migrations.HEAD}).", mend)]
    return [_DATABASE.ok(f"{what} can be reached and is up to date ({found}).")]


async def _of_keys(opened: Opened) -> list[Finding]:
    """Say whether the keys are those that the database was written with."""
    settings = opened.settings
    if not (settings.secret_keys and settings.suppression_key and settings.seal_keys):
        return []  # the look at the settings says so
    keys = Keyring(
        opened.clock, secrets=settings.secret_keys, suppression=settings.suppression_key, seals=settings.seal_keys
    )
    try:
        known = await compare_keys(opened.store, keys, settings.home / ".env")
    except KeysDoNotFit as error:
        return [_KEYS.error(error.message, error.remedy)]
    return [_KEYS.ok("They are those of this database." if known else "The database has nothing that they seal yet.")]


async def _of_clock(opened: Opened) -> list[Finding]:
    """Compare this machine's clock with the server's, and with the last thing that happened."""
    async with opened.store.read() as tx:
        before = opened.clock.now()
        there, last = await vitals.server_time(tx), await vitals.newest_event(tx)
    now = opened.clock.now()
    mend = "Set the clocks by the network: timedatectl set-ntp true"
    if there is not None and not before - _SKEW <= there <= now + _SKEW:
        found = f"This machine says {now:%Y-%m-%d %H:%M:%S} UTC, the database server {there:%Y-%m-%d %H:%M:%S} UTC."
        return [_CLOCK.warning(found, mend)]
    if last is not None and last > now + _SKEW:
        found = f"It is {now:%Y-%m-%d %H:%M:%S} UTC here, but a letter moved at {last:%Y-%m-%d %H:%M:%S} UTC already."
        return [_CLOCK.warning(found, mend)]
    return [_CLOCK.ok(f"It is {now:%Y-%m-%d %H:%M:%S} UTC.")]


async def _of_daemon(opened: Opened) -> list[Finding]:
    """Say whether a daemon runs, by the locks that end with it."""
    alive = await living(opened.store, opened.clock.now())
    if alive:
        return [_DAEMON.ok(f"{alive} {'runs' if alive == 1 else 'run'}.")]
    async with opened.store.read() as tx:
        active = await vitals.active_campaigns(tx)
    mend = f"campaign --home {opened.settings.home} run"
    if active:
        found = f"None runs, and {active} approved {'campaign waits' if active == 1 else 'campaigns wait'} for one."
        return [_DAEMON.warning(found, mend)]
    return [_DAEMON.note("None runs; no campaign waits for one.", mend)]


async def _of_doubts(opened: Opened) -> list[Finding]:
    """Say which letters may or may not have arrived."""
    async with opened.store.read() as tx:
        doubts = await vitals.doubts(tx)
    return [
        _LETTERS.warning(
            f"{number:,} of {name} {'is' if number == 1 else 'are'} in doubt: it is not known whether they arrived.",
            f"campaign deliveries list {name} --state in_doubt, then: campaign deliveries resolve {name} --as expire",
        )
        for name, number in doubts
    ] or [_LETTERS.ok("None is in doubt.")]


async def _of_rests(opened: Opened) -> list[Finding]:
    """Say which relays rest after faults, and which somebody paused; those that are set no more are none."""
    async with opened.store.read() as tx:
        known = await relays.every(tx)
    now, ways = opened.clock.now(), {relay.name for relay in opened.settings.relays}
    return [_rest(one) for one in known if one.name in ways and not one.is_open(now)]


def _rest(one: relays.Relay) -> Finding:
    subject, mend = Subject(f"relay {one.name}"), f"campaign relays resume {one.name}"
    if one.paused_by is not None:
        return subject.warning(f"{masked(one.paused_by)} paused it: nothing goes to it.", mend)
    found = f"It rests until {one.paused_until:%Y-%m-%d %H:%M:%S} UTC after {one.faults} faults: {masked(one.reason)}."
    return subject.warning(found, f"Mend what it says; it goes on by itself then, or at once by: {mend}")


_WITHIN: Final[tuple[tuple[Subject, Callable[[Opened], Awaitable[list[Finding]]]], ...]] = (
    (_KEYS, _of_keys),
    (_CLOCK, _of_clock),
    (_DAEMON, _of_daemon),
    (_LETTERS, _of_doubts),
    (Subject("relay"), _of_rests),
)
"""What is looked at within a database that can be used, in this order."""
