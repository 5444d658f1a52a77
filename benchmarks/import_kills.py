"""Kills imports and undos at random moments, again and again: the same command then ends in the same state.

`python -m benchmarks.import_kills [--database sqlite|postgresql] [--rows N] [--kills N] [--seed N]`
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Final

from benchmarks.audit import Score
from benchmarks.importing import write_people
from benchmarks.installation import DATABASES, Installation, installation
from campaign.actions import finding, undoing
from campaign.store.imports import State

_CONSENT: Final = "I want your letters, form of the fair, 2027-01-11"
_EARLIEST: Final = 0.3
"""Seconds: before that, Python loads its libraries."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How often to kill, and with how many rows."""

    database: str = "sqlite"
    rows: int = 20_000
    kills: int = 50
    longest: float = 2.5
    """Seconds after which a command is killed at the latest; one that ended before counts as no kill."""
    seed: int = 1


def prove(plan: Plan, score: Score) -> None:
    """Import and undo in turn, killed at random, and compare with a run that nobody disturbed."""
    chance = random.Random(plan.seed)
    with installation(plan.database) as place:
        path = place.home / "people.csv"
        write_people(path, plan.rows)
        for slug in ("whole", "killed"):
            place.command("lists", "add", slug)
        bring = ["subscribers", "import", "people.csv", "--consent", _CONSENT, "--yes", "--list"]
        place.command(*bring, "whole")
        expected = _people(place, "whole")
        place.command("imports", "undo", "1", "--yes")
        score.check("people after an undo that nobody disturbed", len(_rows(place, "whole")))
        kills = rounds = wrong = 0
        while kills < plan.kills:
            rounds += 1
            kills += _until_done(place, [*bring, "killed"], chance, plan)
            wrong += _people(place, "killed") != expected
            for import_id in _to_undo(
                place
            ):  # killed after its last row, an import is done, and the same again a new one
                kills += _until_done(place, ["imports", "undo", str(import_id), "--yes"], chance, plan)
            wrong += bool(_rows(place, "killed")) + bool(_to_undo(place))
        print(f"       {kills} kills in {rounds} rounds of {plan.rows:,} rows, {plan.database}", flush=True)
        score.check("rounds that ended otherwise than undisturbed", wrong)
        score.check("differences of the schema", place.command("db", "check").count("differs"))


def _until_done(place: Installation, words: list[str], chance: random.Random, plan: Plan) -> int:
    """Run a command, killing it at random moments, until one run ends by itself; return how many were killed."""
    kills = 0
    line = [sys.executable, "-m", "campaign", *words]
    while True:
        with subprocess.Popen(
            line, env=place.environment, cwd=place.home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as running:
            patience = chance.uniform(_EARLIEST, plan.longest) if kills < plan.kills else None
            try:
                said, _ = running.communicate(timeout=patience)
            except subprocess.TimeoutExpired:
                running.send_signal(signal.SIGKILL)
                running.communicate()
                kills += 1
                time.sleep(0.05)
                continue
        assert running.returncode == 0, said.decode()
        return kills


def _to_undo(place: Installation) -> list[int]:
    """Return the ids of imports that are not undone, newest first."""

    async def look() -> list[int]:
        async with place.kit() as kit:
            return [one.id for one in await undoing.every(kit) if one.state is not State.UNDONE]

    return asyncio.run(look())


def _rows(place: Installation, slug: str) -> list[dict[str, object]]:
    async def look() -> list[dict[str, object]]:
        async with place.kit() as kit:
            return [dataclasses.asdict(row) async for row in finding.rows(kit, slug)]

    return asyncio.run(look())


def _people(place: Installation, slug: str) -> str:
    """Return a digest of everybody on a list, whatever the order in which they came."""
    rows = sorted(json.dumps({**row, "list": ""}, sort_keys=True) for row in _rows(place, slug))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def main() -> int:
    """Read the options and prove."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database", choices=DATABASES, default="sqlite")
    options.add_argument("--rows", type=int, default=20_000)
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--seed", type=int, default=1)
    score = Score()
    prove(Plan(**vars(options.parse_args())), score)
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
