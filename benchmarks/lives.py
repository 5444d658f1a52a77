"""Daemons that are born and die, and what is seen of their letters meanwhile. It never touches a letter itself.

Waits are the exception: `let_waits_end` does to them what time does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Final

from sqlalchemy import func, select, update

from benchmarks.fault_relay import Chances
from benchmarks.installation import ROOT
from benchmarks.nursery import Born
from campaign.actions import reporting
from campaign.actions.kit import Kit
from campaign.domain.delivery import State
from campaign.domain.editions import EditionState
from campaign.store.schema.ledger import deliveries, relays

LOOK: Final = 0.05
_PATIENCE: Final = 120.0
_OFTEN: Final = 0.25
"""Seconds between two ends of all waits."""


@dataclass(slots=True)
class Life:
    """One process of the daemon, and the name under which it holds letters."""

    process: Born
    log: Path
    owner: str = ""

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    @property
    def at_work(self) -> bool:
        """Whether it has said its name, which it does when it begins to work; read from its log once it is there."""
        if not self.owner and self.log.exists():
            for line in self.log.read_text(encoding="utf-8").splitlines():
                if '"daemon_started"' in line:
                    self.owner = json.loads(line)["owner"]
        return bool(self.owner)


@dataclass(slots=True)
class Watch:
    """What was seen of an edition's letters while daemons worked; each look is one consistent one."""

    kit: Kit
    edition: str
    polls: int = 0
    unreconciled: int = 0
    early: int = 0
    """Looks that found the edition sent, and a letter alive (invariant I6)."""
    _eased: float = field(default=0.0, init=False)

    async def until(self, condition: Callable[[], Awaitable[bool]], *, patience: float = _PATIENCE) -> None:
        """Wait, and look at the letters meanwhile; no wait of theirs or of the relay is waited for."""
        deadline = time.monotonic() + patience
        while not await condition():
            await self.look()
            if time.monotonic() - self._eased > _OFTEN:
                await let_waits_end(self.kit)
                self._eased = time.monotonic()
            if time.monotonic() > deadline:
                msg = "Nothing happened for too long."
                raise TimeoutError(msg)
            await asyncio.sleep(LOOK)

    async def look(self) -> None:
        """Count the letters once."""
        [count] = await reporting.counts(self.kit, self.edition)
        self.polls += 1
        self.unreconciled += not count.reconciled
        self.early += count.edition.state is EditionState.SENT and count.live > 0

    async def is_sent(self) -> bool:
        """Say whether the edition is sent."""
        [count] = await reporting.counts(self.kit, self.edition)
        return count.edition.state is EditionState.SENT


async def let_waits_end(kit: Kit) -> None:
    """Make due what waits for a later try, and let no relay rest any longer: what minutes and hours would do.

    It moves no letter: a daemon finds them as they would stand when their time has come.
    """
    d, r, now = deliveries.c, relays.c, kit.clock.now()
    async with kit.store.begin() as tx:
        await tx.execute(update(deliveries).where(d.state == State.QUEUED, d.due_at > now).values(due_at=now))
        await tx.execute(update(relays).where(r.paused_until > now).values(paused_until=now))


async def held(kit: Kit, owner: str, *states: State) -> int:
    """Count the letters that an owner holds in some states."""
    d = deliveries.c
    async with kit.store.read() as tx:
        found = select(func.count()).where(d.owner == owner, d.state.in_(states))
        return int((await tx.execute(found)).scalar_one())


@contextmanager
def fault_relay(log: Path, chances: Chances) -> Iterator[str]:
    """Run the fault relay in a process of its own; give its URL."""
    line = [sys.executable, "-m", "benchmarks.fault_relay", "--log", str(log)]
    line += ["--slow", str(chances.slow), "--faults", str(chances.faults), "--seed", str(chances.seed)]
    with Popen(line, cwd=ROOT, stdin=PIPE, stdout=PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        try:
            yield f"smtp://127.0.0.1:{int(running.stdout.readline())}?tls=none"
        finally:
            running.stdin.close()
