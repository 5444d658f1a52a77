"""Takes the database away while letters fly, in each way that databases go: no dot without a token, and all goes on.

`python -m benchmarks.database_faults [--database D] [--only FAULT] [--letters N] [--seconds S] [--times N]`
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import errno
import fcntl
import os
import resource
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from benchmarks.audit import Score, compare, relay_log
from benchmarks.installation import DATABASES, Installation, installation
from benchmarks.letters import prepare
from benchmarks.stage import Scene, scene, slow_relay, without_token
from tests.postgres import Postgres

_MOUNTED: Final = 64
"""Megabytes of the small disk: it has room for the log of writes, which may grow to 32, and for the file."""
_GET_FLAGS, _SET_FLAGS, _IMMUTABLE = 0x80086601, 0x40086602, 0x10
"""FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_IMMUTABLE_FL of linux/fs.h."""
_DROP_BOUND: Final = 24
_OVERRIDE: Final = (1, 2)
"""prctl's PR_CAPBSET_DROP, and the capabilities by which root reads and writes what it may not."""
_HOLDER: Final = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many letters fly, and for how many seconds the database is away each time."""

    database: str = "sqlite"
    letters: int = 3_000
    connections: int = 10
    seconds: float = 30.0
    slow: float = 0.05
    times: int = 5
    """How often a server is restarted, or sessions are ended."""
    only: str | None = None
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Theatre:
    """What a fault may lay hands on: the scene, the plan, the score, and the file or the server."""

    scene: Scene
    plan: Plan
    score: Score
    file: Path | None
    server: Postgres | None

    @property
    def url(self) -> str:
        """The address of the database."""
        return self.scene.place.variables["CAMPAIGN_DATABASE_URL"]


Fault = Callable[[Theatre], int]
"""Takes the database away and brings it back; returns how many times letters at the dot may have been cut off."""


# --- SQLite -------------------------------------------------------------------------------------------------------


def locked(theatre: Theatre) -> int:
    """Another program holds the file."""
    line = [sys.executable, "-c", _HOLDER, str(theatre.file)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        _wait(theatre, theatre.plan.seconds)
        holder.stdin.close()
    return 0


def full(theatre: Theatre) -> int:
    """The disk is full: every byte of a small one is taken; where none can be mounted, no file may grow."""
    assert theatre.file is not None
    with ExitStack() as stack:
        if os.path.ismount(theatre.file.parent):
            stack.enter_context(_ballast(theatre.file))
        else:
            stack.enter_context(_no_growth(theatre.scene.daemon.pid))
        _wait(theatre, theatre.plan.seconds)
    return 0


@contextmanager
def _ballast(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    heavy = database.with_name("ballast")
    try:
        with suppress(OSError), heavy.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 12))
        yield
    finally:
        heavy.unlink()


@contextmanager
def _no_growth(pid: int) -> Iterator[None]:
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def read_only(theatre: Theatre) -> int:
    """The file and its log of writes become ones that nobody may write, not even root; else no file may grow.

    The third file is memory that SQLite shares: a fault there ends any program with SIGBUS, as a kill would.
    """
    assert theatre.file is not None
    files = [theatre.file, theatre.file.with_name(f"{theatre.file.name}-wal")]
    try:
        for file in files:
            _immutable(file, on=True)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTTY, errno.EOPNOTSUPP}:
            raise
        with _no_growth(theatre.scene.daemon.pid):
            _wait(theatre, theatre.plan.seconds)
    else:
        _wait(theatre, theatre.plan.seconds)
    finally:
        for file in files:
            with suppress(OSError):
                _immutable(file, on=False)
    return 0


def _immutable(path: Path, *, on: bool) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        (flags,) = struct.unpack("l", fcntl.ioctl(handle, _GET_FLAGS, struct.pack("l", 0)))
        flags = flags | _IMMUTABLE if on else flags & ~_IMMUTABLE
        fcntl.ioctl(handle, _SET_FLAGS, struct.pack("l", flags))
    finally:
        os.close(handle)


def long_reader(theatre: Theatre) -> int:
    """Somebody reads for as long as letters fly, so that no checkpoint can bring the log of writes to its end."""
    with closing(sqlite3.connect(f"file:{theatre.file}?mode=ro", uri=True, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM deliveries").fetchone()
        theatre.scene.until_taken(theatre.plan.letters)
    return 0


# --- PostgreSQL ---------------------------------------------------------------------------------------------------


def restarted(theatre: Theatre) -> int:
    """The server is restarted, again and again: by turns in its fast way, and as if the power went."""
    assert theatre.server is not None
    for number in range(theatre.plan.times):
        theatre.server.halt(signal.SIGQUIT if number % 2 else signal.SIGINT)
        _wait(theatre, theatre.plan.seconds / 10)
        theatre.server.resume()
        _check_tokens(theatre)
        _some_more(theatre, theatre.plan.times - number)
    return theatre.plan.times


def terminated(theatre: Theatre) -> int:
    """An admin ends all of our sessions, again and again."""
    for number in range(theatre.plan.times):
        with psycopg.connect(theatre.url, autocommit=True) as admin:
            _terminate(admin)
        _check_tokens(theatre)
        _some_more(theatre, theatre.plan.times - number)
    return theatre.plan.times


def crowded_out(theatre: Theatre) -> int:
    """Others hold every connection that the server gives, and ours are ended."""
    crowd: list[psycopg.Connection] = []
    deadline = time.monotonic() + theatre.plan.seconds / 3
    try:
        with psycopg.connect(theatre.url, autocommit=True) as admin:
            while time.monotonic() < deadline:
                _terminate(admin, but=[one.info.backend_pid for one in crowd])
                with suppress(psycopg.OperationalError):
                    while True:
                        crowd.append(psycopg.connect(theatre.url))
                time.sleep(0.02)
    finally:
        for one in crowd:
            one.close()
    return 1


def _terminate(admin: psycopg.Connection, but: list[int] | None = None) -> None:
    ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    admin.execute(f"{ours} AND pid <> pg_backend_pid() AND NOT pid = ANY(%s)", [but or []])


FAULTS: Final[dict[str, dict[str, Fault]]] = {
    "sqlite": {"locked": locked, "full": full, "read-only": read_only, "long reader": long_reader},
    "postgresql": {"restarted": restarted, "terminated": terminated, "crowded out": crowded_out},
}


def _wait(theatre: Theatre, seconds: float) -> None:
    """Let the fault last, and see that nothing moves but what had its token before."""
    time.sleep(0.2)
    before = theatre.scene.taken()
    time.sleep(seconds)
    moved = theatre.scene.taken() - before
    theatre.score.at_most("letters taken while it was away", moved, theatre.plan.connections)


def _some_more(theatre: Theatre, left: int) -> None:
    """Let letters fly between two faults; as many each time as can be had."""
    scene_, plan = theatre.scene, theatre.plan
    already = scene_.taken()
    goal = already + (plan.letters - already) // (left + 1)
    scene_.until(lambda: scene_.taken() >= goal or scene_.daemon.poll() is not None)


def _check_tokens(theatre: Theatre) -> None:
    async def count() -> int:
        async with theatre.scene.place.kit() as kit:
            return await without_token(kit, theatre.scene.relay)

    theatre.score.check("letters taken so far without a token on disk", asyncio.run(count()))


# --- The trial ----------------------------------------------------------------------------------------------------


def prove(plan: Plan, score: Score) -> None:
    """Run every fault of one database, and a start without it."""
    for name, fault in FAULTS[plan.database].items():
        if plan.only in {None, name}:
            print(f"\n{plan.letters:,} letters, {plan.database}: {name}", flush=True)
            with _database(plan, small_disk=name == "full") as (place, file, server):
                _one(plan, score, fault, (place, file, server))
    if plan.only in {None, "start"}:
        print(f"\na start without the database, {plan.database}", flush=True)
        with _database(plan, small_disk=False) as (place, file, server):
            _start_without(score, place, file, server)


_Made = tuple[Installation, Path | None, Postgres | None]


@contextmanager
def _database(plan: Plan, *, small_disk: bool) -> Iterator[_Made]:
    """Make an installation whose database this script can lay hands on."""
    settings: dict[str, object] = {"connections": plan.connections, "grace_seconds": 5}
    with ExitStack() as stack:
        if plan.database == "postgresql":
            server = Postgres.start(durable=True)
            stack.callback(server.stop)
            settings["database_url"] = server.url(server.create())
            yield stack.enter_context(installation(settings=settings)), None, server
            return
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="campaign-disk-")))
        if small_disk and _mount(folder):
            stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
        settings["database_url"] = f"sqlite:///{folder}/campaign.db"
        yield stack.enter_context(installation(settings=settings)), folder / "campaign.db", None


def _mount(folder: Path) -> bool:
    """Mount a small disk there, if this machine lets us."""
    line = ["mount", "-t", "tmpfs", "-o", f"size={_MOUNTED}m", "none", str(folder)]
    try:
        return subprocess.run(line, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _one(plan: Plan, score: Score, fault: Fault, made: _Made) -> None:
    """Let letters fly, take the database away, bring it back, wait for the end, and compare."""
    place, file, server = made
    log = place.home / "relay.log"
    with slow_relay(log, plan.slow, plan.seed) as url:
        there = place.with_settings(smtp_url=url)
        edition = prepare(there, plan.letters)
        with scene(there, log, "--until-idle") as seen:
            theatre = Theatre(seen, plan, score, file, server)
            seen.until_taken(plan.letters // 10)
            cuts = fault(theatre)
            _check_tokens(theatre)
            score.check("exit status of the daemon", seen.until_over())
            rows = there.rows("deliveries", "list", edition)
            _judge(score, seen, noticed=fault is not long_reader)
    states = [row["state"] for row in rows]
    score.check("letters in the ledger", len(rows), plan.letters)
    score.check("letters neither accepted nor in doubt", sorted({*states} - {"accepted", "in_doubt"}), [])
    score.at_most("in doubt", states.count("in_doubt"), cuts * plan.connections)
    compare(score, rows, relay_log(log))


def _judge(score: Score, seen: Scene, *, noticed: bool) -> None:
    """Look at what an admin reads in the log: that it is away, what that means, and that it is back; and no more."""
    said = [line for line in seen.said() if line["action"].startswith("database_")]
    faults = [line for line in seen.said() if "exception" in line]
    for line in said:
        print(f"       {line['action']}: {line['meaning']} {line.get('remedy', '')}", flush=True)
    score.check("tracebacks in its log", [line["action"] for line in faults], [])
    score.check("the log says that it was away", bool(said), wanted=noticed)
    if noticed:
        score.check("its last word about it", said[-1]["action"] if said else "none", "database_back")


def _start_without(score: Score, place: Installation, file: Path | None, server: Postgres | None) -> None:
    """A daemon that is started meanwhile says what is wrong and ends, so that whoever supervises it starts it again."""
    if server is not None:
        server.halt(signal.SIGINT)
        status, words = _start(place)
        server.resume()
    else:
        assert file is not None
        files = [file, *file.parent.glob(f"{file.name}-*")]
        for one in files:
            one.chmod(0o400)
        file.parent.chmod(0o500)
        status, words = _start(place)
        file.parent.chmod(0o700)
        for one in files:
            one.chmod(0o600)
    print(f"       {words}", flush=True)
    score.check("exit status", status, 1)
    score.check("it says that the database cannot be used", "database cannot be used" in words, wanted=True)
    score.check("tracebacks", "Traceback" in words, wanted=False)
    score.check("exit status once it is back", _start(place)[0])


def _start(place: Installation) -> tuple[int, str]:
    """Run a daemon to its end as somebody who may not do all that root may; return its status and what it said."""
    log = place.home / "start.log"
    with log.open("wb") as file:
        line = [sys.executable, "-m", "campaign", "run", "--no-web", "--until-idle"]
        done = subprocess.run(
            line,
            env=place.environment,
            cwd=place.home,
            stderr=file,
            stdout=file,
            preexec_fn=_as_anybody,
            check=False,
            timeout=120,
        )
    return done.returncode, log.read_text(encoding="utf-8").strip()


def _as_anybody() -> None:
    """Give up what lets root write a file that nobody may write; others cannot, and need not."""
    prctl = ctypes.CDLL(None).prctl
    for capability in _OVERRIDE:
        prctl(_DROP_BOUND, capability, 0, 0, 0)


def main() -> int:
    """Read the options and try."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database", choices=DATABASES, default="sqlite")
    options.add_argument("--only", choices=[*FAULTS["sqlite"], *FAULTS["postgresql"], "start"])
    options.add_argument("--seconds", type=float, default=30.0)
    for name, default in (("letters", 3_000), ("connections", 10), ("times", 5), ("seed", 1)):
        options.add_argument(f"--{name}", type=int, default=default)
    score = Score()
    prove(Plan(**vars(options.parse_args())), score)
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
