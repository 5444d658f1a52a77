"""Kills the daemon at random moments while letters fly, and counts: nothing lost, nothing doubled, every doubt listed.

`python -m benchmarks.kills [--policy P] [--database D] [--daemons N] [--faults F] [--letters N] [--kills N] [--seed N]`

With `--faults 0.02` the relay does something else than it should at two in a hundred of its steps, in every way that
`fault_relay` knows. Waits of minutes (back-off, a relay that rests, a doubt that is sent again) are over at once: see
`lives.let_waits_end`. `--table` runs all the plans of the crash table and prints it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select, update

from benchmarks import replay
from benchmarks.audit import Found, Score, compare, relay_log
from benchmarks.fault_relay import UNCERTAIN, Chances
from benchmarks.installation import DATABASES, Installation, installation
from benchmarks.letters import prepare
from benchmarks.lives import LOOK, Life, Watch, fault_relay, held
from benchmarks.nursery import Nursery, nursery
from campaign.actions.kit import Kit
from campaign.domain.delivery import MAX_ATTEMPTS, Policy, State
from campaign.logs import set_up_logs
from campaign.store.recovery import MOST_DOUBTS
from campaign.store.schema.ledger import deliveries

_LIFE: Final = 0.4
"""Seconds of sending that a life has on average, by which the relay's pace is reckoned where none is given."""
_COLUMNS: Final = (
    "policy",
    "database",
    "daemons",
    "faults a step",
    "kills",
    "accepted",
    "refused",
    "**doubled**",
    "**lost**",
    "in doubt (of these taken)",
    "seconds",
    "`python -m benchmarks.kills`",
)
_LAST: Final = 6
"""So many daemons at most follow the last, until the policy has settled every doubt."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How hard to try. `slow` is the longest time that a letter takes at the relay, in seconds."""

    database: str = "sqlite"
    policy: str = Policy.HOLD.value
    letters: int = 10_000
    kills: int = 20
    daemons: int = 1
    faults: float = 0.0
    connections: int = 10
    seed: int = 1
    slow: float | None = None
    longest: float = 0.5
    """Seconds, at most, between the first letter of a life at the dot and its end."""

    def __str__(self) -> str:
        """Say it in a line that can be repeated."""
        who = f"{self.daemons} daemon{'s' if self.daemons > 1 else ''}"
        what = f"{self.letters:,} letters, {self.kills} kills, {self.faults:.0%} faults, policy {self.policy}"
        return f"{what}, {who}, {self.database}, seed {self.seed}"

    @property
    def command(self) -> str:
        """How to repeat it."""
        plain = Plan()
        names = ("policy", "database", "daemons", "faults", "letters", "kills", "seed")
        given = [(name, getattr(self, name)) for name in names]
        return " ".join(f"--{name} {value}" for name, value in given if value != getattr(plain, name))

    @property
    def chances(self) -> Chances:
        """What the relay leaves to chance: so slow that the letters last for all the kills, and its faults."""
        rounds = 2 * self.kills / (1 + self.daemons)
        pace = 2 * _LIFE * rounds * self.connections * self.daemons / self.letters
        return Chances(pace if self.slow is None else self.slow, self.faults, self.seed)


