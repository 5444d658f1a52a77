"""An import is taken back: everything is as before, but for what happened since. On both databases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, select, text

from campaign.actions import confirming, describing, importing, joining, listing, subscribing, suppressing, undoing
from campaign.actions.importing import Order
from campaign.actions.kit import Kit
from campaign.actions.unpacking import FileRefused
from campaign.domain.addresses import parse_address
from campaign.domain.attributes import Attribute, AttributeKind
from campaign.domain.errors import Conflict, NotFound
from campaign.domain.lists import Terms
from campaign.domain.people import parse_person
from campaign.domain.tokens import Link, Purpose
from campaign.store import undos
from campaign.store.engine import Store
from campaign.store.imports import State
from campaign.store.schema.ledger import deliveries
from campaign.store.schema.people import import_changes, subscribers, subscriptions
from tests.builders import a_kit
from tests.clocks import FrozenClock

WORDING = "Yes, please. Sign-up sheet, 2026"
Import = Callable[..., Awaitable[int]]


@pytest.fixture
async def kit(store: Store, clock: FrozenClock, home: Path) -> Kit:
    made = a_kit(store, clock, home)
    await listing.add(made, "supporters", Terms("Supporters"))
    await listing.add(made, "press", Terms("Press"))
    await describing.add(made, Attribute("gift", AttributeKind.NUMBER))
    return made


@pytest.fixture
def bring(kit: Kit, tmp_path: Path) -> Import:
    """Import lines under a header; return the import's id."""

    async def go(
        *lines: str, onto: str = "supporters", header: str = "email,name,country,gift,note", **more: Any
    ) -> int:
        path = tmp_path / "people.csv"
        path.write_text("\n".join([header, *lines, ""]), "utf-8")
        await importing.run(kit, Order(path, onto, WORDING, **more))
        return (await undoing.every(kit))[0].id

    return go


async def everything(kit: Kit) -> list[Any]:
    """What is known about everybody, opened, without ids and times."""
    found: list[Any] = []
    async with kit.store.read() as tx:
        for row in await tx.execute(select(subscribers).order_by(subscribers.c.address_key)):
            opened = [
                kit.keys.open(sealed, purpose=purpose) if sealed else None
                for sealed, purpose in ((row.address_sealed, "address"), (row.name_sealed, "name"))
            ]
            notes = (
                json.loads(kit.keys.open(row.attributes_sealed, purpose="attributes")) if row.attributes_sealed else {}
            )
            mine = select(subscriptions).where(subscriptions.c.subscriber_id == row.id)
            lists = [(one.list_id, one.state.value) for one in await tx.execute(mine.order_by(subscriptions.c.list_id))]
            found.append([*opened, row.country, row.attributes, notes, row.topics, lists])
        found.append((await tx.execute(text("SELECT count(*) FROM consents"))).scalar_one())
    return found


async def count(kit: Kit, table: Table) -> int:
    async with kit.store.read() as tx:
        return len((await tx.execute(select(table.c.id))).all())


async def test_what_was_added_goes_and_what_was_changed_is_as_before(kit: Kit, bring: Import) -> None:
    await bring("reader-01@example.org,One,US,5,met at the fair", "reader-02@example.org,,,,")
    before = await everything(kit)
    second = await bring(
        "reader-01@example.org,Eins,DE,7,", "reader-02@example.org,Zwei,,1,note", "reader-03@example.org,Drei,GB,2,x"
    )
    assert await everything(kit) != before
    done = await undoing.undo(kit, second)
    assert (done.taken, done.kept, done.restored) == (1, 0, 2)
    assert await everything(kit) == before
    assert (await undoing.find(kit, second)).state is State.UNDONE
    assert await count(kit, import_changes) == 0
    assert (await undoing.undo(kit, second)).taken == 0


async def test_an_import_after_an_undo_is_a_new_one(kit: Kit, bring: Import) -> None:
    first = await bring("reader-01@example.org,One,US,5,x")
    whole = await everything(kit)
    await undoing.undo(kit, first)
    assert await everything(kit) == [0]
    assert await bring("reader-01@example.org,One,US,5,x") != first
    assert await everything(kit) == whole


