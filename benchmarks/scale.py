"""A million letters: how long an audience takes to freeze, how long leaves wait meanwhile, what sending then costs.

`python -m benchmarks.scale [--database sqlite|postgresql] [--letters N]`
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import update

from benchmarks import million
from benchmarks.audit import Score
from benchmarks.installation import DATABASES, Installation, fill_list, installation, reader
from benchmarks.letters import DIGEST
from benchmarks.million import Sending
from campaign.actions import campaigning, freezing, planning, reporting, subscribing
from campaign.actions.kit import Kit
from campaign.domain.delivery import State
from campaign.store import waves
from campaign.store.schema.ledger import deliveries

LETTERS: Final = 1_000_000
_TRIES: Final = 5
_FREEZE: Final = {"sqlite": 15.0, "postgresql": 60.0}
"""Seconds that a million may take to freeze."""
_PATIENCE: Final = {"sqlite": 0.2, "postgresql": 0.5}
"""Seconds that somebody may wait who leaves meanwhile."""
_FEW, _SOME = 10_000, 50_000
"""Letters in the ledgers with which a million is compared, for the work and for the memory."""
_ENDS: Final = (State.ACCEPTED, State.REFUSED, State.IN_DOUBT, State.SUPPRESSED)


def median(measure: Callable[[], float], tries: int = _TRIES) -> float:
    """Take a measure several times; return the middle one."""
    return statistics.median(measure() for _ in range(tries))


def seconds(place: Installation, *words: str) -> float:
    """Return how long a whole command takes, from the shell's point of view."""
    return place.measured(*words).seconds


def python_alone() -> float:
    """Return how long Python takes to do nothing here and now, to compare with."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.monotonic() - began


@dataclass(slots=True)
class Frozen:
    """How the freezing of an audience went, and how long somebody who left meanwhile waited."""

    seconds: float = 0.0
    cpu: float = 0.0
    leaves: int = 0
    longest: float = 0.0


async def freeze(place: Installation, people: int) -> Frozen:
    """Fill a list, and freeze an edition for all of it while people leave through another connection."""
    found = Frozen()
    async with place.kit() as kit, place.kit() as other:
        await fill_list(kit, people)
        await campaigning.create(kit, "digest", DIGEST)
        await campaigning.approve(kit, "digest")
        await planning.send_now(kit, "digest", "measured")
        over = asyncio.Event()
        leaving = asyncio.create_task(_leave(other, found, over))
        began, cpu = time.monotonic(), time.process_time()
        await freezing.freeze_due(kit)
        found.seconds, found.cpu = time.monotonic() - began, time.process_time() - cpu
        over.set()
        await leaving
    return found


async def _leave(kit: Kit, found: Frozen, over: asyncio.Event) -> None:
    while not over.is_set():
        found.leaves += 1
        began = time.monotonic()
        await subscribing.leave(kit, reader(found.leaves))
        found.longest = max(found.longest, time.monotonic() - began)
        await asyncio.sleep(0.05)


async def grow_old(place: Installation) -> None:
    """Give the letters the states that they have when a campaign is over: most of them accepted.

    Sending a million takes long enough for PostgreSQL's autovacuum to come by; this does not, so it is called.
    """
    async with place.kit() as kit:
        async with kit.store.begin() as tx:
            for number, state in enumerate(_ENDS):
                ids = deliveries.c.id % 50 == number if number else deliveries.c.id > 0
                await tx.execute(update(deliveries).where(ids).values(state=state, last_code=250, attempts=1))
        await waves.look_over(kit.store)


async def reconciled(place: Installation) -> bool:
    """Say whether the sums of every edition add up."""
    async with place.kit() as kit:
        return all(count.reconciled for count in await reporting.counts(kit))


def measure(score: Score, database: str = "sqlite", letters: int = LETTERS) -> None:
    """Freeze, look, send, and print."""
    print(f"\n{letters:,} letters in the ledger, {database}", flush=True)
    with installation(database) as place:
        frozen = asyncio.run(freeze(place, letters))
        print(f"       of which {frozen.cpu:.1f} s of CPU in this process, leaves included", flush=True)
        score.at_most("seconds to freeze them", frozen.seconds, _FREEZE[database])
        score.at_most(
            f"seconds the slowest of {frozen.leaves} leaves meanwhile took", frozen.longest, _PATIENCE[database]
        )
        score.check("sums that do not reconcile", not asyncio.run(reconciled(place)), wanted=False)
        queued = median(lambda: seconds(place, "status"))
        score.at_most("seconds for campaign status while they wait (median of 5)", queued, 1.0)
        _send(score, place, database, letters)
        asyncio.run(grow_old(place))
        score.check("sums that do not reconcile", not asyncio.run(reconciled(place)), wanted=False)
        sent = median(lambda: seconds(place, "status"))
        score.at_most("seconds for campaign status when they are sent (median of 5)", sent, 1.0)
        alone = median(lambda: seconds(place, "--version"))
        print(f"       campaign --version takes {alone:.2f} s, Python alone {median(python_alone):.2f} s", flush=True)


def _send(score: Score, place: Installation, database: str, letters: int) -> None:
    """Compare sending out of this ledger with sending out of small ones."""
    many = million.send(place, letters, places=3, starts=_TRIES)
    few, some = (_small(database, count) for count in (_FEW, _SOME))
    work = max(many.microseconds) / statistics.median(few.microseconds)
    shown = ", ".join(f"{each:.0f}" for each in many.microseconds)
    print(f"       µs of CPU a letter: {shown} (of {_FEW:,}: {statistics.median(few.microseconds):.0f})", flush=True)
    score.at_most(f"times the work for a letter, at the dearest place, of one among {_FEW:,}", work, 1.15)
    score.at_most("megabytes of the daemon at most", many.memory, 150)
    print(f"       {many.together:,.0f} MB with the programs that it started, each at its most", flush=True)
    score.at_most(f"megabytes more than with {_SOME:,} letters", many.memory - some.memory, 32)
    score.at_most("seconds after kill -9 until the next claim (median of 5)", many.ready, 2.0)


def _small(database: str, letters: int) -> Sending:
    with installation(database) as place:
        asyncio.run(freeze(place, letters))
        return million.send(place, letters, places=1)


def main() -> int:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database", choices=DATABASES, default="sqlite")
    options.add_argument("--letters", type=int, default=LETTERS)
    score = Score()
    measure(score, **vars(options.parse_args()))
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
