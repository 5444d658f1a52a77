"""The brake holds everything at once, and everything goes on where it stood; on both databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from campaign.actions import auditing, braking
from campaign.actions.kit import Kit
from campaign.domain.delivery import Kind, State, purpose_key
from campaign.domain.errors import BadInput
from campaign.store import agenda, brakes, ledger
from campaign.store.audit import Asked
from campaign.store.engine import Store
from campaign.store.ledger import Letter
from campaign.store.schema.ledger import deliveries
from tests.builders import a_kit
from tests.clocks import FrozenClock
from tests.contracts.test_ledger import ME, a_sending_edition, claim, offer, states, token


@pytest.fixture
async def kit(store: Store, clock: FrozenClock, home: Path) -> Kit:
    return a_kit(store, clock, home)


async def an_alarm(kit: Kit) -> int:
    now, key = kit.clock.now(), purpose_key(Kind.ALERT, 1)
    letter = Letter(Kind.ALERT, key, None, None, b"k" * 32, b"sealed", "example.org", now, now + timedelta(hours=1))
    async with kit.store.begin() as tx:
        found = await ledger.enqueue(tx, letter, now)
    assert found is not None
    return found


async def test_while_it_is_on_nothing_is_claimed_and_no_token_commits(kit: Kit) -> None:
    edition_id = await a_sending_edition(kit, people=2)
    alarm = await an_alarm(kit)
    [one] = await claim(kit, edition_id, limit=1)
    [service] = await claim(kit, None)
    assert service.id == alarm
    _, pulled = await braking.pull(kit, "the wrong list")
    assert pulled
    assert await claim(kit, edition_id) == []
    assert await claim(kit, None) == []
    assert await offer(kit, [one, service]) == set(), "service letters are held, too"
    async with kit.store.begin() as tx:
        await ledger.let_go(tx, ME, [(letter.id, letter.claim_no) for letter in (one, service)], kit.clock.now())
        rows = await tx.execute(select(deliveries.c.state, deliveries.c.attempts))
        assert {tuple(row) for row in rows} == {(State.QUEUED, 0)}, "no attempt is charged"
    assert await braking.release(kit) is not None
    letters = [*await claim(kit, edition_id), *await claim(kit, None)]
    assert await offer(kit, letters) == {letter.id for letter in letters}
    assert set((await states(kit)).values()) == {State.OFFERED}


async def test_who_pulled_it_first_stays_written_and_both_deeds_are_on_record(kit: Kit, clock: FrozenClock) -> None:
    assert await braking.look(kit) is None
    first, _ = await braking.pull(kit, "  a  complaint by reader-01@example.org ")
    clock.advance(timedelta(minutes=1))
    again, pulled = await braking.pull(kit, "another reason")
    assert (again, pulled) == (first, False)
    assert await braking.look(kit) == first
    assert first.because == "a complaint by reader-01@example.org"
    assert await braking.release(kit) == first
    assert await braking.release(kit) is None
    deeds = [entry async for _, entry in auditing.entries(kit, Asked())]
    assert [deed.action for deed in deeds] == ["brake.off", "brake.on"]
    assert "reader-01" not in str(deeds), "the audit log masks addresses"


@pytest.mark.parametrize("because", ["x" * 201, "upside \u202edown"])
async def test_a_reason_that_cannot_be_read_in_a_line_is_refused(kit: Kit, because: str) -> None:
    with pytest.raises(BadInput):
        await braking.pull(kit, because)
    assert await braking.look(kit) is None


async def test_what_the_brake_holds_keeps_no_daemon_from_ending(kit: Kit) -> None:
    await a_sending_edition(kit, people=1)
    await an_alarm(kit)

    async def busy() -> bool:
        async with kit.store.read() as tx:
            return await agenda.is_busy(tx, kit.clock.now(), within=timedelta(0))

    assert await busy()
    await braking.pull(kit)
    assert not await busy()
    await braking.release(kit)
    assert await busy()


async def test_the_brake_waits_for_tokens_on_their_way_and_no_token_overtakes_it(kit: Kit) -> None:
    """Only PostgreSQL lets two transactions write at once; on SQLite the second waits for the file."""
    edition_id = await a_sending_edition(kit, people=2)
    early, late = await claim(kit, edition_id)
    other = Store(kit.settings.database_url)
    try:
        async with kit.store.begin() as tx:
            assert await ledger.offer(tx, ME, [token(early)], kit.clock.now()) == {early.id}
            pulling = asyncio.create_task(_pull(other, kit))
            await asyncio.sleep(0.3)
            assert not pulling.done()
        assert await asyncio.wait_for(pulling, 5)
        assert await offer(kit, [late]) == set()
    finally:
        await other.close()


async def _pull(store: Store, kit: Kit) -> bool:
    async with store.begin() as tx:
        return await brakes.pull(tx, brakes.Brake(kit.clock.now(), "local:test", ""))
