"""Makes a throw-away installation as a person would, by the command line, and fills its lists faster than one could.

It knows homes, databases and the programs that run on them. It measures nothing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from select import select as ready
from typing import Any, Final

from sqlalchemy import func, insert, literal, select

from campaign import bootstrap
from campaign.actions.kit import Kit
from campaign.domain.addresses import Address
from campaign.domain.consent import OptIn, SubscriptionState, Visibility
from campaign.settings import load_settings
from campaign.store.schema.people import lists, subscribers, subscriptions
from tests.postgres import Postgres

ROOT: Final = Path(__file__).resolve().parents[1]
DATABASES: Final = ("sqlite", "postgresql")
_PLACES: Final = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
_CHUNK: Final = 10_000
_DOMAINS: Final = 20
_GLANCE: Final = 0.05
"""Seconds between two looks at a program's memory."""
_EVERY: Final = 10
"""One reader in ten has a name that needs an encoded word."""


class CommandFailed(AssertionError):
    """A command of Campaign's ended with an error."""


def program(name: str) -> str | None:
    """Find a program that may lie where only administrators look."""
    return shutil.which(name, path=_PLACES)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command wrote, and what it took: seconds on the wall, seconds of CPU, and megabytes at most."""

    output: str
    seconds: float
    cpu: float
    memory: float


def peak(pid: int) -> float:
    """Return how many megabytes a living process has had in memory at most, and 0 for one that has ended.

    What `wait4` tells of it would be no less than the peak of whoever started it (see `man getrusage`).
    """
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def peak_together(pid: int) -> float:
    """Return the same of a living process and all that it started, each at its own peak."""
    return sum(peak(one) for one in _family(pid))


def _family(pid: int) -> Iterator[int]:
    """Yield a process and all that it started, as far as they live."""
    with suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        yield pid
        for child in children:
            yield from _family(int(child))


def cpu_seconds(pid: int) -> float:
    """Return how many seconds of CPU a living process and those that it started have used."""
    used = 0
    for one in _family(pid):
        fields = Path(f"/proc/{one}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / os.sysconf("SC_CLK_TCK")


def _peak_until_it_ends(pid: int) -> float:
    memory, end = 0.0, os.pidfd_open(pid)
    try:
        while not ready([end], [], [], _GLANCE)[0]:
            memory = max(memory, peak(pid))
    finally:
        os.close(end)
    return memory


@dataclass(frozen=True, slots=True)
class Installation:
    """One home with its database, and the commands that are run in it."""

    home: Path
    database: str
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What its programs see: nobody's settings but its own, and bytecode that is kept, as people have it."""
        ours = ("CAMPAIGN_", "PYTHONDONTWRITEBYTECODE")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return clean | self.variables | {"CAMPAIGN_HOME": str(self.home), "PYTHONPATH": str(ROOT)}

    def command(self, *words: str) -> str:
        """Run a command to its end and return what it wrote; raise CommandFailed with its words otherwise."""
        line = [sys.executable, "-m", "campaign", *words]
        done = subprocess.run(
            line, env=self.environment, cwd=self.home, capture_output=True, text=True, check=False, timeout=600
        )
        if done.returncode:
            msg = f"campaign {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            raise CommandFailed(msg)
        return done.stdout

    def measured(self, *words: str) -> Cost:
        """Run a command to its end as `command` does, and say what it cost."""
        line = [sys.executable, "-m", "campaign", *words]
        began = time.monotonic()
        with tempfile.TemporaryFile("w+") as said:
            running = subprocess.Popen(line, env=self.environment, cwd=self.home, stdout=said, stderr=subprocess.STDOUT)
            memory = _peak_until_it_ends(running.pid)
            _, status, usage = os.wait4(running.pid, 0)
            seconds = time.monotonic() - began
            running.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            output = said.read()
        if running.returncode:
            msg = f"campaign {' '.join(words)} ended with {running.returncode}:\n{output}"
            raise CommandFailed(msg)
        return Cost(output, seconds, usage.ru_utime + usage.ru_stime, memory)

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """Run a command with --json and return its rows."""
        found: list[dict[str, Any]] = json.loads(self.command(*words, "--json"))
        return found

    def start(self, *words: str, log: Path | None = None) -> subprocess.Popen[bytes]:
        """Start the daemon in a process group of its own, so that it and its children can be told from others."""
        with (log or self.home / "daemon.log").open("ab") as written:
            return subprocess.Popen(
                [sys.executable, "-m", "campaign", "run", "--no-web", *words],
                env=self.environment,
                cwd=self.home,
                stdout=written,
                stderr=written,
                start_new_session=True,
            )

    def with_settings(self, **settings: object) -> Installation:
        """Return the same installation with other settings, by their names in lower case."""
        changed = {f"CAMPAIGN_{name.upper()}": str(value) for name, value in settings.items()}
        return Installation(self.home, self.database, self.variables | changed)

    @asynccontextmanager
    async def kit(self) -> AsyncIterator[Kit]:
        """Open its tools in this process, to look at what its programs do."""
        settings = load_settings(self.home, self.environment)
        async with bootstrap.kit(settings, operator="local:benchmark") as tools:
            yield tools


