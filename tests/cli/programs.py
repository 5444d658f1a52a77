"""Runs `campaign` as a person does: as a program of its own, with or without a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
_FOREIGN: Final = frozenset({"PYTHONDONTWRITEBYTECODE", "EDITOR", "VISUAL", "COLUMNS"})
_CACHE: Final = str(Path(tempfile.gettempdir()) / "campaign-tests-bytecode")
"""A test starts the program a dozen times; compiled once, it starts in half the time."""


def environment(**more: str) -> dict[str, str]:
    """The environment of the program: what Python needs, and nothing of the developer's."""
    kept = {
        name: value for name, value in os.environ.items() if name not in _FOREIGN and not name.startswith("CAMPAIGN_")
    }
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": _CACHE, "NO_COLOR": "1", **more}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "campaign", *words]


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
    with subprocess.Popen(
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
