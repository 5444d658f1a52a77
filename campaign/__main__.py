"""`campaign` and `python -m campaign`: hands the command line over. It never does anything else."""

from __future__ import annotations

import atexit
import gc
import sys

from campaign.cli import main

_SELDOM = 50_000
"""New objects between two looks for garbage: loading modules makes none, and is slower with the usual 700."""


def run() -> None:
    """Run the command line and end the process with its status."""
    gc.set_threshold(_SELDOM)
    atexit.register(gc.freeze)  # at its end a process would look through everything once more, for nothing
    sys.exit(main.run())


if __name__ == "__main__":
    run()
