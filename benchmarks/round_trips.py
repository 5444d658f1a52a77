"""Sends to a relay that is 10 and 50 ms away, in turn with aiosmtplib's sendmail over as many connections.

`python -m benchmarks.round_trips [--database sqlite|postgresql] [--letters N] [--connections N] [--rounds N]`

With one round trip for each letter (its dot and the next envelope go in one write) the most that is possible is the
number of connections over the round trip. Near by, the CPU may allow less than that: so each round also measures what
the daemon does over the same proxy without any delay, and the promise is held against the lower of the two.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import Final

from benchmarks import mailers, wire
from benchmarks.audit import Rates, Score
from benchmarks.delay_proxy import line
from benchmarks.installation import DATABASES
from benchmarks.mailers import PREBUILT, Job

LETTERS: Final = 10_000
CONNECTIONS: Final = 50
ROUND_TRIPS: Final = (0.01, 0.05)
_LEAST: Final = 3.0
_CLOSE: Final = 0.85
"""Within 15 % of what is possible."""
_SECONDS: Final = 4.0
"""How long aiosmtplib's turn should take: it needs four round trips for a letter."""
_IDLE: Final = 0.7
"""A proxy that works more than this part of the time would be what is measured."""


def measure(
    score: Score,
    database: str = "sqlite",
    letters: int = LETTERS,
    connections: int = CONNECTIONS,
    rounds: int = wire.ROUNDS,
) -> None:
    """Take turns at each distance, and hold the medians to what is promised."""
    print(f"\nRound trips: {letters:,} letters, {connections} connections, {database}, {rounds} rounds", flush=True)
    taken: dict[float, list[tuple[float, float]]] = {way: [] for way in ROUND_TRIPS}
    near: list[float] = []
    with wire.field(database, letters) as made:
        for turn in range(rounds):
            near.append(_ours(score, made, (turn, 0.0), connections))
            for way, pairs in taken.items():
                pairs.append((_ours(score, made, (turn, way), connections), _theirs(made, way, connections)))
                print(f"       {_ms(way)}: {pairs[-1][0]:,.0f}/s against {pairs[-1][1]:,.0f}/s", flush=True)
    without = statistics.median(near)
    for way, pairs in taken.items():
        ratio, rates = wire.paired(pairs)
        score.outruns(f"aiosmtplib's sendmail, {_ms(way)} away, {connections} connections", ratio, rates, _LEAST)
        possible = connections / way
        bound = "connections / round trip" if possible <= without else "the CPU's rate without delay"
        most = min(possible, without)
        print(f"       {_ms(way)}: {possible:,.0f}/s are possible; {without:,.0f}/s without delay", flush=True)
        score.outruns(f"{bound}, {_ms(way)} away", rates.ours / most, Rates(rates.ours, most), _CLOSE)


def _ours(score: Score, made: wire.Field, turn: tuple[int, float], connections: int) -> float:
    """Let the daemon send over a line of that length; look that the proxy had time to spare."""
    number, way = turn
    with line(made.relay.port, way) as far:
        before, began = far.cpu, time.monotonic()
        slug = f"measured-{_ms(way).replace(' ', '-')}-{number}"
        sent = made.ours(score, slug, connections=connections, smtp_url=far.url)
        share = (far.cpu - before) / min(made.letters / sent.rate, time.monotonic() - began)
    print(f"       {_ms(way)}: {sent.cpu:,.0f} us of CPU a letter; the proxy took {share:.0%} of a core", flush=True)
    if share > _IDLE:
        score.at_most(f"of a core for the proxy, {_ms(way)} away", share, _IDLE)
    return sent.rate


def _theirs(made: wire.Field, way: float, connections: int) -> float:
    letters = round(min(_SECONDS * connections / (4 * way), made.letters))
    with line(made.relay.port, way) as far:
        return mailers.run(Job(PREBUILT, made.sample, far.port, letters, connections)).rate


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


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
