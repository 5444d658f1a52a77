"""A million letters: how long an audience takes to freeze, how long leaves wait meanwhile, how fast a look is.

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

from benchmarks.audit import Score
from benchmarks.installation import DATABASES, Installation, fill_list, installation, reader
from benchmarks.letters import DIGEST
from campaign.actions import campaigning, freezing, planning, reporting, subscribing
from campaign.actions.kit import Kit
from campaign.domain.delivery import State
from campaign.store import waves
from campaign.store.schema.ledger import deliveries

LETTERS: Final = 1_000_000
_TRIES: Final = 5
_PATIENCE: Final = 5.0
"""Seconds: a page that takes longer to say goodbye is left."""
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
        began = time.monotonic()
        await freezing.freeze_due(kit)
        found.seconds = time.monotonic() - began
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
    """Freeze, look, and print."""
    print(f"\n{letters:,} letters in the ledger, {database}", flush=True)
    with installation(database) as place:
        frozen = asyncio.run(freeze(place, letters))
        print(f"       {frozen.seconds:.0f} s to freeze them", flush=True)
        score.at_most(f"seconds the slowest of {frozen.leaves} leaves meanwhile took", frozen.longest, _PATIENCE)
        score.check("sums that do not reconcile", not asyncio.run(reconciled(place)), wanted=False)
        queued = median(lambda: seconds(place, "status"))
        score.at_most("seconds for campaign status while they wait (median of 5)", queued, 1.0)
        asyncio.run(grow_old(place))
        score.check("sums that do not reconcile", not asyncio.run(reconciled(place)), wanted=False)
        sent = median(lambda: seconds(place, "status"))
        score.at_most("seconds for campaign status when they are sent (median of 5)", sent, 1.0)
        alone = median(lambda: seconds(place, "--version"))
        print(f"       campaign --version takes {alone:.2f} s, Python alone {median(python_alone):.2f} s", flush=True)


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
