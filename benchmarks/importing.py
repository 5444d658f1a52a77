"""Imports a made-up million into a fresh home, twice: rows a second, memory, and the ratio to reading CSV alone.

    python -m benchmarks.importing [--rows 1000000] [--database postgresql://...]

The second run must change nothing. Figures of one run on a busy machine mean little: look at the ratio, and repeat it.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import os
import resource
import tempfile
import time
from pathlib import Path

from campaign import bootstrap
from campaign.actions import importing, listing
from campaign.clock import SystemClock
from campaign.domain.lists import Terms
from campaign.keys import fresh_key
from campaign.logs import set_up_logs
from campaign.settings import Settings, load_settings

REPEATED = 40
"""One row in so many names a mailbox again."""


def make_csv(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("email,name,country,language,timezone\n")
        for n in range(rows):
            who = n if n % REPEATED else max(n - 500, 0)
            where = ("US,en,America/New_York", "GB,en,Europe/London", "BR,pt-BR,America/Sao_Paulo")[n % 3]
            file.write(f"reader-{who}@example{who % 500}.org,Reader {n},{where}\n")


def read_alone(path: Path) -> float:
    """Give rows a second of the standard library's reader, which does nothing with them."""
    started = time.perf_counter()
    with path.open(encoding="utf-8", newline="") as file:
        rows = sum(1 for _ in csv.reader(file))
    return rows / (time.perf_counter() - started)


def settings_for(home: Path, database: str | None) -> Settings:
    keys = {f"CAMPAIGN_{name}_KEY": fresh_key(SystemClock()) for name in ("SECRET", "SUPPRESSION", "SEAL")}
    return load_settings(home, keys | ({"CAMPAIGN_DATABASE_URL": database} if database else {}))


async def measure(settings: Settings, path: Path, rows: int) -> None:
    alone = read_alone(path)
    print(f"CSV reading alone: {alone:,.0f} rows/s")
    await bootstrap.upgrade_database(settings)
    async with bootstrap.kit(settings, operator="local:benchmark") as kit:
        await listing.add(kit, "everybody", Terms("Everybody"))
        order = importing.Order(path, "everybody", "I want your letters. Form of the fair, 2027-01-11")
        for turn in ("first", "again"):
            before, started = os.times(), time.perf_counter()
            report = await importing.run(kit, order)
            seconds, after = time.perf_counter() - started, os.times()
            busy = after.user + after.system - before.user - before.system
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            tally = report.tally
            print(
                f"{turn}: {rows / seconds:,.0f} rows/s ({seconds:.1f} s, {busy / rows * 1e6:.0f} us of CPU a row), "
                f"peak RSS {peak:.0f} MB, {alone / (rows / seconds):.0f} times as long as reading CSV alone;"
            )
            print(
                f"  {tally.added:,} added, {tally.changed:,} changed, {tally.unchanged:,} unchanged, "
                f"{tally.refused:,} refused, {tally.duplicates:,} repeated"
            )
            if turn == "again":
                assert (tally.added, tally.changed, tally.refused) == (0, 0, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", help="an empty PostgreSQL database; default: SQLite in a throw-away home")
    chosen = parser.parse_args()
    set_up_logs(level="warning")
    with tempfile.TemporaryDirectory(prefix="campaign-import-") as folder:
        path = Path(folder) / "people.csv"
        make_csv(path, chosen.rows)
        print(f"{chosen.rows:,} rows, {path.stat().st_size / 2**20:.0f} MB")
        asyncio.run(measure(settings_for(Path(folder), chosen.database), path, chosen.rows))


if __name__ == "__main__":
    main()
