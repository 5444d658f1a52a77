"""Limits that several senders share, and domains that are dead or slow: neither too much, nor anybody kept waiting.

`python -m benchmarks.pace [--database sqlite|postgresql] [--seconds S] [--letters N] [--rounds N]`

The first half lets 1, 2 and 4 processes use the permits of one relay as fast as they may, and looks at every instant
for which one was granted. The second sends to 20 domains of which one is dead and one takes 2 s for each reply.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import func, select

from benchmarks.audit import Score
from benchmarks.installation import DATABASES, ROOT, Installation, fill_list, installation, reader
from benchmarks.letters import DIGEST
from campaign.actions import campaigning, planning
from campaign.actions.pacing import Pacer, Pool
from campaign.domain.addresses import Address
from campaign.domain.delivery import State
from campaign.domain.pace import MICRO, Span
from campaign.store.schema.ledger import deliveries
from campaign.store.writer import Writer

SECONDS: Final = 10.0
LETTERS: Final = 100
"""Letters to each domain."""
ROUNDS: Final = 3
SENDERS: Final = (1, 2, 4)
CONNECTIONS: Final = 20
_DOMAINS: Final = 20
_DEAD, _SLOW = "mail00.example.org", "mail01.example.org"
_USUAL: Final = 0.05
_LIMITS: Final[tuple[Mapping[Span, int], ...]] = (
    {Span.SECOND: 100},
    {Span.SECOND: 40, Span.MINUTE: 1_200},
    {Span.HOUR: 500},
)
_LENGTH: Final = {Span.SECOND: 1, Span.MINUTE: 60, Span.HOUR: 3_600, Span.DAY: 86_400}
_SHARE: Final = 0.6
"""Each sender gets at least so much of an equal share."""
_PATIENCE: Final = 120.0
_GLANCE: Final = 0.02


async def use(place: Installation, limits: Mapping[Span, int], seconds: float) -> list[int]:
    """Use permits as fast as they may be used, for so long; return the instants for which they were granted."""
    async with place.kit() as kit:
        writer = Writer(kit.store)
        pacer = Pacer(kit, writer)
        pool = Pool(pacer, ("main", ""), lambda: limits)
        fetching = asyncio.create_task(pacer.run())
        used: list[int] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if pool.at_hand() and (instant := pool.take()) is not None:
                used.append(instant)
            else:
                await asyncio.sleep(min(max(pool.seconds_until(), 0.001), 0.01))
        fetching.cancel()
        with suppress(asyncio.CancelledError):
            await fetching
        await pacer.give_back()
        await writer.close()
    return used


def most_in_a_window(instants: list[int], length: int) -> int:
    """Return the most instants in any half-open window of that length."""
    return max((bisect_left(instants, at + length) - number for number, at in enumerate(instants)), default=0)


def share_limits(score: Score, database: str = "sqlite", seconds: float = SECONDS) -> None:
    """Let 1, 2 and 4 processes share each set of limits."""
    for limits in _LIMITS:
        for senders in SENDERS:
            with installation(database) as place:
                judge_limits(score, limits, use_at_once(place, limits, senders, seconds), seconds)


def use_at_once(place: Installation, limits: Mapping[Span, int], senders: int, seconds: float) -> list[list[int]]:
    """Run so many processes at once; return what each used."""
    line = [sys.executable, "-m", "benchmarks.pace", "--use", json.dumps(limits), "--seconds", str(seconds)]
    given = {"env": place.environment, "cwd": ROOT, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(line, **given) for _ in range(senders)]  # type: ignore[call-overload]  # as is: a dict
    for one in running:
        assert one.stdout.readline() == "ready\n"
    for one in running:
        one.stdin.write("go\n")
        one.stdin.flush()
    used = [json.loads(one.stdout.readline()) for one in running]
    for one in running:
        one.communicate()
    return used


def judge_limits(score: Score, limits: Mapping[Span, int], used: list[list[int]], seconds: float) -> None:
    """Compare what each sender used in so many seconds with the limits."""
    named = ", ".join(f"{limit} a {span.value}" for span, limit in limits.items())
    print(f"\n{len(used)} senders, {named}, {seconds:.0f} s: {[len(one) for one in used]} letters each", flush=True)
    instants = sorted(at for one in used for at in one)
    for span, limit in limits.items():
        most = most_in_a_window(instants, _LENGTH[span] * MICRO)
        score.at_most(f"in any {span.value}, {len(used)} senders", most, limit + 1)
    spaced = {Span.SECOND, Span.MINUTE}
    allowed = [limit * (seconds / _LENGTH[span] if span in spaced else 1) for span, limit in limits.items()]
    score.at_least(f"of what is allowed, {len(used)} senders", len(instants) / min(allowed), 0.95)
    if len(used) > 1 and Span.HOUR not in limits:
        score.at_least("smallest share of an equal one", min(map(len, used)) * len(used) / len(instants), _SHARE)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What two of the twenty domains do; nothing where they are left out."""

    name: str
    options: tuple[str, ...] = ()
    settings: str = ""

    @property
    def domains(self) -> int:
        """To how many domains letters go."""
        return _DOMAINS if self.options else _DOMAINS - 2


