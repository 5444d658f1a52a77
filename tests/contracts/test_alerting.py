"""Promises about alerts on both databases: mailed once while they last, reminded once a day, taken back when all is well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from campaign.actions import alerting, campaigning, freezing, planning, reporting, steering
from campaign.actions.breaking import Breakers
from campaign.actions.kit import Kit
from campaign.actions.kit import Relay as Way
from campaign.actions.lanes import Drain, Lane
from campaign.domain.addresses import Address
from campaign.domain.alerts import Trouble, about_domain, about_edition, about_relay
from campaign.domain.campaigns import Definition
from campaign.domain.delivery import Kind, State
from campaign.domain.editions import EditionEvent, EditionState
from campaign.domain.errors import NotFound
from campaign.domain.replies import Answer, Phase, Reply
from campaign.store import editions, paces, relays
from campaign.store.engine import DatabaseAway, Store
from campaign.store.paces import Pace
from campaign.store.schema.ledger import deliveries
from campaign.store.schema.people import suppressions
from campaign.store.writer import Writer
from tests.actions.test_sending import YES, Relay
from tests.builders import a_kit, fresh_articles, no_database, some_readers
from tests.clocks import FrozenClock

OPERATORS = (Address("office", "example.org"), Address("post", "example.net"))
REFUSED = about_relay(Trouble.SIGN_IN, "main", "535 5.7.8 no")


@pytest.fixture
def kit(store: Store, clock: FrozenClock, home: Path) -> Kit:
    return a_kit(store, clock, home, alerts=OPERATORS)


async def letters(kit: Kit) -> list[tuple[str, State]]:
    """To whom alerts were enqueued, and how they stand."""
    d = deliveries.c
    statement = select(d.address_sealed, d.state).where(d.kind == Kind.ALERT).order_by(d.id)
    async with kit.store.read() as tx:
        return [(kit.keys.open_address(row[0]).wire, row[1]) for row in await tx.execute(statement)]


async def topics(kit: Kit, *, resolved: bool = False) -> list[str]:
    return [one.standing.topic for one in await alerting.told(kit, resolved=resolved)]


async def test_the_same_topic_is_mailed_once_to_each_operator(kit: Kit) -> None:
    for _ in range(3):
        await alerting.raise_alert(kit, REFUSED)
    assert await letters(kit) == [("office@example.org", State.QUEUED), ("post@example.net", State.QUEUED)]
    [one] = await alerting.told(kit)
    assert (one.standing.count, one.standing.notices) == (3, 1)
    assert one.title == "The relay main refuses our sign-in"
    await alerting.raise_alert(kit, about_relay(Trouble.SIGN_IN, "spare", ""))
    assert len(await letters(kit)) == 4


async def test_many_connections_that_meet_one_trouble_at_once_raise_one_alert(kit: Kit) -> None:
    await asyncio.gather(*(alerting.raise_alert(kit, REFUSED) for _ in range(8)))
    assert len(await letters(kit)) == 2
    [one] = await alerting.told(kit)
    assert one.standing.count == 8


async def test_it_is_mailed_again_after_a_day_and_no_sooner(kit: Kit, clock: FrozenClock) -> None:
    await alerting.raise_alert(kit, REFUSED)
    clock.advance(timedelta(hours=23, minutes=59))
    await alerting.raise_alert(kit, REFUSED)
    assert len(await letters(kit)) == 2
    clock.advance(timedelta(minutes=1))
    await alerting.raise_alert(kit, REFUSED)
    await alerting.raise_alert(kit, REFUSED)
    assert len(await letters(kit)) == 4


async def test_when_all_is_well_letters_that_still_wait_are_not_sent(kit: Kit, clock: FrozenClock) -> None:
    await alerting.raise_alert(kit, REFUSED)
    clock.advance(timedelta(minutes=5))
    done = await alerting.resolve(kit, "relay:main:sign_in")
    assert (done.resolved_by, done.resolved_at) == ("local:test", clock.now())
    assert {state for _, state in await letters(kit)} == {State.EXPIRED}
    assert await topics(kit) == []
    assert await topics(kit, resolved=True) == ["relay:main:sign_in"]
    with pytest.raises(NotFound, match="No alert is open"):
        await alerting.resolve(kit, "relay:main:sign_in")
    with pytest.raises(NotFound):
        await alerting.resolve(kit, "relay:")


async def test_what_comes_and_goes_is_mailed_once_an_hour_at_most(kit: Kit, clock: FrozenClock) -> None:
    await alerting.raise_alert(kit, REFUSED)
    await alerting.resolve(kit, "relay:main:sign_in")
    clock.advance(timedelta(minutes=30))
    await alerting.raise_alert(kit, REFUSED)
    assert len(await letters(kit)) == 2
    assert await topics(kit) == ["relay:main:sign_in"], "it is shown all the same"
    clock.advance(timedelta(minutes=31))
    await alerting.raise_alert(kit, REFUSED)
    assert len(await letters(kit)) == 4


async def test_without_operators_it_is_shown_and_nobody_is_mailed(store: Store, clock: FrozenClock, home: Path) -> None:
    kit = a_kit(store, clock, home)
    await alerting.raise_alert(kit, REFUSED)
    assert await letters(kit) == []
    assert await topics(kit) == ["relay:main:sign_in"]
    await alerting.resolve(kit, "relay:main:sign_in")


async def test_addresses_of_readers_are_masked_before_anything_is_written_down(kit: Kit) -> None:
    said = "550 5.7.1 <reader-07@example.org> Reader 07: spam"
    found = await alerting.raise_alert(kit, about_domain("main", "example.org", said), ["Reader 07"])
    assert found.said == "550 5.7.1 <r…@example[.]org> …: spam"
    [one] = await alerting.told(kit)
    assert "reader-07" not in str(one.row())


LOST = Answer(Phase.CONNECT, fault="refused")
HUNG_UP = Answer(Phase.RCPT, fault="drop")
WRONG = Answer(Phase.AUTH, Reply.parse(535, ["5.7.8 wrong password"]))
NOT_YOU = Answer(Phase.MAIL, Reply.parse(550, ["5.7.1 <letters@example.org>: not you"]))


@pytest.fixture
async def lane(kit: Kit) -> AsyncIterator[Lane]:
    """A way to a relay, open as long as the test lasts."""
    writer = Writer(kit.store)
    [lane] = await Drain(replace(kit, relays=(Way(Relay(YES)),)), asyncio.Event(), writer).look()
    yield lane
    await writer.close()


async def test_a_relay_that_is_away_is_an_alert_when_it_stays_away(kit: Kit, clock: FrozenClock, lane: Lane) -> None:
    for _ in range(3):
        await lane.fault(LOST)
    for minutes in (1, 2, 4, 7):
        clock.advance(timedelta(minutes=minutes))
        await lane.fault(LOST)
    assert await topics(kit) == []
    clock.advance(timedelta(minutes=8))
    assert await topics(kit) == ["relay:main:down"]
    await lane.fault(LOST)
    assert len(await letters(kit)) == 2
    await lane.well()
    assert await topics(kit) == []
    assert {state for _, state in await letters(kit)} == {State.EXPIRED}


async def test_faults_at_recipients_of_one_domain_rest_no_relay_through_which_letters_go(kit: Kit, lane: Lane) -> None:
    for _ in range(4):
        await lane.fault(HUNG_UP, "dead.example.org")
    assert await faults(kit) == 1, "it counts once until a letter goes through"
    await lane.well()
    assert await faults(kit) == 0
    async with asyncio.TaskGroup() as together:
        for _ in range(20):
            together.create_task(lane.fault(HUNG_UP, "dead.example.org"))
            together.create_task(lane.well())
    assert await faults(kit) <= 1, "each is written down before the next, in the order in which they came"
    assert not lane.closed
    await lane.well()
    for number in range(3):
        await lane.fault(HUNG_UP, f"dead{number}.example.org")
    assert lane.closed, "three domains at once are the relay's fault"


async def test_a_relay_that_hangs_up_on_all_of_few_domains_rests_a_little_later(
    kit: Kit, clock: FrozenClock, lane: Lane
) -> None:
    for _ in range(2):
        await lane.fault(HUNG_UP, "one.example.org")
        await lane.fault(HUNG_UP, "other.example.org")
    assert await faults(kit) == 2
    assert not lane.closed
    clock.advance(timedelta(seconds=31))
    await lane.fault(HUNG_UP, "one.example.org")
    assert lane.closed, "nothing went through meanwhile"


async def test_what_could_not_be_written_down_of_a_relay_is_written_the_next_time(
    kit: Kit, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setattr(relays, "fault", no_database)
        with pytest.raises(DatabaseAway):
            await lane.fault(HUNG_UP, "dead.example.org")
    await lane.fault(HUNG_UP, "dead.example.org")
    assert await faults(kit) == 1
    with monkeypatch.context() as away:
        away.setattr(relays, "well", no_database)
        with pytest.raises(DatabaseAway):
            await lane.well()
    assert lane.faulty, "the next good answer tries again"
    await lane.well()
    assert await faults(kit) == 0


async def faults(kit: Kit) -> int:
    async with kit.store.read() as tx:
        [relay] = await relays.every(tx)
    return relay.faults


@pytest.mark.parametrize(("answer", "topic"), [(WRONG, "sign_in"), (NOT_YOU, "sender_refused")])
async def test_a_relay_that_refuses_our_settings_is_an_alert_at_once(
    kit: Kit, lane: Lane, answer: Answer, topic: str
) -> None:
    await lane.fault(answer)
    await alerting.look(kit)
    assert await topics(kit) == [f"relay:main:{topic}"], "it lasts until the relay takes letters"
    [one] = await alerting.told(kit)
    assert "letters@" not in one.standing.said
    assert len(await letters(kit)) == 2
    await lane.well()
    assert await topics(kit) == []


async def an_edition(kit: Kit) -> int:
    await some_readers(kit, 2)
    await fresh_articles(kit)
    await campaigning.create(kit, "news", Definition(every="first monday", lists=("supporters",), zone="UTC"))
    await campaigning.approve(kit, "news")
    return (await planning.send_now(kit, "news")).id


async def move(kit: Kit, edition_id: int, *events: EditionEvent, **values: Any) -> None:
    async with kit.store.begin() as tx:
        for event in events:
            assert await editions.advance(tx, edition_id, event, kit.clock.now(), **values)


async def test_an_edition_that_waits_for_a_person_is_recalled_each_day_until_it_stands_elsewhere(
    kit: Kit, clock: FrozenClock
) -> None:
    edition_id = await an_edition(kit)
    await move(kit, edition_id, EditionEvent.MISS)
    await alerting.raise_alert(kit, about_edition(Trouble.EDITION_MISSED, edition_id, "news"))
    for hours in (1, 22, 2):
        clock.advance(timedelta(hours=hours))
        await alerting.look(kit)
        await alerting.look(kit)
    assert len(await letters(kit)) == 4
    await move(kit, edition_id, EditionEvent.SKIP)
    await alerting.look(kit)
    assert await topics(kit) == []


async def test_an_edition_that_cannot_start_or_is_missed_is_an_alert(kit: Kit, clock: FrozenClock, home: Path) -> None:
    edition_id = await an_edition(kit)
    subject = home / "templates" / "email" / "digest" / "subject.txt.j2"
    subject.parent.mkdir(parents=True)
    subject.write_text("Not as it was approved", encoding="utf-8")
    for _ in range(2):
        await freezing.freeze_due(kit)
        await alerting.look(kit)
        clock.advance(timedelta(minutes=2))
    [one] = await alerting.told(kit)
    assert (one.standing.topic, one.standing.count) == (f"edition:{edition_id}:waits", 1)
    assert "campaign approve news" in one.standing.said
    await campaigning.approve(kit, "news")
    clock.advance(timedelta(days=3))
    await freezing.freeze_due(kit)
    await alerting.look(kit)
    assert await topics(kit) == [f"edition:{edition_id}:missed"]


async def test_a_domain_that_is_held_back_is_let_go_by_a_person_or_forgotten_in_time(
    kit: Kit, clock: FrozenClock
) -> None:
    async def hold(domain: str) -> None:
        await alerting.raise_alert(kit, about_domain("main", domain, ""))
        async with kit.store.begin() as tx:
            await paces.pause(tx, Pace("main", domain, paused_until=clock.now() + timedelta(hours=2)), clock.now())

    async def held() -> set[str]:
        async with kit.store.read() as tx:
            return {one.domain for one in await paces.every(tx) if not one.is_open(clock.now())}

    await hold("example.org")
    await hold("example.net")
    await alerting.resolve(kit, "domain:main:example.org:policy")
    assert await held() == {"example.net"}
    clock.advance(timedelta(hours=2))
    assert await held() == set()
    await alerting.look(kit)
    assert await topics(kit) == ["domain:main:example.net:policy"]
    clock.advance(timedelta(days=2))
    await alerting.look(kit)
    assert await topics(kit) == []


async def test_a_domain_that_is_resumed_at_one_relay_is_settled_there_and_nowhere_else(
    store: Store, clock: FrozenClock, home: Path
) -> None:
    relays = [Way(Relay(YES), name) for name in ("main", "second")]
    kit = a_kit(store, clock, home, relays, alerts=OPERATORS)
    for name, domain in (("main", "example.org"), ("main", "example.net"), ("second", "example.org")):
        await alerting.raise_alert(kit, about_domain(name, domain, "550 5.7.1 no"))
        async with kit.store.begin() as tx:
            await paces.pause(tx, Pace(name, domain, paused_until=clock.now() + timedelta(hours=1)), clock.now())
    assert await steering.resume(kit, "main", "Example.org")
    assert {*await topics(kit)} == {"domain:main:example.net:policy", "domain:second:example.org:policy"}
    over = next(one for one in await alerting.told(kit, resolved=True) if one.standing.resolved_at)
    assert (over.standing.topic, over.standing.resolved_by) == ("domain:main:example.org:policy", "local:test")
    assert not await steering.resume(kit, "main", "example.org")
    async with kit.store.begin() as tx:
        await paces.end_pause(tx, "main", "example.net", clock.now())
    assert await steering.resume(kit, "main", "example.net"), "an alert whose pause is over is settled as well"
    assert await topics(kit) == ["domain:second:example.org:policy"]


async def answers(kit: Kit, edition_id: int, of: list[State]) -> None:
    """Give an edition answers, one a second."""
    rows = [
        {
            "kind": Kind.EDITION,
            "edition_id": edition_id,
            "purpose_key": f"edition:{edition_id}:{number}",
            "address_key": number.to_bytes(32, "big"),
            "domain": "example.org",
            "due_at": kit.clock.now(),
            "valid_until": kit.clock.now(),
            "state": state,
            "reason": "no_such_mailbox" if state is State.REFUSED else None,
            "moved_at": kit.clock.now() + timedelta(seconds=number),
        }
        for number, state in enumerate(of)
    ]
    async with kit.store.begin() as tx:
        await tx.execute(insert(deliveries), rows[::-1])


YES_, NO, GONE = State.ACCEPTED, State.REFUSED, State.EXPIRED


@pytest.mark.parametrize(
    ("heard", "stops"),
    [
        ([NO] * 25, False),
        ([NO] * 26, True),
        ([YES_] * 474 + [NO] * 26, True),
        ([YES_] * 475 + [NO] * 25, False),
        ([YES_] * 474 + [NO] * 26 + [YES_] * 1000, True),
        ([YES_] * 475 + [NO] * 300, False),
        ([YES_] * 2500 + [NO] * 300, False),
        ([NO] * 20 + [YES_] * 600, False),
        ([GONE] * 600 + [NO] * 26, True),
    ],
)
async def test_an_edition_stops_by_its_first_five_hundred_answers_however_late_it_is_looked_at(
    kit: Kit, heard: list[State], stops: bool
) -> None:
    """Outcomes are written down in groups: the five hundredth may be far behind when somebody looks."""
    edition_id = await an_edition(kit)
    await move(kit, edition_id, EditionEvent.FREEZE, EditionEvent.READY, EditionEvent.START)
    await answers(kit, edition_id, heard)
    breakers = Breakers(kit)
    await breakers.look_at_all()
    [count] = await reporting.counts(kit, str(edition_id))
    assert (count.edition.state is EditionState.PAUSED) is stops
    assert await topics(kit) == ([f"edition:{edition_id}:breaker"] if stops else [])
    assert not await breakers.look(edition_id), "it is told once"
    if stops:
        await campaigning.resume(kit, edition_id)
        assert not await Breakers(kit).look(edition_id), "who resumes it has decided"
        await alerting.look(kit)
        assert await topics(kit) == []
    async with kit.store.read() as tx:
        assert (await tx.execute(select(func.count()).select_from(suppressions))).scalar_one() == 0
