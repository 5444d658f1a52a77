"""Sends 10,000 digests through the real daemon to Postfix's smtp-sink, and accounts for every one of them.

`python -m benchmarks.letters [--database sqlite|postgresql] [--letters N] [--connections N]`
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from benchmarks.audit import Score, compare
from benchmarks.installation import DATABASES, Installation, fill_list, installation, peak
from benchmarks.sink import sink, source
from campaign.actions import campaigning, planning, reporting
from campaign.domain.campaigns import Definition
from campaign.domain.delivery import Policy

LETTERS: Final = 10_000
_LOOK: Final = 0.1


@dataclass(slots=True)
class Watch:
    """What was seen while a daemon worked."""

    polls: int = 0
    unreconciled: int = 0
    cpu: float = 0.0
    memory: float = 0.0


def prepare(place: Installation, letters: int, policy: Policy = Policy.HOLD) -> str:
    """Put readers on a list and plan an extra edition for them, with a policy for doubts; return the edition's id."""

    async def fill() -> str:
        async with place.kit() as kit:
            await fill_list(kit, letters)
            await campaigning.create(kit, "digest", replace(DIGEST, policy=policy))
            await campaigning.approve(kit, "digest")
            return str((await planning.send_now(kit, "digest", "measured")).id)

    return asyncio.run(fill())


DIGEST: Final = Definition(every="first monday", zone="UTC", lists=("supporters",), most=3)
"""The shipped digest with three of the starter articles: about 20 kB."""


async def watch(place: Installation, edition: str, daemon: subprocess.Popen[bytes]) -> Watch:
    """Count the letters again and again until the daemon ends; each count is one consistent look."""
    seen, ending = Watch(), asyncio.create_task(asyncio.to_thread(os.wait4, daemon.pid, 0))
    async with place.kit() as kit:
        while not ending.done():
            [count] = await reporting.counts(kit, edition)
            seen.polls += 1
            seen.memory = max(seen.memory, peak(daemon.pid))
            seen.unreconciled += not count.reconciled
            await asyncio.wait({ending}, timeout=_LOOK)
    _, status, usage = await ending
    daemon.returncode = os.waitstatus_to_exitcode(status)
    seen.cpu = usage.ru_utime + usage.ru_stime
    if daemon.returncode:
        raise AssertionError((place.home / "daemon.log").read_text()[-4000:])
    return seen


def rate_of(place: Installation, edition: str, rows: list[dict[str, Any]]) -> float:
    """Return letters per second from the start of the edition to the last letter that was accepted."""

    async def started_at() -> datetime:
        async with place.kit() as kit:
            [count] = await reporting.counts(kit, edition)
        assert count.edition.started_at is not None
        return count.edition.started_at

    last = max(datetime.fromisoformat(row["moved_at"]) for row in rows)
    return len(rows) / (last - asyncio.run(started_at())).total_seconds()


def measure(score: Score, database: str = "sqlite", letters: int = LETTERS, connections: int = 10) -> None:
    """Send, count, compare and print."""
    with sink() as relay, sink() as other, installation(database, {"connections": connections}) as made:
        place = made.with_settings(smtp_url=relay.url)
        edition = prepare(place, letters)
        sample = place.home / "sample.eml"
        place.command("preview", "digest", "--eml", str(sample))
        size = len(sample.read_bytes())
        print(f"\n{letters:,} letters of {size / 1000:.1f} kB, {connections} connections, {database}", flush=True)
        before = source(other.port, sample, letters, connections)
        seen = asyncio.run(watch(place, edition, place.start("--until-idle")))
        after = source(other.port, sample, letters, connections)
        rows = place.rows("deliveries", "list", edition)
        _judge(score, letters, seen, rows)
        compare(score, rows, relay.taken())
        rate, others = rate_of(place, edition, rows), (before + after) / 2
        print(f"       {rate:,.0f} letters/s; smtp-source {others:,.0f}/s without a ledger; ratio {rate / others:.2f}")
        print(f"       {1e6 * seen.cpu / letters:,.0f} us of CPU a letter, start and end of the program included")
        print(f"       {seen.memory:,.0f} MB of memory at most", flush=True)


def _judge(score: Score, letters: int, seen: Watch, rows: list[dict[str, Any]]) -> None:
    score.check("letters in the ledger", len(rows), letters)
    score.check("accepted", sum(row["state"] == "accepted" for row in rows), letters)
    score.check("in more than one attempt", sum(row["attempts"] != 1 for row in rows))
    score.check(f"of {seen.polls} polls, sums that did not reconcile", seen.unreconciled)


def main() -> int:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database", choices=DATABASES, default="sqlite")
    options.add_argument("--letters", type=int, default=LETTERS)
    options.add_argument("--connections", type=int, default=10)
    score = Score()
    measure(score, **vars(options.parse_args()))
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