@contextmanager
def installation(database: str = "sqlite", settings: Mapping[str, object] | None = None) -> Iterator[Installation]:
    """Make an installation in a folder that goes away at the end of the block."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="campaign-bench-")))
        made = Installation(home, database)
        if database == "postgresql":
            server = Postgres.start(durable=True)
            stack.callback(server.stop)
            made = made.with_settings(database_url=server.url(server.create()))
        made = made.with_settings(**{**_DEFAULTS, **(settings or {})})
        made.command("init")
        yield made


_DEFAULTS: Final[Mapping[str, object]] = {
    "sender": "Example Campaign <letters@example.org>",
    "base_url": "https://letters.example.org",
    "smtp_url": "smtp://127.0.0.1:1?tls=none",
    "postal_address": "1 Example Street, Example Town",
    "log_format": "json",
}


def reader(number: int, first: int = 0) -> Address:
    """Return the address of one made-up reader; they share twenty domains, or those from the `first` on."""
    return Address(f"reader-{number:07}", f"mail{first + number % (_DOMAINS - first):02}.example.org")


async def fill_list(
    kit: Kit,
    count: int,
    slug: str = "supporters",
    zones: Sequence[str | None] = (None,),
    address: Callable[[int], Address] = reader,
) -> None:
    """Put `count` new readers on a new list, sealed and keyed as an import does it, in chunks of one transaction each.

    `address` gives the address of each by its number, from 1.
    """
    now = kit.clock.now()
    async with kit.store.begin() as tx:
        row = {"slug": slug, "name": slug.title(), "opt_in": OptIn.SINGLE, "visibility": Visibility.PRIVATE}
        made = await tx.execute(insert(lists).values(**row, created_at=now).returning(lists.c.id))
        list_id = made.scalar_one()
        there = (await tx.execute(select(func.coalesce(func.max(subscribers.c.id), 0)))).scalar_one()
    shared = {"key_version": 1, "created_at": now, "changed_at": now}
    for first in range(1, count + 1, _CHUNK):
        numbers = range(first, min(first + _CHUNK, count + 1))
        people = [{**shared, **_person(kit, n, address(n)), "timezone": zones[n % len(zones)]} for n in numbers]
        async with kit.store.begin() as tx:
            await tx.execute(insert(subscribers), people)
    joined = {"list_id": list_id, "state": SubscriptionState.ACTIVE.value, "joined_at": now, "confirmed_at": now}
    values = [literal(value, subscriptions.c[name].type) for name, value in joined.items()]
    async with kit.store.begin() as tx:
        new = select(subscribers.c.id, *values).where(subscribers.c.id > there).order_by(subscribers.c.id)
        await tx.execute(insert(subscriptions).from_select(["subscriber_id", *joined], new))
    for table in (subscribers, subscriptions):  # as autovacuum does within a minute
        await kit.store.vacuum(table.name)


def _person(kit: Kit, number: int, address: Address) -> dict[str, Any]:
    name = f"Reader {number}" if number % _EVERY else f"Lëser {number}"
    return {
        "address_key": kit.keys.address_key(address),
        "address_sealed": kit.keys.seal(address.wire, purpose="address"),
        "name_sealed": kit.keys.seal(name, purpose="name"),
        "domain": address.domain,
    }