async def test_nobody_who_left_was_erased_or_blocked_comes_back(kit: Kit, bring: Import) -> None:
    lines = [f"reader-0{n}@example.org,,,," for n in range(1, 5)]
    first = await bring(*lines)
    one, two, three, _ = (parse_address(line.partition(",")[0]) for line in lines)
    await subscribing.leave(kit, one)
    await suppressing.erase(kit, two)
    await suppressing.suppress(kit, three)
    done = await undoing.undo(kit, first)
    assert (done.taken, done.kept) == (2, 1)
    await bring(*lines)
    states = {row[0]: row[-1] for row in (await everything(kit))[:-1]}
    assert [state for _, state in states[one.wire]] == ["left"]
    assert two.wire not in states
    assert three.wire not in states
    assert [state for _, state in states["reader-04@example.org"]] == ["active"]


async def test_what_happened_since_stays(kit: Kit, bring: Import) -> None:
    first = await bring(*(f"reader-0{n}@example.org,Name,US,5,x" for n in range(1, 4)))
    await bring("reader-01@example.org,Name,US,5,x", onto="press")
    vouched = joining.Request(parse_person("reader-02@example.org"), "supporters", "Asked on the phone", vouched=True)
    await joining.add(kit, vouched)
    await undoing.undo(kit, first)
    states = {row[0]: len(row[-1]) for row in (await everything(kit))[:-1]}
    assert states == {"reader-01@example.org": 1}, "who only repeated what the import said goes with it"


async def test_a_value_that_somebody_changed_since_stays(kit: Kit, bring: Import) -> None:
    await bring("reader-01@example.org,One,US,5,x")
    second = await bring("reader-01@example.org,Eins,DE,6,y")
    await bring("reader-01@example.org,Uno,,7,")
    await undoing.undo(kit, second)
    [row, _] = await everything(kit)
    assert row[1:5] == ["Uno", "US", {"gift": 7}, {"note": "x"}]


async def test_somebody_whom_the_import_confirmed_waits_again(kit: Kit, bring: Import) -> None:
    await joining.add(kit, joining.Request(parse_person("reader-01@example.org"), "supporters"))
    before = await everything(kit)
    second = await bring("reader-01@example.org,,,,")
    assert (await everything(kit))[0][-1][0][1] == "active"
    await undoing.undo(kit, second)
    assert await everything(kit) == before


async def test_letters_that_wait_for_people_who_are_taken_away_do_not_go(kit: Kit, bring: Import) -> None:
    first = await bring("reader-01@example.org,,,,", confirm=True)
    await undoing.undo(kit, first)
    async with kit.store.read() as tx:
        [letter] = (await tx.execute(select(deliveries.c.state, deliveries.c.subscriber_id))).all()
    assert (letter.state.value, letter.subscriber_id) == ("suppressed", None)


async def test_somebody_who_confirmed_by_the_letter_stays(kit: Kit, bring: Import) -> None:
    first = await bring("reader-01@example.org,,,,", "reader-02@example.org,,,,", confirm=True)
    async with kit.store.read() as tx:
        about = (deliveries.c.id, deliveries.c.subscription_id, deliveries.c.address_key)
        key = kit.keys.address_key(parse_address("reader-01@example.org"))
        letter = (await tx.execute(select(*about).where(deliveries.c.address_key == key))).one()
    link = kit.keys.sign_link(Link(Purpose.CONFIRM, letter.subscription_id, letter.id))
    assert await confirming.confirm_by_link(kit, link) is confirming.Confirmed.ACTIVE
    done = await undoing.undo(kit, first)
    assert (done.taken, done.kept) == (1, 1)
    [row, consented] = await everything(kit)
    assert (row[0], [state for _, state in row[-1]], consented) == ("reader-01@example.org", ["active"], 1)


