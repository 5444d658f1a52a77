"""Plays thousands of stories that nobody thought of against the ledger: every move of its table, and every invariant.

`python -m benchmarks.ledger_stories [--database sqlite|postgresql] [--stories N] [--seed N]`

Workers claim, ask, are refused, die, sleep and wake up; people leave, are erased and blocked; operators pause, cancel,
pull the brake and decide about doubts; evidence comes late. After each step the invariants are read off the tables, and
the events are replayed. See tests/contracts/ledger_machine.py.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.audit import Score
from benchmarks.installation import DATABASES
from campaign.assets import asset
from campaign.logs import set_up_logs
from campaign.store import migrations
from campaign.store.engine import Store
from tests.contracts.ledger_machine import STEPS, tell_stories
from tests.postgres import Postgres


@dataclass(frozen=True, slots=True)
class Plan:
    """How many stories, where; the same seed tells the same."""

    database: str = "sqlite"
    stories: int = 2_000
    seed: int = 1


def prove(plan: Plan, score: Score) -> None:
    """Tell the stories; the shortest one that breaks a promise is printed."""
    print(f"\n{plan.stories:,} stories of up to {STEPS} steps, {plan.database}, seed {plan.seed}", flush=True)
    with _a_place(plan.database) as (url, home):
        asyncio.run(_migrate(url))
        try:
            told = tell_stories(url, home, plan.stories, plan.seed)
        except AssertionError as broken:
            print(f"{broken}\n" + "\n".join(getattr(broken, "__notes__", [])), flush=True)
            score.check("stories that broke a promise", 1)
            return
        score.at_least("stories that broke none", told, plan.stories)


@contextmanager
def _a_place(database: str) -> Iterator[tuple[str, Path]]:
    """Give a database of its own and an empty home."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="campaign-stories-")))
        if database == "sqlite":
            yield f"sqlite:///{home / 'campaign.db'}", home
            return
        server = Postgres.start()
        stack.callback(server.stop)
        yield server.url(server.create()), home


async def _migrate(url: str) -> None:
    store = Store(url)
    await migrations.upgrade(store, asset("alembic"))
    await store.close()


def main() -> int:
    """Read the options and tell."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database", choices=DATABASES, default="sqlite")
    options.add_argument("--stories", type=int, default=2_000)
    options.add_argument("--seed", type=int, default=1)
    set_up_logs(level="critical")
    score = Score()
    prove(Plan(**vars(options.parse_args())), score)
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
