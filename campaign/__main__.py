"""`campaign` and `python -m campaign`: hands the command line over. It never does anything else."""

from __future__ import annotations

import sys

from campaign.cli import main


def run() -> None:
    """Run the command line and end the process with its status."""
    sys.exit(main.run())


if __name__ == "__main__":
    run()
