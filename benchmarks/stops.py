"""Stops one of several daemons where it stands, lets the others take its letters, and wakes it: it writes no dot then.

`python -m benchmarks.stops [--database sqlite|postgresql] [--daemons N] [--seed N]`

A daemon that is stopped (SIGSTOP: a frozen machine, a suspended laptop) lives for all that the others can see. Its
letters are theirs after half an hour, and in doubt after eleven minutes at the dot; the script sets the instants of
their last moves back, as if that time had passed. On PostgreSQL a second script cuts the sessions of daemons that work,
all of them or the one by which the others know that it lives: they take its letters while it still has them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import func, select, text, update

from benchmarks import replay
from benchmarks.audit import Score, compare, relay_log
from benchmarks.fault_relay import Chances
from benchmarks.installation import DATABASES, Installation, installation
from benchmarks.letters import prepare
from benchmarks.lives import LOOK, Life, Watch, fault_relay, held
from benchmarks.nursery import Nursery, nursery
from campaign.actions import recovering
from campaign.actions.kit import Kit
from campaign.domain.delivery import DOT_PATIENCE, LEASE, TOKEN_LIFE, State
from campaign.logs import set_up_logs
from campaign.store.schema.ledger import deliveries, delivery_events

_D: Final = deliveries.c
_E: Final = delivery_events.c
_HELD: Final = (State.CLAIMED, State.OFFERED)
_A_MINUTE: Final = timedelta(minutes=1)
_PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How many daemons share how many letters; `slow` is the longest time that a letter takes at the relay."""

    database: str = "sqlite"
    daemons: int = 2
    letters: int = 2_000
    connections: int = 5
    slow: float = 0.1
    cuts: int = 12
    patient: bool = True
    """Whether the stopped daemon sleeps until its tokens are too old; without that it may still use those it has."""
    seed: int = 1

    def __str__(self) -> str:
        """Say it in a line that can be repeated."""
        return f"{self.letters:,} letters, {self.daemons} daemons, {self.database}, seed {self.seed}"


@dataclass(slots=True)
class Scene:
    """Daemons at work on one edition."""

    plan: Plan
    place: Installation
    kit: Kit
    watch: Watch
    log: Path
    born_from: Nursery
    lives: list[Life]

    async def begin(self) -> None:
        """Have the daemons born, and wait until all of them are at work."""
        for number in range(self.plan.daemons):
            log = self.place.home / f"daemon-{number}.log"
            self.lives.append(Life(self.born_from.start("--until-idle", log=log), log))

        async def working() -> bool:
            return all(life.at_work for life in self.lives)

        await self.watch.until(working, patience=_PATIENCE)

    async def until_flying(self) -> Life:
        """Wait until some daemon holds letters at the dot, and others that it only claimed; return it.

        Any will do: of few letters the first who comes takes most, and the others may never hold enough.
        """
        found: list[Life] = []

        async def flying() -> bool:
            for life in self.lives:
                if life.running and all([await held(self.kit, life.owner, state) for state in _HELD]):
                    found.append(life)
                    return True
            return not any(life.running for life in self.lives)

        await self.watch.until(flying, patience=_PATIENCE)
        if not found:
            msg = "The letters ran out before any daemon could be stopped: take more of them, or a slower relay."
            raise AssertionError(msg)
        return found[0]

    async def until_any_flies(self) -> bool:
        """Wait until some daemon holds letters; False when a daemon has ended, because there are none left."""

        async def flies() -> bool:
            holding = [await held(self.kit, life.owner, *_HELD) for life in self.lives]
            return any(holding) or not all(life.running for life in self.lives)

        await self.watch.until(flies, patience=_PATIENCE)
        return all(life.running for life in self.lives)

    async def end(self, *lives: Life) -> None:
        """Wait until daemons have ended by themselves."""

        async def over() -> bool:
            return not any(life.running for life in lives)

        await self.watch.until(over, patience=_PATIENCE)

    def kill(self) -> None:
        """End what still runs, stopped or not."""
        for life in self.lives:
            if life.running:
                os.kill(life.process.pid, signal.SIGKILL)


def prove(plan: Plan, score: Score) -> None:
    """Stop one daemon, wake it when its letters are gone, and add the checks to `score`."""
    print(f"\nOne daemon stands still: {plan}", flush=True)
    asyncio.run(_played(plan, score, _stop_one))


