"""Transactions that are foreseen, and run by a program of their own: all of it or nothing, on both databases."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from psycopg.errors import IdleInTransactionSessionTimeout
from sqlalchemy import create_engine, text, update
from sqlalchemy.exc import DBAPIError, InternalError

from campaign.actions.kit import Kit
from campaign.domain.delivery import Event, State
from campaign.store import claims, ledger, waves
from campaign.store.claims import Claim, Claimed
from campaign.store.engine import DatabaseAway, Store, Transaction, away
from campaign.store.executor import Cut, Foreseen
from campaign.store.foreseen import Executor, Plan
from campaign.store.moves import Cause
from campaign.store.schema.people import lists
from campaign.store.writer import Writer
from tests.builders import a_kit
from tests.clocks import FrozenClock
from tests.contracts.test_ledger import ME, a_sending_edition, claim, replayed, states, token


@pytest.fixture
async def kit(store: Store, clock: FrozenClock, home: Path) -> Kit:
    return a_kit(store, clock, home)


@pytest.fixture
async def writer(kit: Kit) -> AsyncIterator[Writer]:
    writer = Writer(kit.store)
    yield writer
    await writer.close()


async def offer(kit: Kit, letters: list[Claimed], tx: Transaction) -> set[int]:
    return await ledger.offer(tx, ME, [token(one) for one in letters], kit.clock.now())


async def accept(kit: Kit, letters: list[Claimed], tx: Transaction) -> list[int]:
    held = [(one.id, one.claim_no) for one in letters]
    return await ledger.settle(tx, Event.ACCEPT, held, Cause(kit.clock.now(), 250, "2.0.0"))


def child_of(writer: Writer) -> int:
    pid = writer._executor.program.pid
    assert pid is not None
    return pid


async def test_what_comes_as_foreseen_is_done_with_its_events(kit: Kit, writer: Writer) -> None:
    one, two, *_ = await claim(kit, await a_sending_edition(kit))
    assert await writer.attempt(partial(offer, kit, [one, two])) == ({one.id, two.id}, [])
    assert await writer.attempt(partial(accept, kit, [one])) == ([one.id], [])
    found = await states(kit)
    assert (found[one.id], found[two.id]) == (State.ACCEPTED, State.OFFERED)
    assert await replayed(kit) == found


async def test_nothing_is_done_where_one_of_many_comes_otherwise(kit: Kit, writer: Writer) -> None:
    one, two, *_ = await claim(kit, await a_sending_edition(kit))
    before = await states(kit)
    lost = two._replace(claim_no=two.claim_no + 1)
    assert await writer.attempt(partial(offer, kit, [one, lost])) is None
    assert await states(kit) == before
    assert await writer.run(partial(offer, kit, [one, lost])) == {one.id}
    assert await replayed(kit) == await states(kit)


async def test_a_token_is_not_foreseen_for_somebody_who_left(kit: Kit, writer: Writer) -> None:
    one, two, *_ = await claim(kit, await a_sending_edition(kit))
    await run(
        kit,
        f"DELETE FROM subscriptions WHERE subscriber_id IN (SELECT subscriber_id FROM deliveries WHERE id = {one.id})",
    )
    assert await writer.attempt(partial(offer, kit, [one, two])) is None
    assert await writer.run(partial(offer, kit, [one, two])) == {two.id}


async def test_claims_are_the_same_either_way(kit: Kit, writer: Writer) -> None:
    edition = await a_sending_edition(kit, 6)
    wanted, now = Claim(ME, edition, 3), kit.clock.now()

    async def foreseen(plan: Plan) -> None:
        await waves.foresee_none_due(plan, now)
        await claims.take(plan, wanted, now)

    assert await writer.attempt(foreseen) is None, "a wave is yet to be opened"
    assert await writer.run(partial(waves.open_due, now=now))
    attempted = await writer.attempt(foreseen)
    assert attempted is not None
    first, after = claims.found(attempted[1])
    async with kit.store.begin() as tx:
        second, beyond = await claims.claim(tx, replace(wanted, after=after, but=("nowhere.example",)), now)
    assert [len(first), len(second)] == [3, 3]
    assert after is not None
    assert beyond is not None
    assert after < beyond
    for one, other in zip(first, second, strict=True):
        assert [type(cell) for cell in one] == [type(cell) for cell in other]
        alike = {"id": 0, "subscription_id": 0, "address_sealed": b"", "name_sealed": None}
        assert one._replace(**alike) == other._replace(**alike)
    none_left = await writer.attempt(partial(claims.take, wanted=replace(wanted, after=beyond), now=now))
    assert none_left is not None
    assert claims.found(none_left[1]) == ([], None)
    assert set((await states(kit)).values()) == {State.CLAIMED}
    assert await replayed(kit) == await states(kit)


async def test_a_list_that_ends_is_closed_before_a_claim(kit: Kit, writer: Writer) -> None:
    await a_sending_edition(kit)
    now = kit.clock.now()
    await writer.run(partial(waves.open_due, now=now))
    assert await writer.attempt(partial(waves.foresee_none_due, now=now)) is not None
    async with kit.store.begin() as tx:
        await tx.execute(update(lists).values(ends_at=now - timedelta(seconds=1)))
    assert await writer.attempt(partial(waves.foresee_none_due, now=now)) is None


async def test_work_that_asks_for_an_answer_is_not_foreseen(kit: Kit, writer: Writer) -> None:
    [one, *_] = await claim(kit, await a_sending_edition(kit))
    said = Cause(kit.clock.now(), 451, "4.7.1", words="come again")
    with_words = partial(ledger.settle, event=Event.DEFER, held=[(one.id, one.claim_no)], cause=said)
    assert await writer.attempt(with_words) is None
    assert await writer.run(with_words) == [one.id]


async def test_an_error_is_raised_and_the_next_begins_anew(kit: Kit, writer: Writer) -> None:
    one, two, *_ = await claim(kit, await a_sending_edition(kit))
    await run(kit, "ALTER TABLE delivery_events RENAME TO lost")
    with pytest.raises(DBAPIError):
        await writer.attempt(partial(offer, kit, [one]))
    await run(kit, "ALTER TABLE lost RENAME TO delivery_events")
    assert await writer.attempt(partial(offer, kit, [one, two])) == ({one.id, two.id}, [])


async def test_a_program_that_dies_is_missed_once(kit: Kit, writer: Writer) -> None:
    one, two, *_ = await claim(kit, await a_sending_edition(kit))
    assert await writer.attempt(partial(offer, kit, [one])) == ({one.id}, [])
    os.kill(child_of(writer), signal.SIGSTOP)
    asked = asyncio.create_task(writer.attempt(partial(offer, kit, [two])))
    await asyncio.sleep(0.05)
    os.kill(child_of(writer), signal.SIGKILL)
    with pytest.raises(DatabaseAway):
        await asked
    assert await writer.attempt(partial(offer, kit, [two])) == ({two.id}, [])
    assert await replayed(kit) == await states(kit)


async def test_a_program_that_stands_still_is_given_up(
    kit: Kit, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, *_ = await claim(kit, await a_sending_edition(kit))
    await writer.attempt(partial(offer, kit, [one]))
    os.kill(child_of(writer), signal.SIGSTOP)
    monkeypatch.setattr("campaign.store.foreseen._PATIENCE", 0.3)
    monkeypatch.setattr("campaign.beside.program._LAST_WORDS", 0.1)
    with pytest.raises(DatabaseAway, match="not answered"):
        await asyncio.wait_for(writer.attempt(partial(offer, kit, [two])), 5)
    monkeypatch.undo()
    assert await writer.attempt(partial(offer, kit, [two])) == ({two.id}, [])
    assert await replayed(kit) == await states(kit)


async def test_a_session_that_the_server_ends_is_a_database_that_is_away(kit: Kit, writer: Writer) -> None:
    if kit.store.sqlite:
        return  # no server, no session
    [one, *_] = await claim(kit, await a_sending_edition(kit))

    async def ended(words: str, plan: Plan) -> None:
        await offer(kit, [one], plan)
        plan.statements.append(Foreseen(words, (), None))

    with pytest.raises(DatabaseAway):
        await writer.attempt(partial(ended, "SELECT pg_terminate_backend(pg_backend_pid())"))
    assert (await states(kit))[one.id] is State.CLAIMED
    assert await writer.attempt(partial(offer, kit, [one])) == ({one.id}, [])


def test_an_error_that_ended_the_session_is_a_database_that_is_away_whatever_its_class() -> None:
    """To psycopg a session that was ended because it stood still (25P03) is an InternalError, like a defect of ours."""
    executor = Executor(create_engine("postgresql+psycopg://"))
    over = pickle.loads(pickle.dumps(Cut(IdleInTransactionSessionTimeout("it stood still"))))  # noqa: S301 -- as on the line
    with pytest.raises(DatabaseAway, match="it stood still"), away():
        raise executor._as_raised_here(over)
    with pytest.raises(InternalError), away():
        raise executor._as_raised_here(over.why)


async def test_a_session_that_stands_still_in_a_transaction_is_ended_by_the_server(kit: Kit, writer: Writer) -> None:
    if kit.store.sqlite:
        return  # there everybody waits
    one, two, *_ = await claim(kit, await a_sending_edition(kit))
    await writer.attempt(partial(offer, kit, [one]))

    async def slow(plan: Plan) -> None:
        await offer(kit, [two], plan)
        words = "SELECT set_config('idle_in_transaction_session_timeout', '50', false), pg_sleep(0.3)"
        plan.statements.append(Foreseen(words, (), None))

    asked = asyncio.create_task(writer.attempt(slow))
    await asyncio.sleep(0.1)
    os.kill(child_of(writer), signal.SIGSTOP)
    await asyncio.sleep(0.5)
    os.kill(child_of(writer), signal.SIGCONT)
    with pytest.raises(DatabaseAway):
        await asked
    assert (await states(kit))[two.id] is State.CLAIMED
    assert await writer.attempt(partial(offer, kit, [two])) == ({two.id}, [])


async def test_only_the_line_ends_the_program(kit: Kit) -> None:
    writer = Writer(kit.store)
    one, two, *_ = await claim(kit, await a_sending_edition(kit))
    await writer.attempt(partial(offer, kit, [one]))
    child = writer._executor.program._child
    assert child is not None
    child.send_signal(signal.SIGINT)
    child.send_signal(signal.SIGTERM)
    assert await writer.attempt(partial(offer, kit, [two])) == ({two.id}, [])
    await writer.close()
    assert child.returncode == 0


async def test_whoever_is_cancelled_waits_for_the_end(kit: Kit, writer: Writer) -> None:
    one, two, *_ = await claim(kit, await a_sending_edition(kit))
    await writer.attempt(partial(offer, kit, [one]))
    os.kill(child_of(writer), signal.SIGSTOP)
    asked = asyncio.create_task(writer.attempt(partial(offer, kit, [two])))
    await asyncio.sleep(0.05)
    asked.cancel()
    await asyncio.sleep(0.05)
    assert not asked.done()
    os.kill(child_of(writer), signal.SIGCONT)
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert (await states(kit))[two.id] is State.OFFERED


async def run(kit: Kit, statement: str) -> None:
    async with kit.store.begin() as tx:
        await tx.execute(text(statement))


async def test_it_is_started_once_for_all_who_want_it_at_once(kit: Kit, writer: Writer) -> None:
    letters = await claim(kit, await a_sending_edition(kit))
    asked = [writer.attempt(partial(offer, kit, [one])) for one in letters]
    assert await asyncio.wait_for(asyncio.gather(*asked), 4) == [({one.id}, []) for one in letters]


async def test_where_it_cannot_be_started_all_is_left_to_the_thread(
    kit: Kit, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    [one, *_] = await claim(kit, await a_sending_edition(kit))
    monkeypatch.setattr("sys.executable", "/bin/false")
    assert await writer.attempt(partial(offer, kit, [one])) is None
    monkeypatch.setattr("sys.executable", "/not/looked/at/for/a/minute")
    assert await writer.attempt(partial(offer, kit, [one])) is None
    assert await writer.run(partial(offer, kit, [one])) == {one.id}


async def test_letters_that_are_no_longer_there_are_not_foreseen(kit: Kit, writer: Writer) -> None:
    [one, *_] = await claim(kit, await a_sending_edition(kit))
    await writer.run(partial(offer, kit, [one]))
    assert await writer.attempt(partial(accept, kit, [one, one._replace(id=one.id + 1_000)])) is None
    assert await writer.attempt(partial(accept, kit, [one])) == ([one.id], [])