async def test_nothing_names_a_person_whom_an_undo_took_away(kit: Kit, bring: Import) -> None:
    first = await bring("reader-01@example.org,,,,", confirm=True)
    await undoing.undo(kit, first)
    async with kit.store.read() as tx:
        columns = (deliveries.c.address_sealed, deliveries.c.name_sealed, deliveries.c.subscriber_id)
        assert [tuple(row) for row in await tx.execute(select(*columns))] == [(None, None, None)]


async def test_a_leave_during_an_undo_is_not_lost(kit: Kit, bring: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL a leave that begins while a chunk is under way waits for it, and finds nobody; or comes first."""
    first = await bring(*(f"reader-0{n}@example.org,,,," for n in range(1, 4)))
    leaving = asyncio.create_task(subscribing.leave(kit, parse_address("reader-02@example.org")))
    undone, _ = await asyncio.gather(undoing.undo(kit, first), leaving)
    left = [row for row in (await everything(kit))[:-1] if row[0] == "reader-02@example.org"]
    assert undone.taken + undone.kept == 3
    if leaving.result().lists:
        assert [state for _, state in left[0][-1]] == ["left"]
    else:
        assert left == []


class Power(Exception):
    """It went."""


@pytest.mark.parametrize("chunks", [1, 2, 3])
async def test_an_undo_that_was_interrupted_goes_on(
    kit: Kit, bring: Import, monkeypatch: pytest.MonkeyPatch, chunks: int
) -> None:
    monkeypatch.setattr(undos, "CHUNK", 2)
    first = await bring(*(f"reader-0{n}@example.org,,,," for n in range(1, 8)))

    def stop(done: int) -> None:
        if done >= 2 * chunks:
            raise Power

    with pytest.raises(Power):
        await undoing.undo(kit, first, stop)
    assert (await undoing.find(kit, first)).state is State.UNDOING
    assert (await undoing.find(kit, first)).undone == 2 * chunks
    await undoing.undo(kit, first)
    assert await everything(kit) == [0]
    assert (await undoing.find(kit, first)).undone == 7


async def test_an_interrupted_import_is_resumed_from_its_file(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK", 2)
    path = tmp_path / "people.csv"
    lines = ["Mail,x", *(f"reader-0{n}@example.org,y" for n in range(1, 8))]
    path.write_text("\n".join(lines), "utf-8")

    def stop(rows: int, _rate: float) -> None:
        if rows == 4:
            raise Power

    with pytest.raises(Power):
        await importing.run(kit, Order(path, "supporters", WORDING, mapping={"x": "-"}), stop)
    [found] = await undoing.every(kit)
    assert (found.state, found.tally.added) == (State.RUNNING, 4)
    path.write_text("\n".join([*lines, "reader-09@example.org,y"]), "utf-8")
    with pytest.raises(FileRefused, match="changed"):
        await undoing.resume(kit, found.id, lambda _rows, _rate: None)
    path.write_text("\n".join(lines), "utf-8")
    report = await undoing.resume(kit, found.id, lambda _rows, _rate: None)
    assert (report.resumed, report.tally.added) == (4, 7)
    assert [row[4] for row in (await everything(kit))[:-1]] == [{}] * 7, "the mapping is the same as before"
    with pytest.raises(Conflict, match="finished"):
        await undoing.resume(kit, found.id, lambda _rows, _rate: None)
    with pytest.raises(NotFound):
        await undoing.undo(kit, 99)


async def test_a_half_import_can_be_undone_and_is_not_gone_on_with(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK", 2)
    path = tmp_path / "people.csv"
    path.write_text("\n".join(["email", *(f"reader-0{n}@example.org" for n in range(1, 6))]), "utf-8")

    def stop(_rows: int, _rate: float) -> None:
        raise Power

    with pytest.raises(Power):
        await importing.run(kit, Order(path, "supporters", WORDING), stop)
    [found] = await undoing.every(kit)
    await undoing.undo(kit, found.id)
    assert await everything(kit) == [0]
    report = await importing.run(kit, Order(path, "supporters", WORDING))
    assert (report.resumed, report.tally.added) == (0, 5)