def prove_cut(plan: Plan, score: Score) -> None:
    """Cut sessions of daemons that work, on PostgreSQL, and add the checks to `score`."""
    print(f"\n{plan.cuts} sessions are cut: {plan}", flush=True)
    asyncio.run(_played(plan, score, _cut_sessions))


async def _stop_one(scene: Scene, score: Score) -> None:
    kit = scene.kit
    victim, claimed, offered = await _stop(scene)
    stopped_at = time.monotonic()
    print(f"       stopped with {len(claimed)} letters claimed and {len(offered)} at the dot", flush=True)
    score.check("a minute before its time at the dot is over, letters taken from it", await _age(kit, victim, -1))
    score.check("a minute after it, letters in doubt", await _age(kit, victim, 1), len(offered))
    score.check("of these taken from it that were not at the dot", len(claimed - await _ids(kit, victim, *_HELD)))
    score.check("a minute after the lease, letters taken from it", await _age(kit, victim, lease=True), len(claimed))
    await scene.end(*(life for life in scene.lives if life is not victim))
    score.check("letters that it held and others have sent", len(claimed - await _in(kit, State.ACCEPTED)))
    if scene.plan.patient:
        await asyncio.sleep(stopped_at + TOKEN_LIFE.total_seconds() + LOOK - time.monotonic())
    taken, mark = relay_log(scene.log), await _last_event(kit)
    os.kill(victim.process.pid, signal.SIGCONT)
    await scene.end(victim)
    dots = {message_id for message_id, _ in relay_log(scene.log) - taken}
    unasked = len(dots - await _offered_since(kit, mark))
    score.at_most(
        "dots that it wrote when it woke, without a new token", unasked, 0 if scene.plan.patient else len(offered)
    )
    score.check("letters whose reply it heard then, and which are in doubt all the same", len(await _doubts(kit)))


async def _stop(scene: Scene) -> tuple[Life, set[int], set[int]]:
    """Stop a daemon that holds letters, between two of its transactions; return it, and what it claimed and offered.

    A process that is stopped inside a transaction keeps its locks: then everybody waits for it, and nothing is taken
    from it. That would show nothing here, so it may go on for a moment and is stopped anew.
    """
    while True:
        victim = await scene.until_flying()
        os.kill(victim.process.pid, signal.SIGSTOP)
        await asyncio.sleep(LOOK)  # what it has asked the database for is done by then
        if await _is_free(scene.kit, victim):
            claimed, offered = [await _ids(scene.kit, victim, state) for state in _HELD]
            if claimed and offered:
                return victim, claimed, offered
        os.kill(victim.process.pid, signal.SIGCONT)
        await asyncio.sleep(LOOK)


async def _is_free(kit: Kit, stopped: Life) -> bool:
    """Say whether a stopped daemon has no transaction open: on PostgreSQL by its sessions, else by the file's lock."""
    if kit.store.file is not None:
        try:
            await asyncio.to_thread(_lock_once, kit.store.file)
        except sqlite3.OperationalError:
            return False
        return True
    async with kit.store.read() as tx:
        found = await tx.execute(text(_BUSY), {"name": stopped.log.stem})
        return not found.scalar_one()


