"""A year of fifty campaigns, an hour that is kept, and how soon the command line answers.

`python -m benchmarks.year [--database sqlite|postgresql]`
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import Final

from sqlalchemy import delete, func, select

from benchmarks.audit import Score
from benchmarks.installation import DATABASES, Installation, fill_list, installation
from benchmarks.scale import median, python_alone, seconds
from benchmarks.sink import sink
from campaign.actions import campaigning, planning, publishing, reporting
from campaign.actions.kit import Kit
from campaign.domain.campaigns import Definition
from campaign.store.schema.ledger import deliveries, editions

CAMPAIGNS: Final = 50
READERS: Final = 200
STARTS: Final = 5
_ZONES: Final = (None, "Asia/Kathmandu", "America/New_York", "Pacific/Auckland", "Africa/Cairo")
_RHYTHMS: Final = ("first monday", "monday", "day 15", "last friday", "last day")
_LEAD: Final = timedelta(seconds=8)
_APART: Final = timedelta(seconds=1.7)


async def _definitions(kit: Kit) -> list[Definition]:
    """Fifty campaigns as people make them: around every key date in three steps, and digests of several rhythms."""
    dates = [one.slug for one in await publishing.key_dates(kit)]
    around = [Definition(key_date=slug, offsets=(-30, -7, 0), lists=("supporters",)) for slug in dates]
    digests = (Definition(every=rhythm, zone="UTC", lists=("supporters",)) for rhythm in cycle(_RHYTHMS))
    return [*around, *islice(digests, CAMPAIGNS - len(around))]


async def plan_year(place: Installation) -> tuple[float, float, int]:
    """Return how long planning takes the first time and the next, and how many editions that makes."""
    async with place.kit() as kit:
        await fill_list(kit, READERS, zones=_ZONES)
        for number, definition in enumerate(await _definitions(kit), 1):
            await campaigning.create(kit, f"campaign-{number:02}", definition)
            await campaigning.approve(kit, f"campaign-{number:02}")
        async with kit.store.begin() as tx:
            await tx.execute(delete(editions))
        began = time.monotonic()
        planned = await planning.plan(kit)
        between = time.monotonic()
        assert await planning.plan(kit) == 0
        return between - began, time.monotonic() - between, planned


@dataclass(slots=True)
class Start:
    """How late an edition started, and how late its first letter was accepted, in seconds."""

    edition: float
    letter: float


async def keep_the_hour(place: Installation) -> list[Start]:
    """Plan editions for odd instants, and run the daemon over them as anybody would."""
    async with place.kit() as kit:
        instants = [datetime.now(UTC) + _LEAD + n * _APART for n in range(STARTS)]
        for number, instant in enumerate(instants):
            once, at = instant.date().isoformat(), instant.time().isoformat("milliseconds")
            definition = Definition(once=f"{once}T{at}", at=at, zone="UTC", lists=("supporters",))
            await campaigning.create(kit, f"once-{number}", definition)
            await campaigning.approve(kit, f"once-{number}")
        daemon = place.start("--until-idle")
        await asyncio.to_thread(daemon.wait)
        if daemon.returncode:
            raise AssertionError((place.home / "daemon.log").read_text()[-4000:])
        return [await _start(kit, f"once-{number}") for number in range(STARTS)]


async def _start(kit: Kit, slug: str) -> Start:
    [count] = await reporting.counts(kit, slug)
    assert count.by_state == {"accepted": READERS}, count.by_state
    edition = count.edition
    assert edition.started_at is not None
    async with kit.store.read() as tx:
        first = await tx.execute(select(func.min(deliveries.c.moved_at)).where(deliveries.c.edition_id == edition.id))
        accepted: datetime = first.scalar_one()
    return Start(*((at - edition.starts_at).total_seconds() for at in (edition.started_at, accepted)))


def measure(score: Score, database: str = "sqlite") -> None:
    """Plan, wait for the hour, and print."""
    print(f"\n{CAMPAIGNS} campaigns, {database}", flush=True)
    with sink() as relay, installation(database, {"smtp_url": relay.url}) as place:
        first, again, planned = asyncio.run(plan_year(place))
        score.at_most(f"seconds to plan their {planned} editions of 400 days", first, 2.0)
        score.at_most("seconds to plan them again, which changes nothing", again, 2.0)
        shown = median(lambda: seconds(place, "plan"), 3)
        score.at_most("seconds for campaign plan, a year of all of them with people counted", shown, 2.0)
    with sink() as relay, installation(database, {"smtp_url": relay.url}) as place:
        asyncio.run(_fill(place))
        starts = asyncio.run(keep_the_hour(place))
        score.at_most(f"of {STARTS} editions, the latest start (seconds)", max(one.edition for one in starts), 1.0)
        score.at_most("the earliest start (seconds before its instant)", -min(one.edition for one in starts), 0.0)
        print(f"       the first letter was accepted after {max(one.letter for one in starts):.2f} s at the latest")
        answer, alone = median(lambda: seconds(place, "--help"), 7), median(python_alone, 7)
        score.at_most("seconds for campaign --help (median of 7)", answer, 0.5)
        print(f"       Python alone takes {alone:.2f} s", flush=True)


async def _fill(place: Installation) -> None:
    async with place.kit() as kit:
        await fill_list(kit, READERS)


def main() -> int:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database", choices=DATABASES, default="sqlite")
    score = Score()
    measure(score, options.parse_args().database)
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
