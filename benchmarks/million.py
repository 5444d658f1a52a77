"""What a million letters in the ledger change for the daemon that sends them: its memory, its work for each, its start.

It sends some thousand letters at the beginning, in the middle and at the end of a ledger, and never all of them.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from sqlalchemy import func, select, update

from benchmarks.installation import Installation, cpu_seconds, peak, peak_together
from benchmarks.sink import Sink, sink
from campaign.domain.delivery import State
from campaign.store import waves
from campaign.store.schema.ledger import deliveries, delivery_events

SENT: Final = 5_000
"""Letters that are sent at each place of the ledger, after as many as it takes to warm up."""
_WARM: Final = 1_000
_LOOK: Final = 0.05
_STARTS: Final = 5


@dataclass(slots=True)
class Sending:
    """What sending out of one ledger took: CPU a letter by place, memory at most, seconds until it began anew."""

    microseconds: list[float] = field(default_factory=list)
    memory: float = 0.0
    together: float = 0.0
    """The daemon's megabytes at most; and those of the programs that it started, too."""
    starts: list[float] = field(default_factory=list)

    @property
    def ready(self) -> float:
        """Seconds from the start of a killed daemon's successor to its first claim, in the middle of several."""
        return statistics.median(self.starts)


def send(place: Installation, letters: int, *, places: int, starts: int = 0) -> Sending:
    """Send out of a frozen ledger of so many letters at some places, and kill and start the daemon some times."""
    found = Sending()
    with sink(keep=False) as relay:
        for number in range(places):
            asyncio.run(_pass_over(place, letters * number // places))
            _send_some(place, relay, found, min(SENT, letters // (2 * places)))
        for _ in range(starts):
            found.starts.append(_start_again(place, relay))
    return found


async def _pass_over(place: Installation, last: int) -> None:
    """Call all letters before a place accepted, without sending them."""
    async with place.kit() as kit:
        async with kit.store.begin() as tx:
            first = (await tx.execute(select(func.min(deliveries.c.id)))).scalar_one()
            waiting = deliveries.c.state == State.QUEUED, deliveries.c.id < first + last
            await tx.execute(update(deliveries).where(*waiting).values(state=State.ACCEPTED, last_code=250))
        await waves.look_over(kit.store)


def _send_some(place: Installation, relay: Sink, found: Sending, letters: int) -> None:
    with _daemon(place, relay) as running, _Events(place) as events:
        events.wait(min(_WARM, letters), running)
        before, cpu = events.count(), cpu_seconds(running.pid)
        events.wait(letters, running)
        found.microseconds.append(1e6 * (cpu_seconds(running.pid) - cpu) / (events.count() - before))
        found.memory = max(found.memory, peak(running.pid))
        found.together = max(found.together, peak_together(running.pid))


def _start_again(place: Installation, relay: Sink) -> float:
    """Kill a daemon that sends, and return how many seconds its successor took to its first claim."""
    with _Events(place) as events:
        with _daemon(place, relay) as running:
            events.wait(1, running)
        before, began = events.count(State.CLAIMED), time.monotonic()
        with _daemon(place, relay) as running:
            events.wait(1, running, State.CLAIMED, before)
            return time.monotonic() - began


@contextmanager
def _daemon(place: Installation, relay: Sink) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon, and kill it at the end of the block."""
    running = place.with_settings(smtp_url=relay.url).start()
    try:
        yield running
    finally:
        running.kill()
        running.wait()


class _Events:
    """What happened to letters, as it is counted by one connection that stays open."""

    def __init__(self, place: Installation) -> None:
        self._place = place
        self._runner = asyncio.Runner()
        self._kit = place.kit()

    def __enter__(self) -> Self:
        self._tools = self._runner.run(self._kit.__aenter__())
        return self

    def __exit__(self, *error: object) -> None:
        self._runner.run(self._kit.__aexit__(None, None, None))
        self._runner.close()

    def count(self, state: State = State.ACCEPTED) -> int:
        """Return how many letters came to a state."""
        return self._runner.run(self._count(state))

    def wait(
        self, more: int, running: subprocess.Popen[bytes], state: State = State.ACCEPTED, before: int | None = None
    ) -> None:
        """Wait until so many more did, and fail when the daemon ends first."""
        wanted = (self.count(state) if before is None else before) + more
        while self.count(state) < wanted:
            assert running.poll() is None, Path(self._place.home, "daemon.log").read_text("utf-8")[-2000:]
            time.sleep(_LOOK)

    async def _count(self, state: State) -> int:
        asked = select(func.count()).where(delivery_events.c.to_state == state)
        async with self._tools.store.read() as tx:
            return int((await tx.execute(asked)).scalar_one())
