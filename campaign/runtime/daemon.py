"""Keeps the verbs running: ticks by APScheduler, a bell for what cannot wait, and an end that loses nothing.

It knows when, never what: each tick calls one verb that may run twice, late, or in two daemons at once. The truth is
in SQL, so the scheduler's own store is memory, and nothing it forgets is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from typing import Any, Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from campaign.actions import alerting, campaigning, freezing, planning, recovering
from campaign.actions.kit import Kit
from campaign.actions.sending import sender
from campaign.logs import get_log
from campaign.store import agenda
from campaign.store.engine import DatabaseAway
from campaign.store.presence import presence

_log = get_log()
_QUIET: Final = timedelta(seconds=60)
"""`--until-idle` ends when nothing falls due within this time."""
_LOOK: Final = 0.5
_AGAIN: Final = 5.0
"""Seconds until a tick that found no database runs again, be it one that runs once an hour."""

Verb = Callable[[], Awaitable[object]]
Service = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
"""Something that runs beside the ticks until the event is set: the web server, the demo's travels."""


class Bell:
    """The doorbell of a daemon: whoever rings it lets the ticks that wait for post run at once."""

    def __init__(self) -> None:
        """Start silent."""
        self.listeners: list[asyncio.Event] = []

    def ring(self) -> None:
        """Wake every tick that listens."""
        for listener in self.listeners:
            listener.set()


@dataclass(slots=True)
class _Tick:
    """One verb, how often it runs by itself, and whether the bell wakes it."""

    name: str
    verb: Verb
    seconds: float
    rung: bool = False
    due: asyncio.Event = field(default_factory=asyncio.Event)
    rounds: int = 0

    async def knock(self) -> None:
        """Let the verb run; what APScheduler calls, as a coroutine so that it stays in this thread."""
        self.due.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Run the verb whenever it is due, one at a time, until stopped; an error waits for the next time."""
        while True:
            await self.due.wait()
            if stopping.is_set():
                return
            self.due.clear()
            try:
                await self.verb()
                self.rounds += 1
            except DatabaseAway as error:  # the store tells it once for all ticks
                _log.debug("tick_waits", tick=self.name, error=str(error))
                asyncio.get_running_loop().call_later(min(self.seconds, _AGAIN), self.due.set)
            except Exception as error:  # noqa: BLE001 -- the loop that must outlive a database that is away
                _log.exception("tick_failed", tick=self.name, error=str(error))


class Daemon:
    """One worker of an installation. Several may run on one database."""

    def __init__(self, kit: Kit, bell: Bell, stopping: asyncio.Event, services: Sequence[Service] = ()) -> None:
        """Work with `kit`, whose doorbell is `bell`, until `stopping` is set."""
        self._kit, self._bell, self._stopping, self._services = kit, bell, stopping, services
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    async def run(self, *, until_idle: bool = False) -> None:
        """Work until stopped, or until there is nothing to do.

        What is on the wire is finished, within the grace time.
        """
        kit, owner = self._kit, self._kit.clock.token(12)
        kit.store.outage.tell = _tell
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(presence(kit.store, owner))
            await recovering.recover(kit)
            post = await stack.enter_async_context(sender(kit, owner))

            async def drain() -> None:
                await post.drain(self._stopping)
                await freezing.start_due(kit)

            ticks = [
                _Tick("plan", lambda: planning.plan(kit), 3600),
                _Tick("freeze", lambda: freezing.freeze_due(kit), 1, rung=True),
                _Tick("start", lambda: freezing.start_due(kit), 1, rung=True),
                _Tick("drain", drain, 5, rung=True),
                _Tick("recover", lambda: recovering.recover(kit, owner), 30),
                _Tick("sweep", lambda: campaigning.sweep(kit), 60),
                _Tick("break", post.breakers.look_at_all, 30),
                _Tick("alert", lambda: alerting.look(kit), 30),
            ]
            _log.info("daemon_started", owner=owner)
            await self._work(ticks, until_idle=until_idle)
            back = await recovering.recover_owner(kit, owner)
            kit.store.outage.over()
            _log.info("daemon_stopped", owner=owner, released=back[0], in_doubt=back[1])

    async def _work(self, ticks: list[_Tick], *, until_idle: bool) -> None:
        for tick in ticks:
            self._scheduler.add_job(tick.knock, "interval", seconds=tick.seconds, id=tick.name)
            tick.due.set()
        self._bell.listeners = [tick.due for tick in ticks if tick.rung]
        running = [asyncio.create_task(tick.run(self._stopping), name=tick.name) for tick in ticks]
        beside = [asyncio.create_task(self._wake()), *(asyncio.create_task(s(self._stopping)) for s in self._services)]
        if until_idle:
            beside.append(asyncio.create_task(self._end_when_idle(ticks)))
        self._scheduler.start()
        try:
            await self._stopped(beside)
        finally:
            self._stopping.set()
            self._scheduler.shutdown(wait=False)
            for tick in ticks:
                tick.due.set()
            await _finish([*running, *beside], self._kit.settings.grace_seconds)

    async def _stopped(self, beside: Sequence[asyncio.Task[None]]) -> None:
        """Wait until somebody stops the daemon.

        A service that fails, such as a port that is taken, ends it with its error.
        """
        stop = asyncio.create_task(self._stopping.wait())
        waiting: set[asyncio.Task[Any]] = {stop, *beside}
        while not stop.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    async def _wake(self) -> None:
        """Ring the bell at the next due instant, so that a send starts within a second of its time.

        It looks again twice a second, so a clock that jumps and an edition planned by another process are noticed.
        """
        seen = self._kit.clock.now()
        while not self._stopping.is_set():
            now, wait = self._kit.clock.now(), _LOOK
            with suppress(Exception):  # the database is away: the interval ticks go on, and this looks again
                async with self._kit.store.read() as tx:
                    due = await agenda.next_instant(tx, min(seen, now))
                if due is not None and due <= now:
                    self._bell.ring()
                elif due is not None:
                    wait = min((due - now).total_seconds(), _LOOK)
                seen = now
            await asyncio.sleep(wait)

    async def _end_when_idle(self, ticks: list[_Tick]) -> None:
        """Stop as soon as every tick has run and nothing is at work, held or due soon."""
        while not self._stopping.is_set():
            await asyncio.sleep(_LOOK)
            if not all(tick.rounds for tick in ticks):
                continue
            with suppress(DatabaseAway):
                async with self._kit.store.read() as tx:
                    busy = await agenda.is_busy(tx, self._kit.clock.now(), within=_QUIET)
                if not busy:
                    self._stopping.set()


def _tell(what: str, words: str, remedy: str) -> None:
    """Say in the log that the database is away, that it keeps us waiting, or that it is back."""
    if what == "back":
        _log.warning("database_back", meaning=f"{words} Everything goes on.")
        return
    meaning = f"{words}. No letter is lost: all wait, and go on by themselves once it is back."
    _log.error(f"database_{what}", meaning=meaning, remedy=remedy)


async def _finish(tasks: Sequence[asyncio.Task[None]], grace: float) -> None:
    """Give tasks the grace time to end, then cancel them; what was at the dot stays in doubt."""
    _, late = await asyncio.wait(tasks, timeout=grace)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
