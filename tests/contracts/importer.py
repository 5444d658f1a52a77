"""A program that imports one file in small chunks, to be killed at any moment: DATABASE_URL HOME FILE."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from campaign.actions import importing
from campaign.clock import SystemClock
from campaign.store.engine import Store
from tests.builders import a_kit


async def go(url: str, home: Path, file: Path) -> None:
    importing.CHUNK = 200
    store = Store(url)
    kit = a_kit(store, SystemClock(), home)

    def tell(rows: int, _rate: float) -> None:
        print(rows, flush=True)

    await importing.run(kit, importing.Order(file, "supporters", "yes, at the fair"), tell)
    await store.close()


if __name__ == "__main__":
    asyncio.run(go(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
