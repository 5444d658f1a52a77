"""People join, confirm, leave, are suppressed and erased: the same on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from campaign.actions import confirming, finding, joining, listing, subscribing, suppressing
from campaign.actions.confirming import Confirmed
from campaign.actions.joining import Answer, Joined, Request
from campaign.actions.kit import Kit
from campaign.domain.addresses import Address, parse_address
from campaign.domain.campaigns import Definition
from campaign.domain.consent import OptIn, Reason, SubscriptionState
from campaign.domain.delivery import Kind, State
from campaign.domain.errors import BadInput, Conflict, NotFound
from campaign.domain.lists import Terms
from campaign.domain.people import PersonRow, parse_person
from campaign.domain.tokens import Link, Purpose, TokenRefused
from campaign.store import campaigns, people, suppressions
from campaign.store.engine import Store
from campaign.store.schema.ledger import deliveries, editions
from campaign.store.schema.people import consents, subscribers, subscriptions
from tests.builders import a_kit
from tests.clocks import FrozenClock

ONE = parse_address("reader-01@example.org")
TWO = parse_address("reader-02@example.org")
DAY = timedelta(days=1)


@pytest.fixture
async def kit(store: Store, clock: FrozenClock, home: Path) -> Kit:
    made = a_kit(store, clock, home)
    await listing.add(made, "supporters", Terms("Supporters", language="es"))
    await listing.add(made, "press", Terms("The press", opt_in=OptIn.SINGLE))
    return made


async def put(kit: Kit, address: Address = ONE, slug: str = "supporters", **more: Any) -> Answer:
    wording = more.pop("wording", "")
    person = parse_person(address.wire, **more)
    return await joining.add(kit, Request(person, slug, wording, vouched=bool(wording)))


async def rows(kit: Kit, slug: str | None = None) -> list[PersonRow]:
    return [row async for row in finding.rows(kit, slug)]


async def states(kit: Kit) -> dict[tuple[str, str], str]:
    return {(row.address.partition("@")[0], row.list): row.state for row in await rows(kit)}


async def letters(kit: Kit) -> list[Any]:
    async with kit.store.read() as tx:
        return list((await tx.execute(select(deliveries).order_by(deliveries.c.id))).all())


def link(kit: Kit, purpose: Purpose, letter: Any) -> str:
    return kit.keys.sign_link(Link(purpose, letter.subscription_id, letter.id))


async def an_edition(kit: Kit, *lists: str) -> int:
    """A campaign to these lists with one edition, sending."""
    now = kit.clock.now()
    async with kit.store.begin() as tx:
        ids = [(await listing.require(tx, slug)).id for slug in lists]
        campaign = await campaigns.add(tx, "news", Definition(every="monday", lists=lists), ids, now)
        values = {"step": "every", "occurrence": "2027-06-07", "name": "news/every/2027-06-07", "state": "sending"}
        instants = dict.fromkeys(("starts_at", "ends_at", "latest_start", "moved_at"), now)
        made = insert(editions).values(campaign_id=campaign, day="2027-06-07", excluded={}, **values, **instants)
        return int((await tx.execute(made.returning(editions.c.id))).scalar_one())


async def a_letter(kit: Kit, edition: int | None, address: Address = ONE, slug: str = "supporters") -> Any:
    """A letter in the ledger, waiting."""
    now, key = kit.clock.now(), kit.keys.address_key(address)
    async with kit.store.begin() as tx:
        person = await people.find(tx, key)
        assert person is not None
        standing = await people.subscription(tx, person.id, (await listing.require(tx, slug)).id)
        assert standing is not None
        kind = Kind.WELCOME if edition is None else Kind.EDITION
        values = {"kind": kind, "edition_id": edition, "purpose_key": f"{kind}:{edition}:{key.hex()}", "relay": "main"}
        who = {"subscriber_id": person.id, "subscription_id": standing.id, "address_key": key, "domain": address.domain}
        when = {"due_at": now, "valid_until": now + 2 * DAY, "moved_at": now, "state": State.QUEUED}
        made = insert(deliveries).values(address_sealed=person.address_sealed, **values, **who, **when)
        return (await tx.execute(made.returning(deliveries))).one()


# Joining


async def test_double_opt_in_asks_by_letter_and_the_link_confirms(kit: Kit, clock: FrozenClock) -> None:
    assert await put(kit, name="Ünïcode Näme", country="us") == Answer(Joined.ASKED)
    assert await states(kit) == {("reader-01", "supporters"): "pending"}
    (letter,) = await letters(kit)
    assert (letter.kind, letter.state, letter.due_at) == (Kind.CONFIRM, State.QUEUED, clock.now())
    assert letter.valid_until == clock.now() + timedelta(days=7)
    assert letter.purpose_key == f"confirm:{letter.subscription_id}:1"
    assert letter.variant == "confirm:es", "the list's language, where the person named none"
    assert kit.keys.open(letter.address_sealed, purpose="address") == ONE.wire
    clock.advance(DAY)
    assert await confirming.confirm_by_link(kit, link(kit, Purpose.CONFIRM, letter)) is Confirmed.ACTIVE
    assert await confirming.confirm_by_link(kit, link(kit, Purpose.CONFIRM, letter)) is Confirmed.ALREADY
    assert await states(kit) == {("reader-01", "supporters"): "active"}
    page = await finding.show(kit, ONE.wire)
    assert page.standing.subscriptions[0].confirmed_at == page.consents[0].confirmed_at == clock.now()


async def test_single_opt_in_and_a_stated_consent_are_active_at_once(kit: Kit) -> None:
    assert (await put(kit, slug="press")).joined is Joined.ACTIVE
    assert (await put(kit, wording="Yes, at the fair")).joined is Joined.ACTIVE
    assert await letters(kit) == []
    page = await finding.show(kit, ONE.wire)
    assert [(one.list, one.recorded_by) for one in page.consents] == [
        ("press", "local:test"),
        ("supporters", "local:test"),
    ]
    assert page.consents[1].wording == "Yes, at the fair"


async def test_the_same_again_changes_nothing_and_news_about_a_person_is_kept(kit: Kit) -> None:
    await put(kit, wording="yes", name="Reader", country="US")
    assert await put(kit, wording="yes", name="Reader", country="US") == Answer(Joined.ALREADY)
    assert await put(kit, wording="yes") == Answer(Joined.ALREADY), "what is not said stays"
    assert await put(kit, wording="yes", country="GB", timezone="Europe/London") == Answer(Joined.ALREADY, changed=True)
    assert await put(kit, Address("READER-01", "example.org"), wording="yes") == Answer(Joined.ALREADY)
    assert await rows(kit) == [
        PersonRow(ONE.wire, "Reader", "supporters", "active", "GB", None, "Europe/London"),
    ]
    assert len((await finding.show(kit, ONE.wire)).consents) == 1


async def test_nobody_is_asked_twice_a_day(kit: Kit, clock: FrozenClock) -> None:
    await listing.add(kit, "friends", Terms("Friends"))
    assert (await put(kit)).joined is Joined.ASKED
    assert (await put(kit)).joined is Joined.ASKED_BEFORE
    assert (await put(kit, slug="friends")).joined is Joined.ASKED
    first, other = await letters(kit)
    assert other.due_at == first.due_at + DAY, "about another list, but not on the same day"
    assert other.valid_until == other.due_at + timedelta(days=7)
    clock.advance(DAY)
    assert (await put(kit)).joined is Joined.ASKED
    third = (await letters(kit))[-1]
    assert third.purpose_key == f"confirm:{first.subscription_id}:2"
    assert third.due_at == other.due_at + DAY


async def test_a_link_to_confirm_ends_after_seven_days_and_is_good_for_nothing_else(
    kit: Kit, clock: FrozenClock
) -> None:
    await put(kit)
    (letter,) = await letters(kit)
    with pytest.raises(TokenRefused):
        await confirming.confirm_by_link(kit, link(kit, Purpose.LEAVE, letter))
    foreign = kit.keys.sign_link(Link(Purpose.CONFIRM, letter.subscription_id, letter.id + 1))
    assert await confirming.confirm_by_link(kit, foreign) is Confirmed.GONE
    clock.advance(timedelta(days=7))
    assert await confirming.confirm_by_link(kit, link(kit, Purpose.CONFIRM, letter)) is Confirmed.EXPIRED
    assert await states(kit) == {("reader-01", "supporters"): "pending"}


# Leaving


async def test_who_left_comes_back_by_their_own_confirmation_only(kit: Kit, clock: FrozenClock) -> None:
    await put(kit, wording="yes")
    left = clock.advance(DAY)
    assert (await subscribing.leave(kit, ONE)).lists == ("Supporters",)
    assert (await subscribing.leave(kit, ONE)).lists == ()
    clock.advance(DAY)
    assert (await put(kit, wording="they called")).joined is Joined.ASKED, "whatever an operator states"
    standing = (await finding.show(kit, ONE.wire)).standing.subscriptions[0]
    assert (standing.state, standing.left_at) == (SubscriptionState.PENDING, left)
    (letter,) = await letters(kit)
    assert await confirming.confirm_by_link(kit, link(kit, Purpose.CONFIRM, letter)) is Confirmed.ACTIVE
    page = await finding.show(kit, ONE.wire)
    assert page.standing.subscriptions[0].left_at is None
    assert [one.confirmed_at for one in page.consents] == [None, clock.now()], "only what was asked since"


async def test_leaving_before_confirming_makes_the_link_worthless(kit: Kit) -> None:
    await put(kit)
    (letter,) = await letters(kit)
    await subscribing.leave(kit, ONE, "supporters")
    assert (await letters(kit))[0].state is State.SUPPRESSED
    assert await confirming.confirm_by_link(kit, link(kit, Purpose.CONFIRM, letter)) is Confirmed.GONE
    assert await states(kit) == {("reader-01", "supporters"): "left"}


async def test_leaving_by_link_leaves_the_whole_audience_of_that_letter_and_no_other_list(kit: Kit) -> None:
    await listing.add(kit, "friends", Terms("Friends"))
    for slug in ("supporters", "press", "friends"):
        await put(kit, slug=slug, wording="yes")
    await put(kit, TWO, wording="yes")
    letter = await a_letter(kit, await an_edition(kit, "supporters", "press"))
    found = await subscribing.leave_by_link(kit, link(kit, Purpose.LEAVE, letter))
    assert found.lists == ("Supporters", "The press")
    assert (await subscribing.leave_by_link(kit, link(kit, Purpose.LEAVE, letter))).lists == ()
    assert await states(kit) == {
        ("reader-01", "supporters"): "left",
        ("reader-01", "press"): "left",
        ("reader-01", "friends"): "active",
        ("reader-02", "supporters"): "active",
    }
    assert [one.state for one in await letters(kit)] == [State.SUPPRESSED], "the waiting letter is out, too"


async def test_leaving_by_the_link_of_a_service_letter_leaves_its_list(kit: Kit) -> None:
    await put(kit, slug="press", wording="yes")
    await put(kit, wording="yes")
    letter = await a_letter(kit, None)
    assert (await subscribing.leave_by_link(kit, link(kit, Purpose.LEAVE, letter))).lists == ("Supporters",)
    bare = kit.keys.sign_link(Link(Purpose.LEAVE, letter.subscription_id + 1, 0))
    assert (await subscribing.leave_by_link(kit, bare)).lists == ()
    async with kit.store.read() as tx:
        press = (await tx.execute(select(subscriptions.c.id).where(subscriptions.c.list_id == 2))).scalar_one()
    bare = kit.keys.sign_link(Link(Purpose.LEAVE, press, 0))
    assert (await subscribing.leave_by_link(kit, bare)).lists == ("The press",)


async def test_leaving_one_list_keeps_the_letters_of_another(kit: Kit) -> None:
    await put(kit, wording="yes")
    await put(kit, slug="press")
    await a_letter(kit, await an_edition(kit, "supporters", "press"))
    await subscribing.leave(kit, ONE, "press")
    assert [one.state for one in await letters(kit)] == [State.QUEUED], "still on a list of the audience"
    with pytest.raises(NotFound, match="Known: press, supporters"):
        await subscribing.leave(kit, ONE, "nowhere")


# Suppressing and erasing


async def test_a_blocked_address_is_never_asked_nor_stored(kit: Kit) -> None:
    assert await suppressing.suppress(kit, ONE)
    assert not await suppressing.suppress(kit, ONE)
    answer = await put(kit, wording="they said so")
    assert (answer.joined, answer.reason) == (Joined.REFUSED, "This address is blocked by an operator.")
    assert await rows(kit) == []
    assert await letters(kit) == []


async def test_a_suppressed_person_shows_as_such_and_their_letters_are_out(kit: Kit) -> None:
    await put(kit, wording="yes")
    await a_letter(kit, await an_edition(kit, "supporters"))
    await suppressing.suppress(kit, ONE)
    assert await states(kit) == {("reader-01", "supporters"): "suppressed"}
    assert [one.state for one in await letters(kit)] == [State.SUPPRESSED]
    assert (await listing.show(kit, "supporters")).people == {"active": 1, "suppressed": 1}


async def test_a_complaint_after_the_letter_makes_its_link_worthless(kit: Kit) -> None:
    await put(kit)
    (letter,) = await letters(kit)
    await suppressing.suppress(kit, ONE, Reason.COMPLAINED)
    assert await confirming.confirm_by_link(kit, link(kit, Purpose.CONFIRM, letter)) is Confirmed.GONE


@pytest.mark.parametrize("reason", [Reason.BOUNCED, Reason.ERASED])
async def test_an_active_person_who_bounced_is_asked_anew_and_confirming_lifts_it(kit: Kit, reason: Reason) -> None:
    await put(kit, wording="yes")
    await suppressing.suppress(kit, ONE, reason)
    assert (await put(kit, wording="they wrote from there")).joined is Joined.ASKED
    assert await states(kit) == {("reader-01", "supporters"): "suppressed"}
    (letter,) = await letters(kit)
    assert await confirming.confirm_by_link(kit, link(kit, Purpose.CONFIRM, letter)) is Confirmed.ACTIVE
    assert await states(kit) == {("reader-01", "supporters"): "active"}


async def test_erasing_leaves_a_hash_and_no_trace_of_the_person(kit: Kit) -> None:
    await put(kit, wording="yes", name="Reader", country="US")
    await put(kit, TWO, wording="yes")
    await a_letter(kit, await an_edition(kit, "supporters"))
    done = await suppressing.erase(kit, ONE)
    assert (done.person, done.suppressed, done.files) == (True, True, ())
    async with kit.store.read() as tx:
        for table in (subscribers, subscriptions, consents):
            assert len((await tx.execute(select(table))).all()) == 1, "only the other person is left"
        found = await suppressions.find(tx, kit.keys.address_key(ONE))
        (letter,) = (await tx.execute(select(deliveries))).all()
    assert found is not None
    assert (found.reason, found.recorded_by) == (Reason.ERASED, "local:test")
    assert (letter.state, letter.subscriber_id, letter.address_sealed) == (State.SUPPRESSED, None, None)
    again = await suppressing.erase(kit, ONE)
    assert (again.person, again.suppressed) == (False, False)
    unknown = await suppressing.erase(kit, parse_address("reader-09@example.org"))
    assert (unknown.person, unknown.suppressed) == (False, True)


async def test_links_of_an_erased_person_do_nothing_to_whoever_comes_next(kit: Kit) -> None:
    await put(kit)
    (letter,) = await letters(kit)
    confirm, leave = link(kit, Purpose.CONFIRM, letter), link(kit, Purpose.LEAVE, letter)
    await suppressing.erase(kit, ONE)
    await put(kit, TWO)
    assert (await letters(kit))[-1].subscription_id != letter.subscription_id, "ids are not given twice"
    assert await confirming.confirm_by_link(kit, confirm) is Confirmed.GONE
    assert (await subscribing.leave_by_link(kit, leave)).lists == ()
    assert await states(kit) == {("reader-02", "supporters"): "pending"}


async def test_an_erased_person_may_come_back_by_themselves(kit: Kit) -> None:
    await put(kit, wording="yes", name="Reader")
    await suppressing.erase(kit, ONE)
    assert (await put(kit, slug="press")).joined is Joined.ASKED, "even on a single opt-in list"
    (letter,) = await letters(kit)
    assert await confirming.confirm_by_link(kit, link(kit, Purpose.CONFIRM, letter)) is Confirmed.ACTIVE
    assert await rows(kit) == [PersonRow(ONE.wire, "", "press", "active", None, None, None)]


async def test_reasons_only_grow_stronger(kit: Kit) -> None:
    key = kit.keys.address_key(ONE)
    for reason, expected in [
        (Reason.BOUNCED, Reason.BOUNCED),
        (Reason.ERASED, Reason.ERASED),
        (Reason.BOUNCED, Reason.ERASED),
        (Reason.BLOCKED, Reason.BLOCKED),
        (Reason.COMPLAINED, Reason.BLOCKED),
        (Reason.ERASED, Reason.BLOCKED),
    ]:
        await suppressing.suppress(kit, ONE, reason)
        async with kit.store.read() as tx:
            found = await suppressions.find(tx, key)
        assert found is not None
        assert found.reason is expected
    async with kit.store.begin() as tx:
        assert not await suppressions.lift(tx, key)


# Finding


async def test_people_are_found_by_address_and_by_a_part_of_address_or_name(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("campaign.store.roster.PAGE", 2)
    for n in range(1, 6):
        await put(kit, parse_address(f"reader-{n:02}@example{n % 2}.org"), wording="yes", name=f"Ünïcode Näme {n}")
    await put(kit, parse_address("reader-01@example1.org"), slug="press")

    async def found(text: str) -> list[str]:
        return [f"{row.address.partition('@')[0]} {row.list}" async for row in finding.find(kit, text)]

    assert await found(" READER-01@example1.org") == ["reader-01 supporters", "reader-01 press"]
    assert await found("reader-09@example.org") == []
    assert await found("unicode name 4") == ["reader-04 supporters"]
    assert await found("@EXAMPLE0") == ["reader-02 supporters", "reader-04 supporters"]
    with pytest.raises(BadInput, match="nothing to look for"):
        await found("  ")
    await subscribing.leave(kit, parse_address("reader-03@example1.org"))
    assert [row.state for row in await rows(kit, "supporters")] == ["active"] * 4 + ["left"]
    assert len(await rows(kit)) == 6


async def test_one_person_s_page_and_why_they_would_get_no_letter(kit: Kit) -> None:
    await put(kit, wording="yes", name="Reader", language="en", timezone="Europe/Berlin")
    await a_letter(kit, await an_edition(kit, "supporters"))
    page = await finding.show(kit, ONE.wire)
    assert [(one.kind, one.edition, one.state) for one in page.letters] == [
        (Kind.EDITION, "news/every/2027-06-07", "queued")
    ]
    assert page.row()["consents"][0]["wording"] == "yes"
    someone = await subscribing.standing(kit, ONE.wire)
    assert (someone.address, someone.name, someone.language) == (ONE, "Reader", "en")
    assert list(someone.reasons(["supporters", "press"])) == []
    assert list(someone.reasons(["press"])) == ["not on the list press"]
    await subscribing.leave(kit, ONE)
    await suppressing.suppress(kit, ONE)
    someone = await subscribing.standing(kit, ONE.wire)
    assert list(someone.reasons(["supporters"])) == [
        "suppressed since 2027-06-01 (blocked)",
        "left the list supporters on 2027-06-01",
    ]
    with pytest.raises(NotFound):
        await finding.show(kit, TWO.wire)


async def test_nothing_in_the_database_names_a_person(kit: Kit, tmp_path: Path) -> None:
    await put(kit, wording="yes", name="Ünïcode Näme")
    async with kit.store.read() as tx:
        row = (await tx.execute(select(subscribers))).one()
    text = repr(row).encode() + row.address_sealed + row.name_sealed
    assert b"reader-01" not in text
    assert b"code" not in text


# Lists


async def test_lists_are_made_edited_and_retired(kit: Kit) -> None:
    terms = Terms("Friends", language="PT_br", timezone="europe/berlin")
    assert await listing.add(kit, "friends", terms)
    assert not await listing.add(kit, "friends", terms), "the same again"
    with pytest.raises(Conflict, match="there already"):
        await listing.add(kit, "friends", Terms("Others"))
    assert await listing.edit(kit, "friends", {"name": "All friends", "timezone": ""})
    assert not await listing.edit(kit, "friends", {"name": " All  friends"})
    shown = (await listing.show(kit, "friends")).list.terms
    assert shown == Terms("All friends", language="pt-BR")
    for wrong in (
        {"description": "red \x1b[31m"},
        {"name": " "},
        {"name": "a\x00b"},
        {"language": "English"},
        {"timezone": "Berlin"},
    ):
        with pytest.raises(BadInput):
            await listing.edit(kit, "friends", wrong)
    for slug in ("", "A b", "7", "x" * 81):
        with pytest.raises(BadInput):
            await listing.add(kit, slug, terms)
    assert await listing.retire(kit, "friends")
    assert not await listing.retire(kit, "friends")
    assert [one.list.slug for one in await listing.every(kit)] == ["press", "supporters"]
    assert len(await listing.every(kit, retired=True)) == 3
    with pytest.raises(NotFound, match="retired"):
        await put(kit, slug="friends")
    with pytest.raises(Conflict, match="retired"):
        await listing.add(kit, "friends", terms)


async def test_a_list_that_a_campaign_uses_is_not_retired(kit: Kit) -> None:
    await an_edition(kit, "press")
    with pytest.raises(Conflict, match="audience of news"):
        await listing.retire(kit, "press")
