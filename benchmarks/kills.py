"""Kills the daemon at random moments while letters fly, and counts: nothing lost, nothing doubled, every doubt listed.

`python -m benchmarks.kills [--database D] [--daemons N] [--letters N] [--kills N] [--connections N] [--seed N]`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import func, select

from benchmarks.audit import Score, compare, relay_log
from benchmarks.installation import DATABASES, ROOT, Installation, installation
from benchmarks.letters import prepare
from campaign.actions import reporting
from campaign.actions.kit import Kit
from campaign.domain.delivery import State
from campaign.store.schema.ledger import deliveries

_LOOK: Final = 0.05
_PATIENCE: Final = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How hard to try. `slow` is the relay's longest wait, before it takes a letter and again before it says so."""

    database: str = "sqlite"
    letters: int = 10_000
    kills: int = 20
    daemons: int = 1
    connections: int = 10
    slow: float = 0.02
    seed: int = 1
    longest: float = 0.6
    """Seconds, at most, between the first letter of a life at the dot and its end."""

    def __str__(self) -> str:
        """Say it in a line that can be repeated."""
        who = f"{self.daemons} daemon{'s' if self.daemons > 1 else ''}"
        return f"{self.letters:,} letters, {self.kills} kills, {who}, {self.database}, seed {self.seed}"


@dataclass(slots=True)
class Life:
    """One process of the daemon, and the name under which it holds letters."""

    process: subprocess.Popen[bytes]
    log: Path
    owner: str = ""

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def look_for_owner(self) -> None:
        """Read the name from its log, once it is there."""
        if self.owner:
            return
        for line in self.log.read_text(encoding="utf-8").splitlines():
            if '"daemon_started"' in line:
                self.owner = json.loads(line)["owner"]


@dataclass(slots=True)
class Tally:
    """What was seen on the way."""

    kills: int = 0
    at_dot: int = 0
    polls: int = 0
    unreconciled: int = 0
    orphans: int = 0
    lives: list[Life] = field(default_factory=list)


def prove(plan: Plan, score: Score) -> None:
    """Run one plan to its end and add its checks to `score`."""
    print(f"\n{plan}", flush=True)
    settings = {"connections": plan.connections, "grace_seconds": 5}
    with installation(plan.database, settings) as place:
        log = place.home / "relay.log"
        with _relay(log, plan) as url:
            there = place.with_settings(smtp_url=url)
            edition = prepare(there, plan.letters)
            tally = asyncio.run(_Killer(plan, there, edition).run())
            _judge(plan, score, tally)
            rows = there.rows("deliveries", "list", edition)
            listed = there.rows("deliveries", "list", edition, "--state", "in_doubt")
        in_doubt = [row["id"] for row in rows if row["state"] == "in_doubt"]
        states = sorted({row["state"] for row in rows} - {"accepted", "in_doubt"})
        score.check("letters in the ledger", len(rows), plan.letters)
        score.check("letters neither accepted nor in doubt", states, [])
        score.at_most("in doubt", len(in_doubt), tally.kills * plan.connections)
        score.check("doubts that are not listed", sorted(in_doubt) != sorted(row["id"] for row in listed), wanted=False)
        compare(score, rows, relay_log(log))


def _judge(plan: Plan, score: Score, tally: Tally) -> None:
    print(f"       {tally.at_dot} of {tally.kills} kills found letters at the dot", flush=True)
    score.check("kills", tally.kills, plan.kills)
    score.check("kills while letters flew", tally.at_dot >= plan.kills / (2 * plan.daemons), wanted=True)
    score.check(f"of {tally.polls} polls, sums that did not reconcile", tally.unreconciled)
    score.check("processes that outlived a killed daemon", tally.orphans)
    score.check("ends of the last daemons", [life.process.returncode for life in tally.lives], [0] * plan.daemons)


