"""Somebody is written to at another address once its mailbox says yes: the same on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from campaign.actions import changing, confirming, finding, journaling, listing, subscribing, suppressing
from campaign.actions.confirming import Confirmed
from campaign.actions.filling import Filling
from campaign.actions.joining import Joined, Request, add
from campaign.actions.kit import Kit
from campaign.domain.addresses import Address, parse_address
from campaign.domain.consent import Reason
from campaign.domain.delivery import Kind, State
from campaign.domain.errors import BadInput, Conflict, NotFound
from campaign.domain.journal import What, parse_line
from campaign.domain.lists import Terms
from campaign.domain.people import parse_person
from campaign.domain.tokens import Link, Purpose
from campaign.store import claims, ledger, suppressions
from campaign.store.claims import Claim
from campaign.store.engine import Store
from campaign.store.schema.ledger import deliveries
from campaign.store.tokens import Token
from tests.builders import a_kit
from tests.clocks import FrozenClock

OLD, NEW, OTHER = (parse_address(f"reader-0{number}@example.org") for number in (1, 2, 3))
WEEK, DAY = timedelta(days=7), timedelta(days=1)


@pytest.fixture
async def kit(store: Store, clock: FrozenClock, home: Path) -> Kit:
    made = a_kit(store, clock, home)
    for slug in ("supporters", "press"):
        await listing.add(made, slug, Terms(slug))
    await put(made, OLD, name="Reader", country="US")
    return made


async def put(kit: Kit, address: Address, slug: str = "supporters", **more: Any) -> None:
    wanted = Request(parse_person(address.wire, **more), slug, "Yes, at the fair", vouched=True)
    assert (await add(kit, wanted)).joined is Joined.ACTIVE


async def letters(kit: Kit) -> list[Any]:
    async with kit.store.read() as tx:
        return list((await tx.execute(select(deliveries).order_by(deliveries.c.id))).all())


async def token(kit: Kit, which: int = -1) -> str:
    letter = (await letters(kit))[which]
    return kit.keys.sign_link(Link(Purpose.CONFIRM, 0, letter.id))


async def states(kit: Kit) -> dict[tuple[str, str], str]:
    return {(row.address.partition("@")[0], row.list): row.state async for row in finding.rows(kit)}


async def test_nothing_changes_until_the_new_mailbox_says_yes_and_then_all_of_it(kit: Kit, clock: FrozenClock) -> None:
    assert await changing.ask(kit, OLD, NEW)
    (letter,) = await letters(kit)
    assert (letter.kind, letter.state, letter.address_key) == (Kind.CONFIRM, State.QUEUED, kit.keys.address_key(NEW))
    assert await states(kit) == {("reader-01", "supporters"): "active"}
    clock.advance(DAY)
    assert await confirming.confirm_by_link(kit, await token(kit)) is Confirmed.ACTIVE
    assert await confirming.confirm_by_link(kit, await token(kit)) is Confirmed.ALREADY
    assert await states(kit) == {("reader-02", "supporters"): "active"}
    page = await finding.show(kit, NEW.wire)
    assert (page.standing.name, page.standing.country) == ("Reader", "US")
    assert [one.wording for one in page.consents] == ["Yes, at the fair"], "the consent came along"
    async with kit.store.read() as tx:
        gone = await suppressions.find(tx, kit.keys.address_key(OLD))
    assert gone is not None
    assert gone.reason is Reason.LEFT
    lines = [parse_line(line) for line in (kit.settings.home / journaling.NAME).read_text().splitlines()]
    assert [(line.what, line.reason) for line in lines if line] == [(What.SUPPRESSED, Reason.LEFT)]


async def test_the_letter_may_be_claimed_and_names_nobody(kit: Kit, clock: FrozenClock) -> None:
    await changing.ask(kit, OLD, NEW)
    async with kit.store.begin() as tx:
        (claimed,), _ = await claims.claim(tx, Claim("worker", None, 10), clock.now())
    filled = await Filling(kit).fill(claimed)
    assert (filled.personal.to, filled.personal.name) == (NEW, "")
    assert b"Reader" not in filled.body
    assert b"reader-01" not in filled.body
    async with kit.store.begin() as tx:
        token_ = Token(claimed.id, claimed.claim_no, "confirm:en", "<x@y>", clock.now(), "main", None)
        assert await ledger.offer(tx, "worker", [token_], clock.now()) == {claimed.id}


async def test_of_two_wishes_the_last_counts_and_one_mailbox_is_asked_once_a_day(kit: Kit, clock: FrozenClock) -> None:
    assert await changing.ask(kit, OLD, NEW)
    assert not await changing.ask(kit, OLD, NEW)
    assert await changing.ask(kit, OLD, OTHER)
    assert await confirming.confirm_by_link(kit, await token(kit, 0)) is Confirmed.GONE
    async with kit.store.begin() as tx:
        claimed, _ = await claims.claim(tx, Claim("worker", None, 10), clock.now())
        tokens = [Token(one.id, one.claim_no, "v", f"<{one.id}@y>", clock.now(), "main", None) for one in claimed]
        granted = await ledger.offer(tx, "worker", tokens, clock.now())
    assert granted == {(await letters(kit))[1].id}, "the first letter is of no use any more"
    assert await confirming.confirm_by_link(kit, await token(kit, 1)) is Confirmed.ACTIVE
    assert await states(kit) == {("reader-03", "supporters"): "active"}


async def test_a_late_yes_and_a_yes_about_somebody_erased_change_nothing(kit: Kit, clock: FrozenClock) -> None:
    await changing.ask(kit, OLD, NEW)
    clock.advance(WEEK)
    assert await confirming.confirm_by_link(kit, await token(kit)) is Confirmed.EXPIRED
    await changing.ask(kit, OLD, NEW)
    await suppressing.erase(kit, OLD)
    assert await confirming.confirm_by_link(kit, await token(kit)) is Confirmed.GONE
    assert await states(kit) == {}
    assert [one.address_sealed for one in await letters(kit)] == [None, None]


async def test_somebody_who_is_known_at_both_becomes_one(kit: Kit) -> None:
    await put(kit, NEW, "press")
    await put(kit, OLD, "press")
    await put(kit, NEW)
    await subscribing.leave(kit, NEW, "supporters")
    await changing.ask(kit, OLD, NEW)
    assert await confirming.confirm_by_link(kit, await token(kit)) is Confirmed.ACTIVE
    assert await states(kit) == {("reader-02", "supporters"): "left", ("reader-02", "press"): "active"}


async def test_the_new_mailboxs_yes_lifts_its_own_leaving(kit: Kit) -> None:
    await suppressing.erase(kit, NEW)
    await changing.ask(kit, OLD, NEW)
    assert await confirming.confirm_by_link(kit, await token(kit)) is Confirmed.ACTIVE
    assert await states(kit) == {("reader-02", "supporters"): "active"}


async def test_who_asked_for_nothing_more_does_not_come_back_by_another_address(kit: Kit) -> None:
    await changing.ask(kit, OLD, NEW)
    await suppressing.suppress(kit, OLD, Reason.LEFT)
    assert await confirming.confirm_by_link(kit, await token(kit)) is Confirmed.ACTIVE
    assert await states(kit) == {("reader-02", "supporters"): "left"}


@pytest.mark.parametrize("who", [OLD, NEW])
@pytest.mark.parametrize("reason", [Reason.COMPLAINED, Reason.BLOCKED])
async def test_nobody_is_mailed_around_a_complaint_or_a_block(kit: Kit, who: Address, reason: Reason) -> None:
    await changing.ask(kit, OLD, NEW)
    await suppressing.suppress(kit, who, reason)
    with pytest.raises(Conflict):
        await changing.ask(kit, OLD, OTHER if who is OLD else NEW)
    assert await confirming.confirm_by_link(kit, await token(kit)) is Confirmed.GONE
    assert ("reader-01", "supporters") in await states(kit)


async def test_what_cannot_be_asked_is_refused(kit: Kit) -> None:
    with pytest.raises(NotFound):
        await changing.ask(kit, NEW, OLD)
    with pytest.raises(BadInput):
        await changing.ask(kit, OLD, parse_address("Reader-01@EXAMPLE.org"))
    await subscribing.leave(kit, OLD)
    with pytest.raises(Conflict, match="active on no list") as refused:
        await changing.ask(kit, OLD, NEW)
    assert "subscribers add reader-02@example.org" in refused.value.remedy
    assert await letters(kit) == []
