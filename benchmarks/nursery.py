"""Bears daemons quickly: a process that loads the program once, and forks for each life that is asked of it.

What is forked does what `campaign run` does, with all that a life opens for itself: settings, database, locks, sockets.
Only loading the modules, a second of every start, is done beforehand. It kills nobody.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.installation import Installation

_LOADED: Final = (
    "campaign.bootstrap",
    "campaign.actions.guarding",
    "campaign.actions.journaling",
    "campaign.cli.daemon",
    "campaign.cli.main",
    "campaign.mail.smtp",
    "campaign.runtime.daemon",
    "aiosqlite",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
)
_RUN: Final = ("run", "--no-web")
_GLANCE: Final = 0.005


class Nursery:
    """The forking process, seen from outside."""

    def __init__(self, running: subprocess.Popen[bytes]) -> None:
        """Speak with one that runs."""
        self._running = running

    def start(self, *words: str, log: Path) -> Born:
        """Have a daemon born in a process group of its own, that writes its log into `log`."""
        return Born(self._ask({"words": [*_RUN, *words], "log": str(log)}), self)

    def ended(self, pid: int) -> int | None:
        """Return how a daemon ended, or None while it lives; it may be asked for until it has ended."""
        status: int | None = self._ask({"ended": pid})
        return None if status is None else os.waitstatus_to_exitcode(status)

    def _ask(self, asked: dict[str, Any]) -> Any:
        assert self._running.stdin is not None
        assert self._running.stdout is not None
        self._running.stdin.write(json.dumps(asked).encode() + b"\n")
        self._running.stdin.flush()
        return json.loads(self._running.stdout.readline())


@dataclass(slots=True)
class Born:
    """One life; it is asked about as a `subprocess.Popen` is."""

    pid: int
    _nursery: Nursery
    returncode: int | None = field(default=None, init=False)

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while it lives."""
        if self.returncode is None:
            self.returncode = self._nursery.ended(self.pid)
        return self.returncode

    def wait(self) -> int:
        """Return the exit status once it has ended."""
        while (status := self.poll()) is None:
            time.sleep(_GLANCE)
        return status


@contextmanager
def nursery(place: Installation) -> Iterator[Nursery]:
    """Run a nursery for the daemons of one installation until the end of the block."""
    line = [sys.executable, "-m", "benchmarks.nursery"]
    with subprocess.Popen(
        line, env=place.environment, cwd=place.home, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdin is not None
        try:
            yield Nursery(running)
        finally:
            running.stdin.close()


def _bear(words: Sequence[str], log: str) -> int:
    """Fork; return the child's number. The child runs the command line and never comes back."""
    if pid := os.fork():
        return pid
    os.setsid()
    os.environ["PGAPPNAME"] = Path(log).stem  # so that PostgreSQL can tell whose session is whose
    written, nothing = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), os.open(os.devnull, os.O_RDONLY)
    for ours, theirs in ((nothing, 0), (written, 1), (written, 2)):
        os.dup2(ours, theirs)
    from campaign.cli import main as command_line  # noqa: PLC0415 -- loaded long ago

    status = 70
    try:
        status = command_line.run(list(words))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _ended(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return status if found else None


def main() -> None:
    """Load, then answer line by line until nobody asks any more."""
    for module in _LOADED:
        importlib.import_module(module)
    gc.freeze()
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        answer = _ended(asked["ended"]) if "ended" in asked else _bear(asked["words"], asked["log"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
