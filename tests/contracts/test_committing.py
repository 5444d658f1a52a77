"""What a worker writes for every letter, while the database fails it: in order, nothing lost, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import select, text

from campaign.actions.committing import Committer, Outcome
from campaign.actions.kit import Kit
from campaign.domain.delivery import Event, State
from campaign.store.engine import DatabaseAway, Store
from campaign.store.moves import Cause
from campaign.store.schema.ledger import delivery_events
from tests.builders import a_kit
from tests.clocks import FrozenClock
from tests.contracts.test_ledger import ME, a_sending_edition, claim, replayed, states, token

OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
)


@pytest.fixture
async def kit(store: Store, clock: FrozenClock, home: Path) -> Kit:
    return a_kit(store, clock, home)


@asynccontextmanager
async def a_committer(kit: Kit) -> AsyncIterator[Committer]:
    committer = Committer(kit, ME)
    running = asyncio.create_task(committer.run())
    try:
        yield committer
    finally:
        committer.close()
        await asyncio.wait_for(running, 20)


async def run(kit: Kit, statement: str) -> None:
    async with kit.store.begin() as tx:
        await tx.execute(text(statement))


async def last_events(kit: Kit, count: int) -> list[tuple[int, State]]:
    e = delivery_events.c
    async with kit.store.read() as tx:
        found = await tx.execute(select(e.delivery_id, e.to_state).order_by(e.id.desc()).limit(count))
        return [(row[0], row[1]) for row in found][::-1]


async def test_an_outcome_that_had_to_wait_is_on_disk_before_a_later_token(kit: Kit) -> None:
    one, two, *_ = await claim(kit, await a_sending_edition(kit))
    async with a_committer(kit) as committer:
        assert await committer.token(token(one))
        await run(kit, "ALTER TABLE delivery_events RENAME TO lost")
        accepted = committer.settle(Outcome(Event.ACCEPT, one.id, one.claim_no, Cause(kit.clock.now(), 250)))
        await asyncio.sleep(0.2)
        assert not accepted.done()
        await run(kit, "ALTER TABLE lost RENAME TO delivery_events")
        assert await asyncio.wait_for(committer.token(token(two)), 10)
        await asyncio.wait_for(committer.written(), 10)
        assert accepted.done()
    assert await last_events(kit, 2) == [(one.id, State.ACCEPTED), (two.id, State.OFFERED)]
    assert await replayed(kit) == await states(kit)


@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True)
async def test_a_session_that_dies_costs_its_tokens_and_no_outcome(kit: Kit) -> None:
    one, two, three, *_ = await claim(kit, await a_sending_edition(kit))
    async with a_committer(kit) as committer:
        assert await committer.token(token(one))
        await run(kit, OTHERS)
        committer.note(Outcome(Event.ACCEPT, one.id, one.claim_no, Cause(kit.clock.now(), 250)))
        with pytest.raises(DatabaseAway):
            await committer.token(token(two))
        await asyncio.wait_for(committer.written(), 10)
        assert await committer.token(token(three))
    found = await states(kit)
    assert [found[one.id], found[two.id], found[three.id]] == [State.ACCEPTED, State.CLAIMED, State.OFFERED]
    assert await replayed(kit) == found


async def test_what_is_done_meanwhile_is_done_before_the_answer_and_for_those_who_wait(kit: Kit) -> None:
    one, two, *_ = await claim(kit, await a_sending_edition(kit))
    heard: list[str] = []
    async with a_committer(kit) as committer:
        waits = committer.token(token(one), lambda: heard.append("meanwhile"))
        gone = committer.token(token(two), lambda: heard.append("for nobody"))
        gone.cancel()
        waits.add_done_callback(lambda _: heard.append("answer"))
        assert await asyncio.wait_for(waits, 10)
        assert heard == ["meanwhile", "answer"]


async def test_what_nobody_foresees_is_written_before_the_rest_of_its_group(kit: Kit) -> None:
    one, two, three, four, *_ = await claim(kit, await a_sending_edition(kit))
    now = kit.clock.now()
    async with a_committer(kit) as committer:
        assert await asyncio.gather(*(committer.token(token(one)) for one in (one, two, three))) == [True] * 3
        said = Outcome(Event.REFUSE, one.id, one.claim_no, Cause(now, 550, "5.1.1", "no_mailbox", "Who?"), b"key")
        committer.note(Outcome(Event.ACCEPT, two.id, two.claim_no, Cause(now, 250)))
        committer.note(said)
        committer.let_go(four.id, four.claim_no)
        await asyncio.wait_for(committer.written(), 10)
    found = await states(kit)
    ends = [State.REFUSED, State.ACCEPTED, State.OFFERED, State.QUEUED]
    assert [found[letter.id] for letter in (one, two, three, four)] == ends
    assert (await last_events(kit, 1)) == [(two.id, State.ACCEPTED)]
    assert await replayed(kit) == found
