"""Imports a made-up million into a fresh home, twice, and takes it back: rows a second, memory, ratio to reading CSV.

`python -m benchmarks.importing [--database sqlite|postgresql] [--rows N]`
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import sys
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.audit import Score
from benchmarks.installation import DATABASES, Cost, Installation, installation
from campaign.actions import finding, segmenting

ROWS: Final = 1_000_000
_REPEATED: Final = 40
"""One row in so many names a mailbox again."""
_ENOUGH: Final = {"sqlite": 15_000, "postgresql": 15_000}
"""Rows a second at least."""
_MEMORY: Final = 200.0
_UNDO: Final = 60.0
"""Seconds at most to take a million people back."""
_FIND: Final = 20.0
"""Milliseconds at most to find somebody by their address."""
_SEGMENT: Final = 1.0
_START: Final = 0.6
_RULE: Final = 'country = "US" and language in ("en", "es") and not list "nobody"'
_CONSENT: Final = "I want your letters, form of the fair, 2027-01-11"
_PLACES: Final = ("US,en,America/New_York", "GB,en,Europe/London", "BR,pt-BR,America/Sao_Paulo")


def write_people(path: Path, rows: int) -> None:
    """Write a file of nameless people in three countries and five hundred domains."""
    with path.open("w", encoding="utf-8") as file:
        file.write("email,name,country,language,timezone\n")
        for n in range(rows):
            who = n if n % _REPEATED else max(n - 500, 0)
            file.write(f"reader-{who}@example{who % 500}.org,Reader {n},{_PLACES[n % 3]}\n")


def reading_alone(path: Path) -> float:
    """Return how long the standard library's CSV reader takes for the file, doing nothing with it."""
    began = time.monotonic()
    with path.open(encoding="utf-8", newline="") as file:
        assert sum(1 for _ in csv.reader(file)) > 1
    return time.monotonic() - began


def measure(score: Score, database: str = "sqlite", rows: int = ROWS) -> None:
    """Import, import again, and print."""
    with installation(database) as place:
        path = place.home / "people.csv"
        write_people(path, rows)
        print(f"\nImport of {rows:,} rows, {path.stat().st_size / 2**20:.0f} MB, {database}", flush=True)
        place.command("lists", "add", "everybody")
        place.command("lists", "add", "nobody")
        alone = reading_alone(path)
        repeated = len(range(_REPEATED, rows, _REPEATED))
        first, found = _import(place, path)
        score.check("added and repeated", [found["added"], found["duplicates"]], [rows - repeated, repeated])
        score.at_least("rows a second", rows / first.seconds, _ENOUGH[database])
        score.at_most("MB of memory", first.memory, _MEMORY)
        print(f"       {1e6 * first.cpu / rows:,.0f} us of CPU a row; reading the CSV alone takes a", end=" ")
        print(f"{first.seconds / alone:,.0f}th of the time", flush=True)
        again, found = _import(place, path)
        score.check("changed by the second import", found["added"] + found["changed"] + found["refused"])
        score.at_most("MB of memory, the second time", again.memory, _MEMORY)
        print(f"       the second import: {rows / again.seconds:,.0f} rows/s", flush=True)
        _look(score, place, rows)
        undone = place.measured("imports", "undo", "1", "--yes")
        score.at_most("seconds of the undo", undone.seconds, _UNDO * max(rows / ROWS, 0.05))
        score.at_most("MB of memory of the undo", undone.memory, _MEMORY)
        people = json.loads(place.command("lists", "show", "everybody", "--json"))
        score.check("people after the undo", people["active"])


def _look(score: Score, place: Installation, rows: int) -> None:
    """Look people up and count them while the list is full, in this process; and start a command."""
    times = asyncio.run(_looking(place, rows))
    score.at_most("ms to find somebody by address, the slowest of 50", 1000 * times.find, _FIND)
    score.at_most(f"s to count the {times.count:,} people of a segment", times.segment, _SEGMENT)
    began = time.monotonic()
    place.command("subscribers", "--help")
    score.at_most("s until a command has started", time.monotonic() - began, _START)


class _Times(NamedTuple):
    """Seconds of the slowest look for a person and of a count, and how many people it counted."""

    find: float
    segment: float
    count: int


async def _looking(place: Installation, rows: int) -> _Times:
    async with place.kit() as kit:
        slowest = 0.0
        for number in range(50):
            who = number * (rows // 50) + 1
            began = time.monotonic()
            found = [row async for row in finding.find(kit, f"reader-{who}@example{who % 500}.org")]
            slowest = max(slowest, time.monotonic() - began)
            assert len(found) == 1
        began = time.monotonic()
        counted = await segmenting.count(kit, None, _RULE)
        return _Times(slowest, time.monotonic() - began, counted.people)


def _import(place: Installation, path: Path) -> tuple[Cost, dict[str, Any]]:
    cost = place.measured(
        "subscribers", "import", str(path), "--list", "everybody", "--consent", _CONSENT, "--yes", "--json"
    )
    return cost, json.loads(cost.output)


def main() -> int:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database", choices=DATABASES, default="sqlite")
    options.add_argument("--rows", type=int, default=ROWS)
    score = Score()
    measure(score, **vars(options.parse_args()))
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