@contextmanager
def _relay(log: Path, plan: Plan) -> Iterator[str]:
    """Run the fault relay in a process of its own; give its URL."""
    line = [sys.executable, "-m", "benchmarks.fault_relay", "--log", str(log)]
    line += ["--slow", str(plan.slow), "--seed", str(plan.seed)]
    with subprocess.Popen(line, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        try:
            yield f"smtp://127.0.0.1:{int(running.stdout.readline())}?tls=none"
        finally:
            running.stdin.close()


class _Killer:
    """Keeps daemons running, ends them without warning, and lets the last ones finish."""

    def __init__(self, plan: Plan, place: Installation, edition: str) -> None:
        self._plan, self._place, self._edition = plan, place, edition
        self._dice = random.Random(plan.seed)
        self._born = 0
        self._tally = Tally()

    async def run(self) -> Tally:
        """Kill as planned, then wait for the end; return what was seen."""
        tally, plan = self._tally, self._plan
        async with self._place.kit() as kit:
            tally.lives = [self._start() for _ in range(plan.daemons)]
            while tally.kills < plan.kills and await self._until_flying(kit):
                await asyncio.sleep(self._dice.uniform(0, plan.longest))
                await self._kill(kit, self._victims())
            await self._until_over(kit)
        return tally

    def _start(self) -> Life:
        self._born += 1
        log = self._place.home / f"daemon-{self._born}.log"
        return Life(self._place.start("--until-idle", log=log), log)

    async def _kill(self, kit: Kit, victims: list[int]) -> None:
        """End some daemons at once, count what they held at the dot, and start others in their place."""
        dead = [self._tally.lives[n] for n in victims]
        alive = [life for life in dead if life.running]
        for life in alive:
            os.kill(life.process.pid, signal.SIGKILL)
        for life in alive:
            life.process.wait()
            self._tally.kills += 1
            self._tally.at_dot += await _at_dot(kit, life.owner) > 0
        for n in victims:
            self._tally.lives[n] = self._start()
        await asyncio.sleep(_LOOK)
        for life in alive:
            self._tally.orphans += await _outlived(life.process.pid)

    def _victims(self) -> list[int]:
        """One of the daemons, or some, or all at once."""
        several = self._dice.randint(1, min(self._plan.daemons, self._plan.kills - self._tally.kills))
        return self._dice.sample(range(self._plan.daemons), several)

    async def _until_flying(self, kit: Kit) -> bool:
        """Wait until all daemons are at work and one has letters at the dot; False when the letters have run out."""
        lives = self._tally.lives

        async def ready() -> bool:
            for life in lives:
                life.look_for_owner()
            owners = [life.owner for life in lives if life.owner]
            flying = len(owners) == len(lives) and any([await _at_dot(kit, owner) for owner in owners])
            return flying or not all(life.running for life in lives)

        await self._until(kit, ready)
        return all(life.running for life in lives)

    async def _until_over(self, kit: Kit) -> None:
        async def over() -> bool:
            return not any(life.running for life in self._tally.lives)

        await self._until(kit, over)

    async def _until(self, kit: Kit, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait, and count the letters meanwhile; each count is one consistent look."""
        deadline = time.monotonic() + _PATIENCE
        while not await condition():
            [count] = await reporting.counts(kit, self._edition)
            self._tally.polls += 1
            self._tally.unreconciled += not count.reconciled
            if time.monotonic() > deadline:
                raise TimeoutError(self._tally.lives[-1].log.read_text()[-4000:])
            await asyncio.sleep(_LOOK)


async def _at_dot(kit: Kit, owner: str) -> int:
    d = deliveries.c
    async with kit.store.read() as tx:
        found = select(func.count()).where(d.owner == owner, d.state == State.OFFERED)
        count: int = (await tx.execute(found)).scalar_one()
    return count


async def _outlived(group: int) -> int:
    """Count the processes of a group that still run five seconds after its leader was killed."""
    for _ in range(50):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return 0
        await asyncio.sleep(0.1)
    return 1


def main() -> int:
    """Read the options and try."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database", choices=DATABASES, default="sqlite")
    for name, default in (("letters", 10_000), ("kills", 20), ("daemons", 1), ("connections", 10), ("seed", 1)):
        options.add_argument(f"--{name}", type=int, default=default)
    score = Score()
    prove(Plan(**vars(options.parse_args())), score)
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
