"""Sends 50,000 letters of 20 kB through the real daemon, again and again in turn with Postfix's smtp-source.

`python -m benchmarks.wire [--database sqlite|postgresql] [--letters N] [--connections N ...] [--rounds N]`

Both hand the same letter to the same smtp-sink. The daemon does everything: claims, a letter for each reader, a token
on disk before each dot, events, outcomes. smtp-source keeps no account of anything.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import func, select

from benchmarks.audit import Score
from benchmarks.installation import DATABASES, Installation, fill_list, installation, peak
from benchmarks.letters import DIGEST
from benchmarks.sink import Sink, sink, source
from campaign.actions import campaigning, planning
from campaign.domain.delivery import State
from campaign.store.schema.ledger import deliveries, editions

LETTERS: Final = 50_000
CONNECTIONS: Final = (20, 50)
ROUNDS: Final = 5
_GLANCE: Final = 0.2
"""Seconds between two looks at a program's memory."""
LEAST: Final = 0.8
"""What is promised of the rate of smtp-source."""


async def _prepare(place: Installation, letters: int) -> None:
    async with place.kit() as kit:
        await fill_list(kit, letters)
        await campaigning.create(kit, "digest", DIGEST)
        await campaigning.approve(kit, "digest")


async def _plan(place: Installation, name: str) -> int:
    async with place.kit() as kit:
        return (await planning.send_now(kit, "digest", name)).id


async def _rate(place: Installation, edition: int) -> tuple[int, float]:
    """Return how many letters were accepted at once, and how many a second from the start to the last of them."""
    d = deliveries.c
    async with place.kit() as kit, kit.store.read() as tx:
        started = (await tx.execute(select(editions.c.started_at).where(editions.c.id == edition))).scalar_one()
        mine = (d.edition_id == edition, d.state == State.ACCEPTED, d.attempts == 1)
        row = (await tx.execute(select(func.count(), func.max(d.moved_at)).where(*mine))).one()
    return row[0], row[0] / (row[1] - started).total_seconds()


def _run(place: Installation) -> tuple[float, float]:
    """Let a daemon send what is due; return its seconds of CPU and its megabytes at most."""
    daemon, memory = place.start("--until-idle"), 0.0
    while not (ended := os.wait4(daemon.pid, os.WNOHANG))[0]:
        memory = max(memory, peak(daemon.pid))
        time.sleep(_GLANCE)
    daemon.returncode = os.waitstatus_to_exitcode(ended[1])
    if daemon.returncode:
        raise AssertionError((place.home / "daemon.log").read_text()[-4000:])
    usage = ended[2]
    return usage.ru_utime + usage.ru_stime, memory


def measure(
    score: Score,
    database: str = "sqlite",
    letters: int = LETTERS,
    connections: Sequence[int] = CONNECTIONS,
    rounds: int = ROUNDS,
) -> None:
    """Take turns, and print the medians."""
    print(f"\nThe wire: {letters:,} letters, {database}, {rounds} rounds", flush=True)
    with installation(database) as made, sink(keep=False) as relay:
        place = made.with_settings(smtp_url=relay.url)
        asyncio.run(_prepare(place, letters))
        sample = place.home / "sample.eml"
        place.command("preview", "digest", "--eml", str(sample))
        print(f"       each of {len(sample.read_bytes()) / 1000:.1f} kB", flush=True)
        for number in connections:
            there = place.with_settings(connections=number)
            taken = [_round(score, there, relay, sample, (letters, number, turn)) for turn in range(rounds)]
            ours, theirs = (statistics.median(column) for column in zip(*taken, strict=True))
            ratio = statistics.median(mine / other for mine, other in taken)
            print(f"       {number} connections: {ours:,.0f} letters/s; smtp-source {theirs:,.0f}/s", flush=True)
            score.at_least(f"of the rate of smtp-source, {number} connections", ratio, LEAST)


def _round(
    score: Score, place: Installation, relay: Sink, sample: Path, plan: tuple[int, int, int]
) -> tuple[float, float]:
    """Send once with each; return letters a second, ours and theirs."""
    letters, connections, turn = plan
    before = source(relay.port, sample, letters // 2, connections)
    edition = asyncio.run(_plan(place, f"measured-{connections}-{turn}"))
    cpu, memory = _run(place)
    accepted, rate = asyncio.run(_rate(place, edition))
    after = source(relay.port, sample, letters // 2, connections)
    theirs = 2 / (1 / before + 1 / after)
    if accepted != letters:
        score.check("accepted, in one attempt each", accepted, letters)
    print(
        f"       {rate:,.0f}/s against {theirs:,.0f}/s: {rate / theirs:.2f}; "
        f"{1e6 * cpu / letters:,.0f} us of CPU a letter with its freezing, {memory:,.0f} MB",
        flush=True,
    )
    return rate, theirs


def main() -> int:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database", choices=DATABASES, default="sqlite")
    options.add_argument("--letters", type=int, default=LETTERS)
    options.add_argument("--connections", type=int, nargs="+", default=CONNECTIONS)
    options.add_argument("--rounds", type=int, default=ROUNDS)
    score = Score()
    measure(score, **vars(options.parse_args()))
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
