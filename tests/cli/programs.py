"""Runs `campaign` as a person does: as a program of its own, with or without a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import AnyStr, Final

ROOT: Final = Path(__file__).resolve().parents[2]
_FOREIGN: Final = frozenset({"PYTHONDONTWRITEBYTECODE", "EDITOR", "VISUAL", "COLUMNS"})
_CACHE: Final = str(Path(tempfile.gettempdir()) / "campaign-tests-bytecode")
"""A test starts the program a dozen times; compiled once, it starts in half the time."""


def environment(**more: str) -> dict[str, str]:
    """The environment of the program: what Python needs, and nothing of the developer's."""
    kept = {
        name: value for name, value in os.environ.items() if name not in _FOREIGN and not name.startswith("CAMPAIGN_")
    }
    ours = {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": _CACHE, "PYTHONFAULTHANDLER": "1", "NO_COLOR": "1"}
    return {**kept, **ours, **more}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "campaign", *words]


class Started(subprocess.Popen[AnyStr]):
    """A program for the length of a block. Where the block fails it is ended, and says on its stderr where it stood.

    Without that, a block that a program keeps waiting fails at its time-out, and then waits for the program.
    """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self.poll() is None:
            self.send_signal(signal.SIGABRT)
            with suppress(subprocess.TimeoutExpired):
                self.wait(5)
            self.kill()
            if self.stderr is not None:
                os.set_blocking(self.stderr.fileno(), False)
                said = getattr(self.stderr, "buffer", self.stderr).read()  # None where it said nothing
                print((said or b"").decode(errors="replace"))
        super().__exit__(kind, error, trace)


def campaign(*words: str, home: Path, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a pipe."""
    return subprocess.run(
        command(*words),
        cwd=home,
        env=environment(**more),
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def on_a_terminal(*words: str, home: Path, columns: int) -> str:
    """Run a command on a terminal of that width, and return what it shows."""
    ours, theirs = pty.openpty()
    with Started(
        command(*words), cwd=home, env=environment(COLUMNS=str(columns), TERM="xterm"), stdin=theirs, stdout=theirs
    ) as running:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            shown += piece
        running.wait(60)
    os.close(ours)
    return shown.decode()


def watched_until(word: str, *words: str, home: Path, columns: int = 100, rows: int = 40) -> str:
    """Run a command on a terminal of that size until it shows a word, end it by Ctrl-C, and return all it showed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    with Started(
        command(*words), cwd=home, env=environment(TERM="xterm"), stdin=theirs, stdout=theirs, stderr=theirs
    ) as running:
        os.close(theirs)
        shown, deadline = b"", time.monotonic() + 30
        with suppress(OSError):  # the other end is closed
            while piece := os.read(ours, 65536):
                shown += piece
                if word.encode() in shown or time.monotonic() > deadline:
                    running.send_signal(signal.SIGINT)
        running.wait(30)
    os.close(ours)
    return shown.decode()