@dataclass(slots=True)
class Tally:
    """What was seen on the way."""

    watch: Watch
    kills: int = 0
    at_dot: int = 0
    orphans: int = 0
    lives: list[Life] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of the crash table."""

    plan: Plan
    seconds: float
    states: dict[str, int]
    found: Found
    doubts: int

    @staticmethod
    def heading() -> str:
        """Give the two lines above the rows."""
        return f"| {' | '.join(_COLUMNS)} |\n|{' --- |' * len(_COLUMNS)}"

    def __str__(self) -> str:
        """Write it as a line of Markdown."""
        plan, found, states = self.plan, self.found, self.states
        held_ = f"{found.in_doubt} ({found.doubts_taken})"
        if plan.policy != Policy.HOLD:
            held_ = f"{held_}; {self.doubts} were, and were sent again or expired"
        cells: list[object] = [plan.policy, plan.database, plan.daemons, f"{plan.faults:.0%}", plan.kills]
        cells += [states.get("accepted", 0), states.get("refused", 0), found.doubled, found.lost, held_]
        return f"| {' | '.join(map(str, [*cells, f'{self.seconds:.0f}', f'`{plan.command}`']))} |"


def prove(plan: Plan, score: Score) -> Outcome:
    """Run one plan to its end, add its checks to `score`, and return its row of the table."""
    print(f"\n{plan}", flush=True)
    settings = {"connections": plan.connections, "grace_seconds": 5}
    with ExitStack() as stack:
        place = stack.enter_context(installation(plan.database, settings))
        log = place.home / "relay.log"
        there = place.with_settings(smtp_url=stack.enter_context(fault_relay(log, plan.chances)))
        edition = prepare(there, plan.letters, Policy(plan.policy))
        began = time.monotonic()
        tally, told = asyncio.run(_Killer(plan, there, edition, stack.enter_context(nursery(there))).run())
        seconds = time.monotonic() - began
        rows = there.rows("deliveries", "list", edition)
        _judge(plan, score, tally)
        _judge_rows(plan, score, rows, told)
        _judge_doubts(plan, score, [story.doubts for story in told.stories.values()], tally.kills, _uncertain(log))
        listed = there.rows("deliveries", "list", edition, "--state", "in_doubt")
        mine = sorted(row["id"] for row in rows if row["state"] == "in_doubt")
        score.check("doubts that are not listed", mine != sorted(row["id"] for row in listed), wanted=False)
        doubts = {id_: (story.doubts, story.resent) for id_, story in told.stories.items()}
        found = compare(score, rows, relay_log(log), doubts)
    states = {state: sum(row["state"] == state for row in rows) for state in State}
    outcome = Outcome(plan, seconds, states, found, sum(times for times, _ in doubts.values()))
    print(f"       {seconds:.0f} s\n{outcome}", flush=True)
    return outcome


def _judge(plan: Plan, score: Score, tally: Tally) -> None:
    watch = tally.watch
    print(f"       {tally.at_dot} of {tally.kills} kills found letters at the dot", flush=True)
    score.check("kills", tally.kills, plan.kills)
    score.check("kills while letters flew", tally.at_dot >= plan.kills / (2 * plan.daemons), wanted=True)
    score.check(f"of {watch.polls} looks, sums that did not reconcile", watch.unreconciled)
    score.check("looks at an edition that was sent, with a letter alive", watch.early)
    score.check("processes that outlived a killed daemon", tally.orphans)
    score.check("ends of the last daemons", {life.process.returncode for life in tally.lives}, {0})


def _judge_rows(plan: Plan, score: Score, rows: list[dict[str, Any]], told: replay.Told) -> None:
    ends = {"accepted", "in_doubt", *(["refused"] if plan.faults else []), *(["expired"] * (plan.policy == "expire"))}
    score.check("letters in the ledger", len(rows), plan.letters)
    score.check("letters without a final state", sorted({row["state"] for row in rows} - ends), [])
    score.check("rows that their events do not lead to", told.differences[:5], [])
    score.at_most("attempts", max(row["attempts"] for row in rows), MAX_ATTEMPTS)
    if plan.policy == Policy.EXPIRE:
        score.check("doubts that did not expire", sum(row["state"] == "in_doubt" for row in rows))
    if plan.policy == Policy.RESEND:
        spent = {id_ for id_, story in told.stories.items() if story.doubts > MOST_DOUBTS or story.most >= MAX_ATTEMPTS}
        held_ = {row["id"] for row in rows if row["state"] == "in_doubt"}
        score.check("doubts that were not sent again", len(held_ - spent))


def _judge_doubts(plan: Plan, score: Score, doubts: list[int], kills: int, faults: int) -> None:
    words = f"times in doubt ({kills} kills x {plan.connections} connections"
    words += f" + {faults} faults from the body on)" if plan.faults else ")"
    score.at_most(words, sum(doubts), kills * plan.connections + faults)


def _uncertain(log: Path) -> int:
    """Count the relay's faults that can leave a letter in doubt."""
    written = log.with_name(log.name + ".faults").read_text(encoding="utf-8").splitlines()
    print(f"       {len(written)} faults of the relay", flush=True)
    return sum(line.split()[0] in UNCERTAIN for line in written)


