"""Runs the benchmarks one after the other, or with `proof` the long scripts; the last line is the verdict.

`python -m benchmarks` and `python -m benchmarks proof`; each script may be run by itself, with options of its own.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks import import_kills, importing, kills, letters, scale, signing, year
from benchmarks.audit import Score
from benchmarks.installation import DATABASES


def bench(score: Score) -> None:
    """Measure what people wait for, where most of them are: on SQLite."""
    year.measure(score)
    letters.measure(score)
    importing.measure(score)
    scale.measure(score)


def proof(score: Score) -> None:
    """Kill daemons on both databases, one and two at a time, and measure on PostgreSQL what `bench` does on SQLite.

    Last, let others verify our signatures.
    """
    for database in DATABASES:
        for daemons in (1, 2):
            kills.prove(kills.Plan(database=database, daemons=daemons, seed=daemons), score)
        import_kills.prove(import_kills.Plan(database=database), score)
    year.measure(score, "postgresql")
    letters.measure(score, "postgresql")
    importing.measure(score, "postgresql")
    scale.measure(score, "postgresql")
    signing.measure(score)


def main() -> int:
    """Read what is asked for, and do it."""
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument("what", nargs="?", choices=("bench", "proof"), default="bench")
    score = Score()
    (proof if options.parse_args().what == "proof" else bench)(score)
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
