"""People are asked whether they still want letters, and leave when they do not answer: on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from campaign.actions import finding, joining, journaling, listing, proving, renewing, subscribing, suppressing
from campaign.actions.confirming import Confirmed
from campaign.actions.filling import Filling
from campaign.actions.joining import Request
from campaign.actions.kit import Kit
from campaign.actions.renewing import Order
from campaign.domain.addresses import Address, parse_address
from campaign.domain.consent import Reason
from campaign.domain.delivery import Kind, State
from campaign.domain.errors import BadInput, Conflict, NotFound
from campaign.domain.journal import What, parse_line
from campaign.domain.lists import Terms
from campaign.domain.people import parse_person
from campaign.domain.tokens import Link, Purpose
from campaign.store import claims, renewals
from campaign.store.claims import Claim
from campaign.store.engine import Store
from campaign.store.schema.ledger import deliveries
from tests.builders import a_kit
from tests.clocks import FrozenClock

WORDS = "I still want letters about the World Day."
DAY, YEAR = timedelta(days=1), timedelta(days=365)


def reader(number: int) -> Address:
    return parse_address(f"reader-{number:02}@example.org")


@pytest.fixture
async def kit(store: Store, clock: FrozenClock, home: Path) -> Kit:
    """Three people of a year ago and one of today."""
    made = a_kit(store, clock, home)
    await listing.add(made, "supporters", Terms("Supporters", language="es"))
    for number in (1, 2, 3):
        await put(made, number)
    clock.advance(YEAR)
    await put(made, 4)
    return made


async def put(kit: Kit, number: int, wording: str = "Yes, at the fair") -> None:
    await joining.add(kit, Request(parse_person(reader(number).wire), "supporters", wording, vouched=bool(wording)))


async def letters(kit: Kit) -> list[Any]:
    async with kit.store.read() as tx:
        return list((await tx.execute(select(deliveries).order_by(deliveries.c.id))).all())


async def arrive(kit: Kit, *numbers: int) -> None:
    """The relay took the letters to these readers."""
    keys = [kit.keys.address_key(reader(number)) for number in numbers]
    async with kit.store.begin() as tx:
        taken = update(deliveries).where(deliveries.c.address_key.in_(keys))
        await tx.execute(taken.values(state=State.ACCEPTED))


async def token(kit: Kit, number: int) -> str:
    key = kit.keys.address_key(reader(number))
    letter = next(one for one in await letters(kit) if one.address_key == key)
    return kit.keys.sign_link(Link(Purpose.RENEW, letter.subscription_id, letter.id))


async def states(kit: Kit) -> dict[str, str]:
    return {row.address[7:9]: row.state async for row in finding.rows(kit)}


def order(kit: Kit, before: datetime | None = None, **more: Any) -> Order:
    return Order("supporters", more.get("wording", WORDS), before or kit.clock.now() - DAY, more.get("wait", 30 * DAY))


async def test_those_with_old_consents_are_asked_once_in_the_exact_words(kit: Kit, clock: FrozenClock) -> None:
    assert await renewing.forecast(kit, order(kit)) == 3
    one = await renewing.run(kit, order(kit))
    assert (one.asked, one.answer_by) == (3, clock.now() + 30 * DAY)
    found = await letters(kit)
    assert {(one.kind, one.state, one.variant) for one in found} == {(Kind.RENEW, State.QUEUED, "renew:1:en")}
    async with kit.store.begin() as tx:
        claimed, _ = await claims.claim(tx, Claim("worker", None, 10), clock.now())
    filled = await Filling(kit).fill(claimed[0])
    assert WORDS.encode() in filled.body
    assert b"List-Unsubscribe-Post" in filled.body
    assert b"/r/" in filled.body


async def test_a_yes_is_a_consent_of_its_own_and_silence_lets_leave(kit: Kit, clock: FrozenClock) -> None:
    one = await renewing.run(kit, order(kit))
    await arrive(kit, 1, 2)
    clock.advance(DAY)
    assert await renewing.renew_by_link(kit, await token(kit, 1)) is Confirmed.ACTIVE
    assert await renewing.renew_by_link(kit, await token(kit, 1)) is Confirmed.ALREADY
    proof = await proving.prove(kit, reader(1).wire)
    said = [(found.wording, found.confirmed_at, found.source.value) for found in proof.consents]
    assert said == [("Yes, at the fair", None, "command"), (WORDS, clock.now(), "letter")]
    with pytest.raises(Conflict, match="answer until"):
        await renewing.lapse(kit, one.id)
    clock.advance(30 * DAY)
    (counted,) = await renewing.every(kit)
    assert (counted.answers.yes, counted.answers.silent) == (1, 1)
    done = await renewing.lapse(kit, one.id)
    assert (done.lapsed, done.closed_at) == (1, clock.now())
    assert (await renewing.lapse(kit, one.id)).lapsed == 1, "again changes nothing"
    assert await states(kit) == {"01": "active", "02": "left", "03": "active", "04": "active"}, "03 got no letter"
    assert await renewing.renew_by_link(kit, await token(kit, 2)) is Confirmed.GONE
    lines = [parse_line(line) for line in (kit.settings.home / journaling.NAME).read_text().splitlines()]
    told = [(line.what, line.key, line.lists) for line in lines if line]
    assert told == [(What.LEFT, kit.keys.address_key(reader(2)), ("supporters",))]


async def test_the_same_order_again_asks_nobody_twice(kit: Kit, clock: FrozenClock) -> None:
    first = await renewing.run(kit, order(kit))
    clock.advance(DAY)
    again = await renewing.run(kit, order(kit, clock.now()))
    assert (again.id, again.asked, len(await letters(kit))) == (first.id, 3, 3)
    clock.advance(30 * DAY)
    await renewing.lapse(kit, first.id)
    assert (await renewing.run(kit, order(kit, clock.now()))).id != first.id, "a year later it may be asked anew"


async def test_a_yes_in_words_that_were_said_before_counts_too(kit: Kit, clock: FrozenClock) -> None:
    one = await renewing.run(kit, order(kit, wording="Yes, at the fair"))
    await arrive(kit, 1, 2, 3)
    assert await renewing.renew_by_link(kit, await token(kit, 3)) is Confirmed.ACTIVE
    clock.advance(31 * DAY)
    await renewing.lapse(kit, one.id)
    assert await states(kit) == {"01": "left", "02": "left", "03": "active", "04": "active"}


async def test_a_consent_by_another_way_counts_and_an_unconfirmed_question_does_not(
    kit: Kit, clock: FrozenClock
) -> None:
    one = await renewing.run(kit, order(kit))
    await arrive(kit, 1, 2, 3)
    await subscribing.leave(kit, reader(2))
    await put(kit, 2, "By phone")  # who left must confirm: pending
    clock.advance(31 * DAY)
    await renewing.lapse(kit, one.id)
    assert await states(kit) == {"01": "left", "02": "pending", "03": "left", "04": "active"}


async def test_an_interrupted_renewal_goes_on_and_asks_nobody_twice(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, clock: FrozenClock
) -> None:
    monkeypatch.setattr(renewals, "CHUNK", 2)
    first = order(kit)

    def stop(_asked: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await renewing.run(kit, first, stop)
    assert len(await letters(kit)) == 2
    clock.advance(31 * DAY)
    with pytest.raises(Conflict, match="interrupted"):
        await renewing.lapse(kit, 1)
    clock.travel_to(clock.now() - 31 * DAY)
    one = await renewing.run(kit, order(kit))
    assert (one.id, one.asked, one.before) == (1, 3, first.before)
    assert len(await letters(kit)) == 3
    await arrive(kit, 1, 2, 3)
    clock.advance(31 * DAY)
    with pytest.raises(KeyboardInterrupt):
        await renewing.lapse(kit, 1, stop)
    assert (await renewing.lapse(kit, 1)).lapsed == 3


async def test_suppressed_and_erased_people_are_not_asked_and_do_not_answer(kit: Kit) -> None:
    await suppressing.suppress(kit, reader(1), Reason.BOUNCED)
    one = await renewing.run(kit, order(kit))
    assert one.asked == 2
    await suppressing.suppress(kit, reader(2))
    await suppressing.erase(kit, reader(3))
    asked = await letters(kit)
    assert [letter.state for letter in asked] == [State.SUPPRESSED, State.SUPPRESSED]
    for letter in asked:
        link = kit.keys.sign_link(Link(Purpose.RENEW, letter.subscription_id or 3, letter.id))
        assert await renewing.renew_by_link(kit, link) is Confirmed.GONE


async def test_the_letter_lets_leave_by_one_click(kit: Kit) -> None:
    await renewing.run(kit, order(kit))
    letter = (await letters(kit))[0]
    token_ = kit.keys.sign_link(Link(Purpose.LEAVE, letter.subscription_id, letter.id))
    assert (await subscribing.leave_by_link(kit, token_)).lists == ("Supporters",)
    assert (await letters(kit))[0].state is State.SUPPRESSED


async def test_what_cannot_be_asked_is_refused(kit: Kit) -> None:
    for wrong in ({"wording": " "}, {"wording": "x" * 3_000}, {"wait": DAY}):
        with pytest.raises(BadInput):
            await renewing.run(kit, order(kit, **wrong))
    with pytest.raises(BadInput):
        renewing.moment_of(kit, "soon")
    with pytest.raises(NotFound):
        await renewing.lapse(kit, 7)
    assert await letters(kit) == []
