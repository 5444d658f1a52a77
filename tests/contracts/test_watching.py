"""What is told of editions on their way out: the numbers add up at every look, and each look says why letters wait."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from campaign.actions import braking, reporting, steering
from campaign.actions.kit import Kit, Relay
from campaign.actions.watching import Look, Watch, Why
from campaign.cli.watching import wait_words
from campaign.domain.delivery import LIVE, Event, State
from campaign.domain.editions import EditionEvent
from campaign.domain.errors import NotFound
from campaign.domain.pace import Limits, Span
from campaign.domain.schedule import EVERYBODY, Wave
from campaign.mail.smtp import SmtpOptions, SmtpTransport, Tls
from campaign.store import editions, ledger, paces, permits, progress, relays, waves
from campaign.store.claims import Claimed
from campaign.store.engine import Store
from campaign.store.moves import Cause
from campaign.store.paces import Pace
from campaign.store.permits import Ask
from campaign.store.presence import presence
from campaign.store.schema import ledger as schema
from campaign.store.schema.ledger import deliveries
from tests.builders import a_kit
from tests.clocks import FrozenClock
from tests.contracts.test_ledger import a_sending_edition, claim, offer, settle

DOMAINS = ("mail00.example.org", "mail01.example.org", "mail02.example.org")


@pytest.fixture
async def kit(store: Store, clock: FrozenClock, home: Path) -> Kit:
    return a_kit(store, clock, home, [a_way("main"), a_way("spare", per_day=5)])


def a_way(name: str, **limits: int) -> Relay:
    """A relay that nobody asks for anything."""
    return Relay(SmtpTransport(SmtpOptions("127.0.0.1", 1, tls=Tls.NONE, name=name)), limits=Limits(**limits))


async def at_three_domains(kit: Kit, people: int = 12) -> int:
    """A sending edition whose letters go to three domains: half of them to the first, a third to the second."""
    edition_id = await a_sending_edition(kit, people)
    async with kit.store.begin() as tx:
        for number, domain in enumerate(DOMAINS, 1):
            mine = deliveries.c.id % 6 >= {1: 0, 2: 3, 3: 5}[number]
            await tx.execute(update(deliveries).where(mine).values(domain=domain))
    return edition_id


async def accepted(kit: Kit, letters: Sequence[Claimed]) -> None:
    assert await offer(kit, list(letters)) == {letter.id for letter in letters}
    await settle(kit, Event.ACCEPT, list(letters))


def letters_by_reason(look: Look) -> dict[Why, int]:
    found: dict[Why, int] = {}
    for wait in look.waits:
        if wait.letters is not None:
            found[wait.why] = found.get(wait.why, 0) + wait.letters
    return found


def agrees(look: Look) -> bool:
    """Whether the reasons account for every letter that is live or in doubt, and the domains for every live one."""
    states = [count.by_state for count in look.counts]
    live = sum(by_state.get(state.value, 0) for by_state in states for state in LIVE)
    doubted = sum(by_state.get(State.IN_DOUBT.value, 0) for by_state in states)
    reasons, domains = sum(letters_by_reason(look).values()), sum(flow.waiting for flow in look.by_domain)
    return (reasons, domains) == (live + doubted, live)


async def test_the_rate_is_of_the_last_ten_seconds_by_relay_and_by_domain(kit: Kit, clock: FrozenClock) -> None:
    edition_id = await at_three_domains(kit)
    watch = Watch(kit, str(edition_id))
    clock.advance(timedelta(seconds=20))
    first = await watch.look()
    assert (first.rate, first.left, letters_by_reason(first)) == (0, None, {Why.NEXT: 12})
    assert [(flow.name, flow.waiting) for flow in first.by_domain] == list(zip(DOMAINS, (6, 4, 2), strict=True))
    letters = await claim(kit, edition_id)
    await accepted(kit, letters[:5])
    second = await watch.look()
    assert second.rate == 0.5
    assert [(flow.name, flow.rate) for flow in second.by_relay] == [("main", 0.5)]
    assert sum(flow.rate for flow in second.by_domain) == pytest.approx(0.5)
    assert second.left == timedelta(seconds=14)
    assert agrees(second)
    assert letters_by_reason(second) == {Why.IN_HAND: 7}
    clock.advance(timedelta(seconds=6))
    await accepted(kit, letters[5:6])
    assert (await watch.look()).rate == 0.6
    clock.advance(timedelta(seconds=6))
    last = await watch.look()
    assert last.rate == 0.1
    assert agrees(last)


async def test_who_comes_late_is_told_of_the_seconds_before(kit: Kit, clock: FrozenClock) -> None:
    edition_id = await at_three_domains(kit)
    clock.advance(timedelta(seconds=30))
    letters = await claim(kit, edition_id)
    await accepted(kit, letters[:3])
    clock.advance(timedelta(seconds=12))
    await accepted(kit, letters[3:5])
    clock.advance(timedelta(seconds=4))
    assert (await Watch(kit).look()).rate == 0.2


async def test_an_edition_that_has_just_begun_is_not_told_to_be_slow(kit: Kit, clock: FrozenClock) -> None:
    edition_id = await at_three_domains(kit)
    clock.advance(timedelta(seconds=2))
    await accepted(kit, await claim(kit, edition_id))
    assert (await Watch(kit).look()).rate == 6


async def test_each_letter_waits_for_one_reason(kit: Kit, clock: FrozenClock) -> None:
    edition_id = await at_three_domains(kit)
    watch, now = Watch(kit, "news"), clock.now()
    assert agrees(await watch.look())
    letters = await claim(kit, edition_id, limit=8)
    await accepted(kit, letters[:1])
    soon = {"due_at": now + timedelta(minutes=6)}
    async with kit.store.begin() as tx:
        for letter in letters[1:4]:
            cause = Cause(now, 451, "4.7.1", "greylisted", words="Try again\x1b[31m later", values=soon)
            await ledger.settle(tx, Event.DEFER, [(letter.id, letter.claim_no)], cause)
    await offer(kit, letters[4:6])
    await settle(kit, Event.DOUBT, letters[4:5])
    found = await watch.look()
    assert letters_by_reason(found) == {Why.LATER: 3, Why.NEXT: 4, Why.IN_HAND: 3, Why.IN_DOUBT: 1}
    [later] = [wait for wait in found.waits if wait.why is Why.LATER]
    assert (later.who, later.until) == ("greylisted", soon["due_at"])
    assert later.words.startswith("451 Try again")
    assert agrees(found)
    async with kit.store.begin() as tx:
        await editions.advance(tx, edition_id, EditionEvent.PAUSE, clock.now())
    paused = await watch.look()
    assert letters_by_reason(paused) == {Why.PAUSED: 10, Why.IN_DOUBT: 1}
    assert agrees(paused)


async def test_letters_whose_wave_has_not_come_are_told_apart_from_those_tried_before(
    kit: Kit, clock: FrozenClock
) -> None:
    edition_id = await at_three_domains(kit)
    now, evening = clock.now(), clock.now() + timedelta(hours=9)
    zones = [
        Wave(zone, due, due + timedelta(hours=6), due + timedelta(hours=48))
        for zone, due in ((EVERYBODY, now), ("Pacific/Honolulu", evening), ("Pacific/Tahiti", evening))
    ]
    async with kit.store.begin() as tx:
        await waves.set_waves(tx, edition_id, zones)
        await tx.execute(update(deliveries).where(deliveries.c.id % 2 == 0).values(due_at=evening))
    [letter, *_] = await claim(kit, edition_id, limit=1)
    await settle(kit, Event.DEFER, [letter], due_at=now + timedelta(minutes=5))
    found = await Watch(kit).look()
    assert letters_by_reason(found) == {Why.NOT_DUE: 6, Why.LATER: 1, Why.NEXT: 5}
    assert [wait.until for wait in found.waits if wait.why is Why.NOT_DUE] == [evening]
    assert agrees(found)


async def test_a_look_says_who_keeps_everything(kit: Kit, clock: FrozenClock) -> None:
    await at_three_domains(kit)
    watch = Watch(kit)
    assert [wait.why for wait in (await watch.look()).waits] == [Why.NO_DAEMON, Why.NEXT]
    async with kit.store.begin() as tx:
        for _ in range(3):
            until = await relays.fault(tx, "main", "connect: refused", clock.now())
    async with presence(kit.store, "worker-1"):
        resting, _ = (await watch.look()).waits
    assert (resting.why, resting.who, resting.until, resting.words) == (
        Why.RESTING,
        "main",
        until,
        "connect: refused",
    )
    clock.advance(timedelta(minutes=1))
    assert Why.RESTING not in {wait.why for wait in (await watch.look()).waits}


async def test_a_look_says_who_pulled_the_brake_and_why(kit: Kit) -> None:
    await at_three_domains(kit)
    await braking.pull(kit, "the wrong list")
    _, brake, *_ = (await Watch(kit).look()).waits
    assert (brake.why, brake.who, brake.words) == (Why.BRAKED, "local:test", "the wrong list")
    assert wait_words(brake) == "local:test pulled the brake: the wrong list. To go on: campaign brake off"


async def test_a_look_says_what_was_paused_or_slowed_by_whom(kit: Kit, clock: FrozenClock) -> None:
    await at_three_domains(kit)
    now = clock.now()
    async with kit.store.begin() as tx:
        await relays.pause(tx, "spare", "local:organiser")
        await paces.pause(tx, Pace("main", DOMAINS[0], paused_until=now + timedelta(hours=1), reason="blocked"), now)
        await paces.pause(tx, Pace("main", DOMAINS[1], paused_by="local:organiser"), now)
        slow = {"relay": "main", "domain": DOMAINS[2], "reason": "", "rate": 0.5, "parallel": 2, "changed_at": now}
        await tx.execute(insert(schema.paces).values(slow))
    found = (await Watch(kit).look()).waits
    assert [(one.why, one.who, one.until, one.words) for one in found if one.letters is None][1:] == [
        (Why.RELAY_PAUSED, "spare", None, "local:organiser"),
        (Why.DOMAIN_PAUSED, f"{DOMAINS[0]} by main", now + timedelta(hours=1), "blocked"),
        (Why.DOMAIN_PAUSED, f"{DOMAINS[1]} by main", None, "local:organiser"),
        (Why.SLOWED, f"{DOMAINS[2]} by main", None, "0.5 a second, 2 at once"),
    ]


async def test_a_look_says_that_a_relay_has_used_up_its_limits(kit: Kit, clock: FrozenClock) -> None:
    await at_three_domains(kit)
    async with kit.store.begin() as tx:
        await permits.take(tx, [Ask("spare", "", {Span.DAY: 5}, 5)], clock.now())
    [_, used_up, *_] = (await Watch(kit).look()).waits
    assert (used_up.why, used_up.who) == (Why.USED_UP, "spare")
    assert used_up.until is not None
    assert timedelta(days=1) <= used_up.until - clock.now() <= timedelta(days=1, minutes=29)
    [main, spare] = await steering.standings(kit)
    assert (main.state, spare.state, spare.used_up_until) == ("open", "used up", used_up.until)
    clock.travel_to(used_up.until)
    assert [one.state for one in await steering.standings(kit)] == ["open", "open"]


async def test_a_relay_that_is_set_no_more_keeps_nothing_up(kit: Kit, clock: FrozenClock) -> None:
    await at_three_domains(kit)
    async with kit.store.begin() as tx:
        await relays.pause(tx, "old", "local:organiser")
        await paces.pause(tx, Pace("old", DOMAINS[1], paused_by="local:organiser"), clock.now())
    assert [one.why for one in (await Watch(kit).look()).waits] == [Why.NO_DAEMON, Why.NEXT]
    assert await steering.held_up(kit) == []


async def test_a_rest_that_would_last_longer_than_any_was_begun_before_the_clock_was_set_back(
    kit: Kit, clock: FrozenClock
) -> None:
    async with kit.store.begin() as tx:
        until = await relays.fault(tx, "main", "auth: 535", clock.now(), stop=True)
        pause = Pace("main", DOMAINS[0], paused_until=clock.now() + paces.LONGEST_REST)
        await paces.pause(tx, pause, clock.now())
    assert until == clock.now() + timedelta(minutes=15)
    [main, _] = await steering.standings(kit)
    assert (main.state, main.domains[0].is_open(clock.now())) == ("resting", False)
    clock.advance(timedelta(hours=-1))
    [main, _] = await steering.standings(kit)
    assert (main.state, main.domains[0].is_open(clock.now())) == ("open", True)
    async with kit.store.begin() as tx:
        again = await relays.fault(tx, "main", "auth: 535", clock.now(), stop=True)
    assert again == clock.now() + timedelta(minutes=15), "a fault after that counts"


async def test_domains_follow_the_moves_and_are_counted_anew_now_and_then(
    kit: Kit, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    edition_id = await at_three_domains(kit, people=30)
    counted, count = [], progress.live_by_domain

    async def counting(tx: object, ids: Sequence[int]) -> dict[str, int]:
        counted.append(clock.now())
        return await count(tx, ids)  # type: ignore[arg-type] -- passed on as it is

    monkeypatch.setattr(progress, "live_by_domain", counting)
    watch = Watch(kit, str(edition_id))
    for _ in range(6):
        letters = await claim(kit, edition_id, limit=4)
        await accepted(kit, letters[:2])
        await settle(kit, Event.REFUSE, letters[2:3])
        found = await watch.look()
        assert agrees(found)
        clock.advance(timedelta(seconds=1))
    assert len(counted) == 1
    clock.advance(timedelta(seconds=30))
    assert agrees(await watch.look())
    assert len(counted) == 2


async def test_a_look_at_nothing_is_a_look(kit: Kit) -> None:
    found = await Watch(kit).look()
    assert (found.counts, found.rate, found.by_domain, [one.why for one in found.waits]) == ((), 0, (), [Why.NO_DAEMON])
    with pytest.raises(NotFound):
        await Watch(kit, "nothing").look()


async def test_a_row_of_a_look_says_all_of_it(kit: Kit, clock: FrozenClock) -> None:
    edition_id = await at_three_domains(kit)
    clock.advance(timedelta(seconds=20))
    await accepted(kit, (await claim(kit, edition_id, limit=10))[:4])
    row = (await Watch(kit).look()).row()
    assert (row["accepted_a_second"], row["seconds_left"]) == (0.4, 20)
    assert [sorted(one) for one in row["domains"]] == [["accepted_a_second", "domain", "waiting"]] * 3
    assert [(one["why"], one["letters"]) for one in row["waits"]] == [
        ("no daemon is running", None),
        ("next in turn", 2),
        ("in hand", 6),
    ]


async def test_letters_are_spread_over_relays_and_domains_and_none_is_missing(kit: Kit) -> None:
    edition_id = await at_three_domains(kit)
    await accepted(kit, await claim(kit, edition_id, limit=5))
    by_relay, by_domain = await reporting.spread(kit, str(edition_id))
    assert [(one.name, dict(one.by_state)) for one in by_relay] == [("", {"queued": 7}), ("main", {"accepted": 5})]
    assert [(one.name, one.total) for one in by_domain] == list(zip(DOMAINS, (6, 4, 2), strict=True))
