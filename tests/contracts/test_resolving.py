"""Letters in doubt wait for a named operator's word: it settles them, it is written down, and it is counted apart."""

from __future__ import annotations

import csv
import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from campaign.actions import accounting, auditing, reporting, resolving
from campaign.actions.kit import Kit
from campaign.actions.resolving import As
from campaign.domain.delivery import Event, State
from campaign.domain.editions import EditionEvent, EditionState
from campaign.domain.errors import Conflict, NotFound
from campaign.store import editions
from campaign.store.audit import Asked
from campaign.store.engine import Store
from tests.builders import a_kit
from tests.clocks import FrozenClock
from tests.contracts.test_ledger import a_sending_edition, claim, offer, replayed, settle, states


@pytest.fixture
async def kit(store: Store, clock: FrozenClock, home: Path) -> Kit:
    return a_kit(store, clock, home)


@pytest.fixture
async def doubted(kit: Kit) -> int:
    """An edition of three letters, two of them in doubt, that is called sent."""
    edition_id = await a_sending_edition(kit, people=3)
    letters = await claim(kit, edition_id)
    await offer(kit, letters)
    await settle(kit, Event.ACCEPT, letters[:1])
    await settle(kit, Event.DOUBT, letters[1:])
    async with kit.store.begin() as tx:
        assert await editions.finish_empty(tx, kit.clock.now()) == [edition_id]
    return edition_id


async def state_of(kit: Kit, edition_id: int) -> EditionState:
    return (await reporting.find_edition(kit, edition_id)).state


async def test_accepted_by_an_operator_s_word_is_counted_apart(kit: Kit, doubted: int) -> None:
    assert await resolving.in_doubt(kit, doubted) == 2
    done = await resolving.resolve(kit, doubted, As.ACCEPTED)
    assert (done.settled, done.left) == (2, 0)
    count, by_word, _ = await reporting.one_edition(kit, doubted)
    assert (count.by_state["accepted"], by_word, count.reconciled) == (3, 2, True)
    assert await replayed(kit) == await states(kit)
    [(_, deed)] = [one async for one in auditing.entries(kit, Asked(), 1)]
    assert (deed.action, deed.after) == (
        "delivery.resolve",
        {"letters": 2, "as": "accepted", "reason": "operator"},
    )
    assert deed.operator == kit.operator
    assert (await resolving.resolve(kit, doubted, As.ACCEPTED)).settled == 0, "again changes nothing"


async def test_what_is_sent_again_is_claimed_at_once_and_its_edition_sends(kit: Kit, doubted: int) -> None:
    done = await resolving.resolve(kit, doubted, As.RESEND)
    assert (done.settled, done.left) == (2, 0)
    assert await state_of(kit, doubted) is EditionState.SENDING
    again = await claim(kit, doubted)
    assert {letter.attempts for letter in again} == {2}
    assert {letter.message_id for letter in again} == {f"<d.{letter.id}@example.org>" for letter in again}


async def test_what_is_over_or_has_had_its_attempts_is_not_sent_again(
    kit: Kit, doubted: int, clock: FrozenClock
) -> None:
    clock.advance(timedelta(days=3))
    done = await resolving.resolve(kit, doubted, As.RESEND)
    assert (done.settled, done.left) == (0, 2)
    assert await state_of(kit, doubted) is EditionState.SENT
    assert (await resolving.resolve(kit, doubted, As.EXPIRE)).settled == 2
    assert sorted((await states(kit)).values()) == [State.ACCEPTED, State.EXPIRED, State.EXPIRED]


async def test_nothing_of_a_cancelled_edition_is_sent_again(kit: Kit) -> None:
    edition_id = await a_sending_edition(kit, people=1)
    letters = await claim(kit, edition_id)
    await offer(kit, letters)
    await settle(kit, Event.DOUBT, letters)
    async with kit.store.begin() as tx:
        assert await editions.advance(tx, edition_id, EditionEvent.CANCEL, kit.clock.now())
    with pytest.raises(Conflict):
        await resolving.resolve(kit, edition_id, As.RESEND)
    assert (await resolving.resolve(kit, edition_id, As.ACCEPTED)).settled == 1


async def test_an_edition_that_is_not_there(kit: Kit) -> None:
    with pytest.raises(NotFound):
        await resolving.resolve(kit, "no/such/edition", As.EXPIRE)


async def test_letters_are_written_down_for_other_programs(kit: Kit, doubted: int, tmp_path: Path) -> None:
    sheet, lines = tmp_path / "letters.csv", tmp_path / "doubts.jsonl"
    assert await accounting.export(kit, str(doubted), sheet) == 3
    assert await accounting.export(kit, str(doubted), lines, State.IN_DOUBT) == 2
    rows = list(csv.DictReader(sheet.read_text(encoding="utf-8-sig").splitlines()))
    assert [row["state"] for row in rows] == ["accepted", "in_doubt", "in_doubt"]
    assert {row["relay"] for row in rows} == {"main"}
    found = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert [one["address"] for one in found] == [row["address"] for row in rows[1:]]
    assert list(found[0]) == list(reporting.COLUMNS)
    assert stat.S_IMODE(sheet.stat().st_mode) == 0o600
    assert sorted(one.name for one in tmp_path.iterdir() if one.is_file() and ".part" in one.name) == []
