"""What fault scripts share: a slow relay in a process of its own, a daemon that is watched, and the truth about both.

It breaks nothing by itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from benchmarks.audit import relay_log
from benchmarks.installation import ROOT, Installation
from campaign.actions.kit import Kit
from campaign.domain.delivery import State
from campaign.store.schema.ledger import deliveries

PATIENCE: Final = 180.0
"""Seconds after which a daemon that does not end is called stuck."""
_LOOK: Final = 0.05
_AT_THE_DOT: Final = frozenset({State.OFFERED, State.ACCEPTED, State.IN_DOUBT})


@contextmanager
def slow_relay(log: Path, slow: float, seed: int) -> Iterator[str]:
    """Run the fault relay until the end of the block; give its URL."""
    line = [sys.executable, "-m", "benchmarks.fault_relay", "--log", str(log)]
    line += ["--slow", str(slow), "--seed", str(seed)]
    with subprocess.Popen(line, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        try:
            yield f"smtp://127.0.0.1:{int(running.stdout.readline())}?tls=none"
        finally:
            running.stdin.close()


@dataclass(slots=True)
class Scene:
    """One installation at work: its relay's log, its daemon and the daemon's log."""

    place: Installation
    relay: Path
    daemon: subprocess.Popen[bytes]
    log: Path

    def taken(self) -> int:
        """Count the letters that the relay has taken."""
        return relay_log(self.relay).total()

    def said(self) -> list[dict[str, Any]]:
        """Read what the daemon wrote into its log."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def actions(self) -> list[str]:
        """Give the names of what the daemon did, in order."""
        return [line["action"] for line in self.said()]

    def until_taken(self, count: int) -> None:
        """Wait until the relay has taken so many letters."""
        self.until(lambda: self.taken() >= count)

    def until_over(self) -> int:
        """Wait until the daemon ends; return its exit status."""
        self.until(lambda: self.daemon.poll() is not None)
        status: int = self.daemon.returncode
        return status

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition; raise TimeoutError with the end of the log when it does not come."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(self.log.read_text(encoding="utf-8")[-4000:])
            time.sleep(_LOOK)


@contextmanager
def scene(place: Installation, relay: Path, *words: str, code: str | None = None) -> Iterator[Scene]:
    """Start a daemon; it is ended at the end of the block, whatever happened. `code` is what to run in its place."""
    log = place.home / "daemon.log"
    made = Scene(place, relay, _other(place, code, log) if code else place.start(*words, log=log), log)
    try:
        yield made
    finally:
        if made.daemon.poll() is None:
            made.daemon.kill()
        made.daemon.wait()


async def without_token(kit: Kit, relay: Path) -> int:
    """Count letters that the relay has taken and for which the ledger has no token: there must never be one.

    The relay is asked first, so that what it takes meanwhile is not held against the ledger.
    """
    taken = {message_id for message_id, _ in relay_log(relay)}
    async with kit.store.read() as tx:
        found = await tx.execute(select(deliveries.c.message_id, deliveries.c.state))
        known = {row[0] for row in found if row[1] in _AT_THE_DOT}
    return len(taken - known)


def _other(place: Installation, code: str, log: Path) -> subprocess.Popen[bytes]:
    """Run a daemon that is broken on purpose: `code` breaks it, and runs it."""
    with log.open("ab") as written:
        return subprocess.Popen(
            [sys.executable, "-c", code, "run", "--no-web"],
            env=place.environment,
            cwd=place.home,
            stdout=written,
            stderr=written,
            start_new_session=True,
        )
