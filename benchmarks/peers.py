"""Sends the same letter in four ways, in turn: by the daemon, by smtp-source, and as Python programs usually do.

`python -m benchmarks.peers [--database sqlite|postgresql] [--letters N] [--connections N] [--rounds N]`

The slower ways send fewer letters: what is compared is letters a second, from the first letter to the last.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from pathlib import Path
from typing import Final

from benchmarks import mailers, wire
from benchmarks.audit import Score
from benchmarks.installation import DATABASES, Installation
from benchmarks.mailers import PER_PERSON, PREBUILT, Job

LETTERS: Final = 20_000
CONNECTIONS: Final = 20
_FEWER: Final = {PREBUILT: 4, PER_PERSON: 20}
"""By how much fewer letters go each way."""
LEAST: Final = {PREBUILT: 3.0, PER_PERSON: 20.0}
_NAMES: Final = {
    PREBUILT: "aiosmtplib's sendmail of finished bytes",
    PER_PERSON: "Jinja2, EmailMessage and sendmail for each person",
}


def measure(
    score: Score,
    database: str = "sqlite",
    letters: int = LETTERS,
    connections: int = CONNECTIONS,
    rounds: int = wire.ROUNDS,
) -> None:
    """Take turns, and hold the medians to what is promised."""
    print(f"\nPeers: {letters:,} letters, {connections} connections, {database}, {rounds} rounds", flush=True)
    taken: dict[str, list[tuple[float, float]]] = {PREBUILT: [], PER_PERSON: [], "": []}
    with wire.field(database, letters) as made:
        parts = {PREBUILT: made.sample, PER_PERSON: made.place.home / "letter.json"}
        asyncio.run(_write_letter(made.place, parts[PER_PERSON]))
        print(f"       made for one person: {len(mailers.per_person(parts[PER_PERSON])(1)) / 1000:.1f} kB", flush=True)
        for turn in range(rounds):
            sent = made.ours(score, f"measured-{turn}", connections=connections)
            taken[""].append((sent.rate, made.theirs(connections)))
            for way, letter in parts.items():
                theirs = mailers.run(Job(way, letter, made.relay.port, letters // _FEWER[way], connections))
                taken[way].append((sent.rate, theirs.rate))
                print(f"       {way} {theirs.rate:,.0f}/s ({theirs.cpu:,.0f} us of CPU a letter)", flush=True)
            print(f"       ours {sent.rate:,.0f}/s ({sent.cpu:,.0f} us, with freezing and the start)", flush=True)
    for way, name in _NAMES.items():
        score.outruns(f"{name}, {connections} connections", *wire.paired(taken[way]), LEAST[way])
    ratio = statistics.median(mine / theirs for mine, theirs in taken[""])
    print(f"       {ratio:.2f} of smtp-source's rate in this run; benchmarks.wire holds it to a promise", flush=True)


async def _write_letter(place: Installation, path: Path) -> None:
    async with place.kit() as kit:
        await mailers.write_letter(kit, "sample", path)


def main() -> int:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database", choices=DATABASES, default="sqlite")
    options.add_argument("--letters", type=int, default=LETTERS)
    options.add_argument("--connections", type=int, default=CONNECTIONS)
    options.add_argument("--rounds", type=int, default=wire.ROUNDS)
    score = Score()
    measure(score, **vars(options.parse_args()))
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
