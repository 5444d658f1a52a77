"""Test letters: they go to the mailbox that an operator names, unless it must never be mailed."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from campaign.actions import campaigning, previewing, publishing, suppressing
from campaign.domain.campaigns import Definition
from campaign.domain.delivery import Kind, State
from campaign.domain.errors import Conflict
from campaign.store import claims, ledger
from campaign.store.claims import Claim
from campaign.store.engine import Store
from campaign.store.ledger import Token
from campaign.store.schema.ledger import deliveries
from tests.builders import Reader, a_kit, some_readers
from tests.clocks import FrozenClock

SOMEBODY = Reader(77).address


async def test_a_test_letter_never_goes_to_a_suppressed_mailbox(store: Store, clock: FrozenClock, home: Path) -> None:
    kit = a_kit(store, clock, home)
    await some_readers(kit, 1)
    await publishing.import_starters(kit)
    await campaigning.create(kit, "news", Definition(every="monday", lists=("supporters",), zone="UTC"))
    before = await previewing.send_test(kit, "news", SOMEBODY.wire)
    await suppressing.suppress(kit, SOMEBODY)
    with pytest.raises(Conflict, match="must not be mailed"):
        await previewing.send_test(kit, "news", SOMEBODY.wire)
    async with store.begin() as tx:
        [letter], _ = await claims.claim(tx, Claim("worker", None, 10), clock.now())
        assert (letter.id, letter.kind) == (before, Kind.TEST)
        asked = Token(letter.id, letter.claim_no, letter.variant, "<d.1@example.org>", clock.now(), "main", None)
        assert await ledger.offer(tx, "worker", [asked], clock.now()) == set()
        await ledger.let_go(tx, "worker", [(letter.id, letter.claim_no)], clock.now())
        states = select(deliveries.c.state, func.count()).group_by(deliveries.c.state)
        assert (await tx.execute(states)).all() == [(State.SUPPRESSED, 1)]
    await kit.renderer.aclose()