class _Killer:
    """Keeps daemons running, ends them without warning, and lets the last ones finish."""

    def __init__(self, plan: Plan, place: Installation, edition: str, born_from: Nursery) -> None:
        self._plan, self._place, self._edition, self._nursery = plan, place, edition, born_from
        self._dice = random.Random(plan.seed)
        self._born = 0
        self._outliving: list[asyncio.Task[int]] = []
        """Looks whether anything outlives a daemon; they go on while the next one works."""

    async def run(self) -> tuple[Tally, replay.Told]:
        """Kill as planned, then wait for the end; return what was seen, and the events' story of each letter."""
        plan = self._plan
        async with self._place.kit() as kit:
            self._tally = tally = Tally(Watch(kit, self._edition))
            tally.lives = [self._start() for _ in range(plan.daemons)]
            try:
                while tally.kills < plan.kills and (flying := await self._until_flying(kit)):
                    await asyncio.sleep(self._dice.uniform(0, plan.longest))
                    await self._kill(kit, self._victims(flying))
                await self._until_over()
                await self._until_settled(kit)
                tally.orphans = sum(await asyncio.gather(*self._outliving))
            finally:
                for life in tally.lives:
                    if life.running:
                        os.kill(life.process.pid, signal.SIGKILL)
            return tally, await replay.read(kit)

    def _start(self) -> Life:
        self._born += 1
        log = self._place.home / f"daemon-{self._born}.log"
        return Life(self._nursery.start("--until-idle", log=log), log)

    async def _kill(self, kit: Kit, victims: list[int]) -> None:
        """End some daemons at once, count what they held at the dot, and start others in their place."""
        dead = [self._tally.lives[n] for n in victims]
        alive = [life for life in dead if life.running]
        for life in alive:
            os.kill(life.process.pid, signal.SIGKILL)
        for life in alive:
            life.process.wait()
            self._tally.kills += 1
            self._tally.at_dot += await held(kit, life.owner, State.OFFERED) > 0
        for n in victims:
            self._tally.lives[n] = self._start()
        await asyncio.sleep(LOOK)
        self._outliving += [asyncio.create_task(_outlived(life.process.pid)) for life in alive]

    def _victims(self, flying: list[int]) -> list[int]:
        """One of the daemons that had letters at the dot a moment ago, alone or with some of the others, or all."""
        several = self._dice.randint(1, min(self._plan.daemons, self._plan.kills - self._tally.kills))
        first = self._dice.choice(flying)
        others = [n for n in range(self._plan.daemons) if n != first]
        return [first, *self._dice.sample(others, several - 1)]

    async def _until_flying(self, kit: Kit) -> list[int]:
        """Wait until all daemons are at work and some have letters at the dot; none of them when letters have run out.

        Of few letters one daemon may hold all: to kill the other alone would show nothing.
        """
        lives = self._tally.lives
        flying: list[int] = []

        async def ready() -> bool:
            if not all(life.running for life in lives):
                return True
            working = [life.at_work for life in lives]  # of each, because it reads the name of those that have one
            flying[:] = [n for n, life in enumerate(lives) if await held(kit, life.owner, State.OFFERED)]
            return all(working) and bool(flying)

        await self._tally.watch.until(ready)
        return flying if all(life.running for life in lives) else []

    async def _until_over(self) -> None:
        async def over() -> bool:
            return not any(life.running for life in self._tally.lives)

        await self._tally.watch.until(over)

    async def _until_settled(self, kit: Kit) -> None:
        """Let the policy settle the last doubts: a daemon does so when it starts, once their time has come."""
        d = deliveries.c
        for _ in range(0 if self._plan.policy == Policy.HOLD else _LAST):
            async with kit.store.begin() as tx:
                doubts = (await tx.execute(select(d.id).where(d.state == State.IN_DOUBT))).all()
                if self._plan.policy == Policy.EXPIRE:
                    over = update(deliveries).where(d.state == State.IN_DOUBT)
                    await tx.execute(over.values(valid_until=kit.clock.now()))
            if not doubts:
                return
            self._tally.lives.append(self._start())
            await self._until_over()


_CRASHES: Final = {"letters": 10_000, "kills": 150}
TABLE: Final = (
    *(Plan(database=database, faults=faults, **_CRASHES) for database in DATABASES for faults in (0.0, 0.02)),
    *(Plan(database=database, daemons=n, faults=0.02, seed=n, **_CRASHES) for database in DATABASES for n in (2, 4)),
    *(Plan(database=database, policy="resend", faults=0.02, seed=5, **_CRASHES) for database in DATABASES),
    *(Plan(database=database, policy="expire", faults=0.02, seed=6, **_CRASHES) for database in DATABASES),
)
"""The crash table."""
PROOF: Final = (
    Plan(faults=0.02, **_CRASHES),
    Plan("postgresql", daemons=4, faults=0.02, seed=4, **_CRASHES),
    *(Plan(database, "resend", 2_000, 30, 2, 0.02, seed=5) for database in DATABASES),
    *(Plan(database, "expire", 1_000, 15, 1, 0.02, seed=6) for database in DATABASES),
)
"""As much of it as one has patience for every time."""


def print_table(outcomes: Sequence[Outcome]) -> None:
    """Print rows of the crash table as Markdown."""
    print("\n" + "\n".join([Outcome.heading(), *map(str, outcomes)]), flush=True)


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
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--database", choices=DATABASES, default="sqlite")
    options.add_argument("--policy", choices=[policy.value for policy in Policy], default="hold")
    options.add_argument("--faults", type=float, default=0.0)
    for name, default in (("letters", 10_000), ("kills", 20), ("daemons", 1), ("connections", 10), ("seed", 1)):
        options.add_argument(f"--{name}", type=int, default=default)
    options.add_argument("--table", action="store_true", help="run all the plans of the crash table")
    given = vars(options.parse_args())
    set_up_logs(level="critical")
    plans = TABLE if given.pop("table") else (Plan(**given),)
    score = Score()
    print_table([prove(plan, score) for plan in plans])
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
