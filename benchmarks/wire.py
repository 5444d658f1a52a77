"""Sends 50,000 letters of 20 kB through the real daemon, again and again in turn with Postfix's smtp-source.

`python -m benchmarks.wire [--database sqlite|postgresql] [--letters N] [--connections N ...] [--rounds N]
[--dkim rsa|ed25519]`

Both hand the same letter to the same smtp-sink. The daemon does everything: claims, a letter for each reader, a token
on disk before each dot, events, outcomes. smtp-source keeps no account of anything, and signs nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from sqlalchemy import func, select

from benchmarks.audit import Rates, Score
from benchmarks.installation import DATABASES, Installation, fill_list, installation, peak_together
from benchmarks.letters import DIGEST
from benchmarks.sink import Sink, sink, source
from campaign.actions import campaigning, planning
from campaign.domain.delivery import State
from campaign.store.schema.ledger import deliveries, editions

LETTERS: Final = 50_000
CONNECTIONS: Final = (20, 50)
ROUNDS: Final = 5
_SOURCED: Final = 10_000
"""Letters that smtp-source sends before and after each of our turns."""
_GLANCE: Final = 0.2
"""Seconds between two looks at a program's memory."""
LEAST: Final = {None: 0.8, "rsa": 0.3, "ed25519": 0.5}
"""What is promised of the rate of smtp-source, by the kind of signature."""


@dataclass(frozen=True, slots=True)
class Sent:
    """How a daemon sent an edition: letters a second from its start to the last of them, and what it took."""

    rate: float
    cpu: float
    memory: float


@dataclass(frozen=True, slots=True)
class Field:
    """Where everybody sends to, what they send, and the installation that is measured."""

    place: Installation
    relay: Sink
    sample: Path
    letters: int

    def ours(self, score: Score, slug: str, **settings: object) -> Sent:
        """Send one edition of a fresh campaign, so that every edition has the same articles, with these settings."""
        there = self.place.with_settings(**settings)
        edition = asyncio.run(_plan(there, slug))
        cpu, memory = _run(there)
        accepted, rate = asyncio.run(_rate(there, edition))
        if accepted != self.letters:
            score.check("accepted, in one attempt each", accepted, self.letters)
        return Sent(rate, 1e6 * cpu / self.letters, memory)

    def theirs(self, connections: int) -> float:
        """Send with smtp-source; return letters a second."""
        return source(self.relay.port, self.sample, min(self.letters, _SOURCED), connections)


@contextmanager
def field(database: str, letters: int, **settings: object) -> Iterator[Field]:
    """Make an installation with so many readers, a sink that keeps nothing, and a sample of the letter."""
    with installation(database, settings) as made, sink(keep=False) as relay:
        place = made.with_settings(smtp_url=relay.url)
        asyncio.run(_fill(place, letters))
        sample = place.home / "sample.eml"
        place.command("preview", "sample", "--eml", str(sample))
        print(f"       each of {len(sample.read_bytes()) / 1000:.1f} kB", flush=True)
        yield Field(place, relay, sample, letters)


async def _fill(place: Installation, letters: int) -> None:
    async with place.kit() as kit:
        await fill_list(kit, letters)
        await campaigning.create(kit, "sample", DIGEST)


async def _plan(place: Installation, slug: str) -> int:
    async with place.kit() as kit:
        await campaigning.create(kit, slug, DIGEST)
        await campaigning.approve(kit, slug)
        return (await planning.send_now(kit, slug, "measured")).id


async def _rate(place: Installation, edition: int) -> tuple[int, float]:
    """Return how many letters were accepted at once, and how many a second from the start to the last of them."""
    d = deliveries.c
    async with place.kit() as kit, kit.store.read() as tx:
        which = select(editions.c.started_at, editions.c.state, editions.c.note).where(editions.c.id == edition)
        started, state, note = (await tx.execute(which)).one()
        mine = (d.edition_id == edition, d.state == State.ACCEPTED, d.attempts == 1)
        accepted, last = (await tx.execute(select(func.count(), func.max(d.moved_at)).where(*mine))).one()
    if started is None or last is None:
        raise AssertionError(f"The edition did not go out, it is {state}. {note}")
    return accepted, accepted / (last - started).total_seconds()