def _lock_once(file: Path) -> None:
    """Write nothing, as soon as the file is free; raise when it is not within a second, in which others write often."""
    with closing(sqlite3.connect(file, timeout=1, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


async def _age(kit: Kit, owner: Life, minutes: int = 0, *, lease: bool = False) -> int:
    """Let the letters of an owner grow as old as the patience at the dot and so many minutes, or as the lease.

    Then recover, as each daemon does twice a minute; return how many letters were taken from it.
    """
    age = LEASE + _A_MINUTE if lease else DOT_PATIENCE + minutes * _A_MINUTE
    mine = (_D.owner == owner.owner, _D.state.in_(_HELD))
    before = len(await _ids(kit, owner, *_HELD))
    async with kit.store.begin() as tx:
        await tx.execute(update(deliveries).where(*mine).values(moved_at=kit.clock.now() - age))
    await recovering.recover(kit)
    return before - len(await _ids(kit, owner, *_HELD))


async def _ids(kit: Kit, owner: Life, *states: State) -> set[int]:
    async with kit.store.read() as tx:
        found = await tx.execute(select(_D.id).where(_D.owner == owner.owner, _D.state.in_(states)))
        return set(found.scalars())


async def _in(kit: Kit, state: State) -> set[int]:
    async with kit.store.read() as tx:
        return set((await tx.execute(select(_D.id).where(_D.state == state))).scalars())


async def _last_event(kit: Kit) -> int:
    async with kit.store.read() as tx:
        return int((await tx.execute(select(func.max(_E.id)))).scalar_one())


async def _offered_since(kit: Kit, event: int) -> set[str]:
    """Return the Message-IDs of letters that were granted a token after some event."""
    found = select(_D.message_id).join(delivery_events, _E.delivery_id == _D.id)
    async with kit.store.read() as tx:
        return set((await tx.execute(found.where(_E.id > event, _E.to_state == State.OFFERED))).scalars())


async def _doubts(kit: Kit) -> set[int]:
    return await _in(kit, State.IN_DOUBT)


_BUSY: Final = "SELECT count(*) FROM pg_stat_activity WHERE application_name = :name AND state <> 'idle'"
_PRESENCE: Final = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 1331121746 AND granted"
"""The sessions that hold the locks of owners (class "OWNR", see `store.presence`)."""
_OTHERS: Final = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


async def _cut_sessions(scene: Scene, score: Score) -> None:
    """Cut all sessions of the daemons, then twice those that say who lives, and so on; recover at once."""
    dice, cut, taken = random.Random(scene.plan.seed), 0, 0
    for number in range(scene.plan.cuts):
        await asyncio.sleep(dice.uniform(0.05, 0.4))
        if not await scene.until_any_flies():
            break
        async with scene.kit.store.begin() as tx:
            which = _PRESENCE if number % 3 else _OTHERS
            found = await tx.execute(text(f"SELECT pg_terminate_backend(pid) FROM ({which}) AS sessions"))
            cut += len(found.all())
        await asyncio.sleep(LOOK)  # a session ends a moment after it was told to
        taken += sum(await recovering.recover(scene.kit))
    print(f"       {cut} sessions cut, {taken} letters taken from daemons that lived", flush=True)
    await scene.end(*scene.lives)
    score.at_least("sessions cut", cut, scene.plan.cuts)
    score.check("letters taken from daemons that lived", taken > 0, wanted=True)
    score.check("letters whose reply was heard, and which are in doubt all the same", len(await _doubts(scene.kit)))


async def _played(plan: Plan, score: Score, play: Callable[[Scene, Score], Awaitable[None]]) -> None:
    async with _scene(plan) as (scene, edition):
        await play(scene, score)
        watch, told = scene.watch, await replay.read(scene.kit)
        failed = [life for life in scene.lives if life.process.returncode]
        score.check("daemons that ended with an error", len(failed))
        for life in failed:
            print(life.log.read_text(encoding="utf-8")[-4000:])
        score.check(f"of {watch.polls} looks, sums that did not reconcile", watch.unreconciled)
        score.check("looks at an edition that was sent, with a letter alive", watch.early)
        score.check("rows that their events do not lead to", told.differences[:5], [])
        rows = await asyncio.to_thread(scene.place.rows, "deliveries", "list", edition)
        score.check("letters that are not accepted", sum(row["state"] != "accepted" for row in rows))
        compare(score, rows, relay_log(scene.log))


@asynccontextmanager
async def _scene(plan: Plan) -> AsyncIterator[tuple[Scene, str]]:
    with ExitStack() as stack:
        made = stack.enter_context(installation(plan.database, {"connections": plan.connections}))
        log = made.home / "relay.log"
        url = stack.enter_context(fault_relay(log, Chances(slow=plan.slow, seed=plan.seed)))
        place = made.with_settings(smtp_url=url)
        edition = await asyncio.to_thread(prepare, place, plan.letters)
        born_from = stack.enter_context(nursery(place))
        async with place.kit() as kit:
            scene = Scene(plan, place, kit, Watch(kit, edition), log, born_from, [])
            try:
                await scene.begin()
                yield scene, edition
            finally:
                scene.kill()


def main() -> int:
    """Read the options and try."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--database", choices=DATABASES)
    options.add_argument("--daemons", type=int)
    options.add_argument("--cut", action="store_true", help="only cut sessions, on PostgreSQL")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    set_up_logs(level="critical")
    score = Score()
    if given.cut:
        prove_cut(Plan("postgresql", given.daemons or 4, letters=1_000 * (given.daemons or 4), seed=given.seed), score)
        return score.end()
    for database in (given.database,) if given.database else DATABASES:
        for daemons in (given.daemons,) if given.daemons else (2, 4):
            plan = Plan(database, daemons, letters=1_000 * daemons, seed=given.seed)
            prove(plan, score)
            if database == "postgresql":
                prove_cut(plan, score)
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
