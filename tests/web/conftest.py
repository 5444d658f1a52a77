"""Pages served on a port of this machine, over a database of the test's own, with one reader on a list."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import select

from campaign.actions.kit import Kit
from campaign.domain.consent import SubscriptionState
from campaign.domain.tokens import Link, Purpose
from campaign.runtime.serving import listen, pages
from campaign.store.engine import Store
from campaign.store.schema.people import subscriptions
from campaign.web.app import create_app
from tests.builders import a_kit, some_readers
from tests.clocks import FrozenClock


@dataclass(frozen=True, slots=True)
class Served:
    """The pages as the world sees them, and what a test looks at behind them."""

    url: str
    kit: Kit

    def link(self, purpose: Purpose, subscription: int = 1, delivery: int = 0) -> str:
        return f"{self.url}/{purpose.value}/{self.kit.keys.sign_link(Link(purpose, subscription, delivery))}"

    async def state(self, subscription: int = 1) -> SubscriptionState:
        async with self.kit.store.read() as tx:
            found = await tx.execute(select(subscriptions.c.state).where(subscriptions.c.id == subscription))
            state: SubscriptionState = found.scalar_one()
            return state


@pytest.fixture
async def served(store: Store, clock: FrozenClock, home: Path) -> AsyncIterator[Served]:
    kit = a_kit(store, clock, home)
    await some_readers(kit, 2)
    door, stopping = listen("127.0.0.1", 0), asyncio.Event()
    serving = asyncio.create_task(pages(create_app(kit), door)(stopping))
    host, port = door.getsockname()[:2]
    yield Served(f"http://{host}:{port}", kit)
    stopping.set()
    await serving
    door.close()


@pytest.fixture
async def client(served: Served) -> AsyncIterator[httpx2.AsyncClient]:
    """A visitor that follows nothing by itself."""
    async with httpx2.AsyncClient(follow_redirects=False, timeout=20) as opened:
        yield opened