def _run(place: Installation) -> tuple[float, float]:
    """Let a daemon send what is due; return its seconds of CPU and its megabytes at most."""
    daemon, memory = place.start("--until-idle"), 0.0
    while not (ended := os.wait4(daemon.pid, os.WNOHANG))[0]:
        memory = max(memory, peak_together(daemon.pid))
        time.sleep(_GLANCE)
    daemon.returncode = os.waitstatus_to_exitcode(ended[1])
    if daemon.returncode:
        raise AssertionError((place.home / "daemon.log").read_text()[-4000:])
    usage = ended[2]
    return usage.ru_utime + usage.ru_stime, memory


@dataclass(frozen=True, slots=True)
class Order:
    """What to measure."""

    database: str = "sqlite"
    letters: int = LETTERS
    connections: Sequence[int] = CONNECTIONS
    rounds: int = ROUNDS
    dkim: str | None = None


def measure(score: Score, order: Order = Order()) -> None:
    """Take turns, and print the medians."""
    signed = f", signed ({order.dkim})" if order.dkim else ""
    print(f"\nThe wire: {order.letters:,} letters, {order.database}, {order.rounds} rounds{signed}", flush=True)
    with field(order.database, order.letters) as made:
        settings = _signing(score, made, order.dkim) if order.dkim else {}
        for number in order.connections:
            taken = [_turn(score, made, (number, turn), settings) for turn in range(order.rounds)]
            what = f"smtp-source, {number} connections{signed}"
            score.outruns(what, *paired(taken), LEAST[order.dkim])


def paired(taken: Sequence[tuple[float, float]]) -> tuple[float, Rates]:
    """Return the median of the ratios of pairs that were measured one after the other, and the median of each side."""
    ours, theirs = (statistics.median(column) for column in zip(*taken, strict=True))
    return statistics.median(mine / other for mine, other in taken), Rates(ours, theirs)


def _turn(score: Score, made: Field, turn: tuple[int, int], settings: dict[str, object]) -> tuple[float, float]:
    """Send once with each; return letters a second, ours and theirs."""
    connections, number = turn
    before = made.theirs(connections)
    sent = made.ours(score, f"measured-{connections}-{number}", connections=connections, **settings)
    theirs = 2 / (1 / before + 1 / made.theirs(connections))
    print(
        f"       {sent.rate:,.0f}/s against {theirs:,.0f}/s: {sent.rate / theirs:.2f}; "
        f"{sent.cpu:,.0f} us of CPU a letter with its freezing, {sent.memory:,.0f} MB",
        flush=True,
    )
    return sent.rate, theirs


def _signing(score: Score, made: Field, kind: str) -> dict[str, object]:
    """Make a key of that kind in the home, and return the settings that sign with it; look that they do."""
    key = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else rsa.generate_private_key(65537, 2048)
    path, signed = made.place.home / f"{kind}.pem", made.place.home / "signed.eml"
    path.touch(mode=0o600)
    private = serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
    settings: dict[str, object] = {"dkim_key_file": path, "dkim_selector": kind}
    made.place.with_settings(**settings).command("preview", "sample", "--eml", str(signed))
    score.check(f"signatures on a letter ({kind})", signed.read_bytes().count(b"DKIM-Signature:"), 1)
    return settings


def main() -> int:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database", choices=DATABASES, default="sqlite")
    options.add_argument("--letters", type=int, default=LETTERS)
    options.add_argument("--connections", type=int, nargs="+", default=CONNECTIONS)
    options.add_argument("--rounds", type=int, default=ROUNDS)
    options.add_argument("--dkim", choices=("rsa", "ed25519"))
    score = Score()
    measure(score, Order(**vars(options.parse_args())))
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