_SLOWLY: Final = ("--lag", f"{_SLOW}=2")
TROUBLES: Final = (
    Trouble("without them"),
    Trouble("one never answers RCPT, one takes 2 s", (*_SLOWLY, "--hang", _DEAD)),
    Trouble("one says 421 each time, one takes 2 s", (*_SLOWLY, "--refuse", _DEAD)),
    Trouble("the same with parallel = 2", (*_SLOWLY, "--refuse", _DEAD), "[domains]\nparallel = 2\n"),
)


def hold_nobody_up(score: Score, database: str = "sqlite", letters: int = LETTERS, rounds: int = ROUNDS) -> None:
    """Send so many letters to each of 20 domains, and measure until the 18 that are well have theirs.

    Each trouble has its turn in each round, and what counts is the median: a disk that others use has its moods.
    """
    turns = [{trouble.name: _send(trouble, database, letters) for trouble in TROUBLES} for _ in range(rounds)]
    took = {trouble.name: statistics.median(turn[trouble.name] for turn in turns) for trouble in TROUBLES}
    print(f"\n20 domains with {letters} letters each, {CONNECTIONS} connections, {database}", flush=True)
    alone = took.pop(TROUBLES[0].name)
    for name, seconds in took.items():
        each = ", ".join(f"{turn[name]:.2f}" for turn in turns)
        print(f"       {name}: {seconds:.2f} s ({each}); {TROUBLES[0].name}: {alone:.2f} s", flush=True)
        score.at_most(f"times as long for the 18 others, {name}", seconds / alone, 1.2)


def _send(trouble: Trouble, database: str, letters: int) -> float:
    """Return the seconds from the edition's first letter to the last one of the domains that are well."""
    settings = {"connections": CONNECTIONS, "grace_seconds": 0}
    with _relay(trouble) as url, installation(database, settings) as made:
        place = made.with_settings(smtp_url=url)
        if trouble.settings:
            (place.home / "config").mkdir()
            (place.home / "config" / "relays.toml").write_text(trouble.settings)
        asyncio.run(_prepare(place, trouble, letters))
        daemon = place.start()
        try:
            return asyncio.run(_watch(place, letters * (_DOMAINS - 2)))
        finally:
            with suppress(ProcessLookupError):
                os.kill(daemon.pid, signal.SIGKILL)
            daemon.wait()


async def _prepare(place: Installation, trouble: Trouble, letters: int) -> None:
    def address(number: int) -> Address:
        return reader(number, first=_DOMAINS - trouble.domains)

    async with place.kit() as kit:
        await fill_list(kit, letters * trouble.domains, address=address)
        await campaigning.create(kit, "digest", DIGEST)
        await campaigning.approve(kit, "digest")
        await planning.send_now(kit, "digest", "measured")


async def _watch(place: Installation, wanted: int) -> float:
    """Wait until so many letters to the domains that are well are accepted."""
    d = deliveries.c
    well = (d.state == State.ACCEPTED, d.domain.not_in((_DEAD, _SLOW)))
    end = time.monotonic() + _PATIENCE
    async with place.kit() as kit:
        while time.monotonic() < end:
            async with kit.store.read() as tx:
                asked = select(func.count(), func.min(d.moved_at), func.max(d.moved_at)).where(*well)
                found = (await tx.execute(asked)).one()
            if found[0] >= wanted:
                return float((found[2] - found[1]).total_seconds())
            await asyncio.sleep(_GLANCE)
    msg = f"{found[0]} of {wanted} letters to domains that are well were accepted in {_PATIENCE:.0f} s."
    raise AssertionError(msg)


@contextmanager
def _relay(trouble: Trouble) -> Iterator[str]:
    """Run the relay in a process of its own; give its URL."""
    line = [sys.executable, "-m", "benchmarks.domain_relay", "--usual", str(_USUAL), *trouble.options]
    with subprocess.Popen(line, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        try:
            yield f"smtp://127.0.0.1:{int(running.stdout.readline())}?tls=none"
        finally:
            running.stdin.close()


def measure(
    score: Score, database: str = "sqlite", seconds: float = SECONDS, letters: int = LETTERS, rounds: int = ROUNDS
) -> None:
    """Do both halves."""
    share_limits(score, database, seconds)
    hold_nobody_up(score, database, letters, rounds)


def _be_one(limits: str, seconds: float) -> None:
    """Be one of the senders: say that it is ready, wait for the word, and print what was used."""
    given = {Span(span): limit for span, limit in json.loads(limits).items()}
    print("ready", flush=True)
    sys.stdin.readline()
    place = Installation(Path(os.environ["CAMPAIGN_HOME"]), "", dict(os.environ))
    print(json.dumps(asyncio.run(use(place, given, seconds))), flush=True)


def main() -> int:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database", choices=DATABASES, default="sqlite")
    options.add_argument("--seconds", type=float, default=SECONDS)
    options.add_argument("--letters", type=int, default=LETTERS)
    options.add_argument("--rounds", type=int, default=ROUNDS)
    options.add_argument("--use", metavar="LIMITS", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.use:
        _be_one(given.use, given.seconds)
        return 0
    score = Score()
    measure(score, given.database, given.seconds, given.letters, given.rounds)
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
