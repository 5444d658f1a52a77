"""Runs the benchmarks one after the other, or with `proof` the long scripts; the last line is the verdict.

Before it stands a table: every figure that was held to a promise, and the script that measured it.

`python -m benchmarks` and `python -m benchmarks proof`; each script may be run by itself, with options of its own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Final

from benchmarks import (
    database_faults,
    import_kills,
    importing,
    kills,
    ledger_stories,
    letters,
    pace,
    peers,
    races,
    round_trips,
    scale,
    signing,
    stops,
    wire,
    wire_faults,
    year,
)
from benchmarks.audit import Score
from benchmarks.installation import DATABASES
from campaign.logs import set_up_logs

_SIGNED: Final = 15_000
"""Letters for each turn of the rows with a signature: signing is slow, and every letter costs the same."""


def bench(score: Score) -> None:
    """Measure what people wait for, where most of them are: on SQLite."""
    steps: dict[str, list[Callable[[], None]]] = {
        "year": [lambda: year.measure(score)],
        "letters": [lambda: letters.measure(score)],
        "importing": [lambda: importing.measure(score)],
        "scale": [lambda: scale.measure(score)],
        "wire": [
            lambda: wire.measure(score),
            lambda: wire.measure(score, wire.Order(letters=_SIGNED, connections=(20,), dkim="rsa")),
            lambda: wire.measure(score, wire.Order(letters=_SIGNED, connections=(20,), dkim="ed25519")),
        ],
        "pace": [lambda: pace.measure(score)],
        "peers": [lambda: peers.measure(score)],
        "round_trips": [lambda: round_trips.measure(score)],
    }
    for script, measures in steps.items():
        score.script = f"benchmarks.{script}"
        for measure in measures:
            measure()
    score.show()


def proof(score: Score) -> None:
    """Kill, cut, stop, mislead and race daemons, and take both databases away; measure on PostgreSQL as on SQLite.

    Last, let others verify our signatures.
    """
    kills.print_table([kills.prove(plan, score) for plan in kills.PROOF])
    for database in DATABASES:
        wire_faults.prove(score, database)
        stops.prove(stops.Plan(database, daemons=4, letters=4_000), score)
        import_kills.prove(import_kills.Plan(database=database), score)
        database_faults.prove(database_faults.Plan(database=database), score)
        races.prove(races.Plan(database=database), score)
        ledger_stories.prove(ledger_stories.Plan(database, 2_000 if database == "sqlite" else 300), score)
    stops.prove_cut(stops.Plan("postgresql"), score)
    year.measure(score, "postgresql")
    letters.measure(score, "postgresql")
    importing.measure(score, "postgresql")
    scale.measure(score, "postgresql")
    signing.measure(score)
    pace.measure(score, "postgresql")


def main() -> int:
    """Read what is asked for, and do it."""
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument("what", nargs="?", choices=("bench", "proof"), default="bench")
    set_up_logs(level="critical")
    score = Score()
    (proof if options.parse_args().what == "proof" else bench)(score)
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
