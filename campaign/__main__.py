"""`campaign` and `python -m campaign`: hands the command line over. It never does anything else."""

from __future__ import annotations

import atexit
import gc
import sys

_SELDOM = 20_000
"""New objects between two looks for garbage. Loading modules and reading people makes many and next to no garbage: with
the usual 700 both take a sixth longer. With ten times as many, what statements leave behind piles up to 70 MB."""


def run() -> None:
    """Run the command line and end the process with its status."""
    gc.set_threshold(_SELDOM)
    from campaign.cli import main  # noqa: PLC0415 -- what it loads is not looked through for garbage either

    atexit.register(gc.freeze)  # at its end a process would look through everything once more, for nothing
    sys.exit(main.run())


if __name__ == "__main__":
    run()
