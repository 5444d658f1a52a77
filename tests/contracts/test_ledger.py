"""The ledger's promises, once on SQLite and once on PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update

from campaign.actions import campaigning
from campaign.actions.kit import Kit
from campaign.domain.campaigns import Definition, Where
from campaign.domain.consent import Reason, SubscriptionState
from campaign.domain.delivery import DOT_PATIENCE, LEASE, Event, IllegalMove, Kind, State, advance, purpose_key
from campaign.domain.editions import CampaignEvent, EditionEvent, EditionState
from campaign.domain.schedule import EVERYBODY, Plan, Wave
from campaign.store import brakes, campaigns, claims, editions, ledger, recovery, waves
from campaign.store import suppressions as stored_suppressions
from campaign.store.audiences import Audience
from campaign.store.brakes import Brake
from campaign.store.claims import Claim, Claimed
from campaign.store.engine import Store
from campaign.store.ledger import Letter, Token
from campaign.store.moves import Cause
from campaign.store.schema.ledger import deliveries, delivery_events
from campaign.store.schema.people import lists, subscribers, subscriptions, suppressions
from campaign.store.waves import Freeze
from tests.builders import a_kit, some_readers
from tests.clocks import FrozenClock

ME = "worker-1"


@pytest.fixture
async def kit(store: Store, clock: FrozenClock, home: Path) -> Kit:
    return a_kit(store, clock, home)


async def a_sending_edition(kit: Kit, people: int = 5) -> int:
    await some_readers(kit, people)
    now = kit.clock.now()
    definition = Definition(every="monday", lists=("supporters",), zone="UTC")
    async with kit.store.begin() as tx:
        campaign_id = await campaigns.add(tx, "news", definition, [1], now)
        assert campaign_id is not None
        campaign = await campaigns.find(tx, "news")
        assert campaign is not None
        await campaigns.advance(tx, campaign, CampaignEvent.APPROVE, now)
        plan = Plan("every", "2027-06-01", "2027-06-01", now, now, now + timedelta(hours=6))
        [edition_id] = await editions.plan(tx, (campaign_id, "news"), [plan], now)
        assert not await editions.plan(tx, (campaign_id, "news"), [plan], now), "I7: one edition, however often planned"
        await editions.advance(tx, edition_id, EditionEvent.FREEZE, now, cutoff=now)
        await waves.set_waves(
            tx, edition_id, [Wave(EVERYBODY, now, now + timedelta(hours=6), now + timedelta(hours=48))]
        )
    await freeze(kit, edition_id)
    async with kit.store.begin() as tx:
        await editions.advance(tx, edition_id, EditionEvent.READY, now)
        await editions.advance(tx, edition_id, EditionEvent.START, now, started_at=now)
    return edition_id


async def freeze(kit: Kit, edition_id: int) -> int:
    made = 0
    while True:
        async with kit.store.begin() as tx:
            edition = await editions.find(tx, edition_id)
            assert edition is not None
            chunk = await waves.freeze_chunk(
                tx, Freeze(edition, Audience(edition.campaign_id, Where()), EVERYBODY, kit.clock.now()), kit.clock.now()
            )
        if chunk is None:
            return made
        made += chunk


async def claim(kit: Kit, edition_id: int | None, limit: int = 100, owner: str = ME) -> list[Claimed]:
    async with kit.store.begin() as tx:
        letters, _ = await claims.claim(tx, Claim(owner, edition_id, limit), kit.clock.now())
    return letters


def token(letter: Claimed) -> Token:
    message_id = f"<d.{letter.id}@example.org>"
    return Token(letter.id, letter.claim_no, "1:en:-", message_id, letter.valid_until, "main", letter.edition_id)


async def offer(kit: Kit, letters: list[Claimed], owner: str = ME) -> set[int]:
    async with kit.store.begin() as tx:
        return await ledger.offer(tx, owner, [token(letter) for letter in letters], kit.clock.now())


async def settle(
    kit: Kit, event: Event, letters: list[Claimed], *, refund: bool = False, **values: object
) -> list[int]:
    async with kit.store.begin() as tx:
        held = [(letter.id, letter.claim_no) for letter in letters]
        return await ledger.settle(tx, event, held, Cause(kit.clock.now(), code=250, values=values, refund=refund))


async def states(kit: Kit) -> dict[int, State]:
    async with kit.store.read() as tx:
        return {row.id: row.state for row in await tx.execute(select(deliveries.c.id, deliveries.c.state))}


async def replayed(kit: Kit) -> dict[int, State]:
    """I8: what the events say, from the beginning."""
    found: dict[int, State] = dict.fromkeys(await states(kit), State.QUEUED)
    async with kit.store.read() as tx:
        for row in await tx.execute(select(delivery_events).order_by(delivery_events.c.id)):
            assert row.from_state is found[row.delivery_id]
            assert row.to_state in {advance(row.from_state, event) for event in Event if _legal(row.from_state, event)}
            found[row.delivery_id] = row.to_state
    return found


def _legal(state: State, event: Event) -> bool:
    try:
        advance(state, event)
    except IllegalMove:
        return False
    return True


async def test_everybody_of_the_audience_gets_one_row_and_freezing_again_adds_none(kit: Kit) -> None:
    edition_id = await a_sending_edition(kit, people=7)
    assert len(await states(kit)) == 7
    assert await freeze(kit, edition_id) == 0
    async with kit.store.read() as tx:
        edition = await editions.find(tx, edition_id)
    assert edition is not None
    assert edition.planned == 7


async def test_a_letter_goes_from_queue_to_accepted_and_its_events_replay(kit: Kit) -> None:
    edition_id = await a_sending_edition(kit)
    letters = await claim(kit, edition_id)
    assert len(letters) == 5
    assert await claim(kit, edition_id, owner="worker-2") == [], "what is claimed is not claimed again"
    assert await offer(kit, letters) == {letter.id for letter in letters}
    assert await offer(kit, letters) == set(), "a token is granted once"
    assert len(await settle(kit, Event.ACCEPT, letters)) == 5
    assert set((await states(kit)).values()) == {State.ACCEPTED}
    assert await replayed(kit) == await states(kit)


async def test_a_letter_that_is_named_twice_moves_once(kit: Kit) -> None:
    letter, lost, *_ = await claim(kit, await a_sending_edition(kit))
    twice = [letter, letter, lost._replace(claim_no=99)]
    assert await settle(kit, Event.RELEASE, twice) == [letter.id]
    assert await replayed(kit) == await states(kit)


async def test_claims_walk_on_by_keyset(kit: Kit) -> None:
    edition_id = await a_sending_edition(kit, people=6)
    async with kit.store.begin() as tx:
        first, after = await claims.claim(tx, Claim(ME, edition_id, 4), kit.clock.now())
        second, _ = await claims.claim(tx, Claim(ME, edition_id, 4, after), kit.clock.now())
    assert [len(first), len(second)] == [4, 2]


async def test_another_owner_and_an_old_claim_get_no_token(kit: Kit) -> None:
    edition_id = await a_sending_edition(kit, people=1)
    [old] = await claim(kit, edition_id)
    assert await offer(kit, [old], owner="worker-2") == set()
    await settle(kit, Event.RELEASE, [old], refund=True)
    [new] = await claim(kit, edition_id)
    assert (new.claim_no, new.attempts) == (old.claim_no + 1, old.attempts)
    assert await offer(kit, [old]) == set()
    assert await offer(kit, [new]) == {new.id}


@pytest.mark.parametrize("how", ["leave", "suppress", "domain", "ended", "pause", "brake", "cancel"])
async def test_no_token_after_a_leave_a_suppression_a_pause_a_brake_or_a_cancel(kit: Kit, how: str) -> None:
    edition_id = await a_sending_edition(kit, people=1)
    [letter] = await claim(kit, edition_id)
    now = kit.clock.now()
    async with kit.store.begin() as tx:
        key = (await tx.execute(select(subscribers.c.address_key))).scalar_one()
        if how == "leave":
            await tx.execute(update(subscriptions).values(state=SubscriptionState.LEFT, left_at=now))
            await ledger.suppress_person(tx, key, now=now, reason="left")
        elif how == "suppress":
            row = {
                "address_key": key,
                "key_version": 1,
                "reason": Reason.COMPLAINED,
                "since": now,
                "recorded_by": "test",
            }
            await tx.execute(insert(suppressions).values(**row))
            await ledger.suppress_person(tx, key, now=now, reason="complained")
        elif how == "domain":
            assert await stored_suppressions.add_domain(tx, "example.org", now=now, recorded_by="test")
        elif how == "ended":
            await tx.execute(update(lists).values(ends_at=now))
            assert await waves.open_due(tx, now)
        elif how == "pause":
            assert await editions.advance(tx, edition_id, EditionEvent.PAUSE, now)
        elif how == "brake":
            assert await brakes.pull(tx, Brake(now, "local:test", ""))
        else:
            assert await editions.advance(tx, edition_id, EditionEvent.CANCEL, now)
            assert await waves.cancel_chunk(tx, edition_id, now) == 1
    assert await offer(kit, [letter]) == set()
    async with kit.store.begin() as tx:
        await ledger.let_go(tx, ME, [(letter.id, letter.claim_no)], now)
    expected = {
        "leave": State.SUPPRESSED,
        "suppress": State.SUPPRESSED,
        "domain": State.SUPPRESSED,
        "ended": State.SUPPRESSED,
        "pause": State.QUEUED,
        "brake": State.QUEUED,
        "cancel": State.CANCELLED,
    }
    assert (await states(kit))[letter.id] is expected[how]
    assert await replayed(kit) == await states(kit)


async def test_a_leave_that_nobody_told_the_ledger_about_still_wins_at_the_token(kit: Kit) -> None:
    edition_id = await a_sending_edition(kit, people=1)
    [letter] = await claim(kit, edition_id)
    async with kit.store.begin() as tx:
        await tx.execute(update(subscriptions).values(state=SubscriptionState.LEFT))
    assert await offer(kit, [letter]) == set()


async def test_a_dead_worker_s_claims_go_back_uncharged_and_its_dots_are_in_doubt(kit: Kit) -> None:
    edition_id = await a_sending_edition(kit, people=4)
    letters = await claim(kit, edition_id)
    await offer(kit, letters[:1])
    async with kit.store.begin() as tx:
        assert await recovery.owners(tx) == [ME]
        assert await recovery.recover_owner(tx, ME, kit.clock.now()) == (3, 1)
        assert await recovery.recover_owner(tx, ME, kit.clock.now()) == (0, 0)
    assert sorted((await states(kit)).values()) == sorted([State.IN_DOUBT, *[State.QUEUED] * 3])
    again = await claim(kit, edition_id)
    assert {letter.attempts for letter in again} == {1}
    assert await settle(kit, Event.ACCEPT, letters[:1]) == [letters[0].id], "a late answer settles a doubt"
    assert await replayed(kit) == await states(kit)


async def test_doubts_are_held_by_default_and_sent_again_only_where_the_policy_says_so(kit: Kit) -> None:
    edition_id = await a_sending_edition(kit, people=1)
    letters = await claim(kit, edition_id)
    await offer(kit, letters)
    await settle(kit, Event.DOUBT, letters)
    now = kit.clock.now()
    async with kit.store.begin() as tx:
        assert await recovery.resolve_by_policy(tx, now) == 0
        assert await editions.finish_empty(tx, now) == [edition_id]
        campaign = await campaigns.find(tx, "news")
        assert campaign is not None
        resending = campaign.definition.changed({"policy": "resend"})
        await campaigns.redefine(tx, campaign, resending, [1], now)
        assert await recovery.resolve_by_policy(tx, now, attempts=1) == 0, "it has had its attempts"
        assert await recovery.resolve_by_policy(tx, now) == 1
        edition = await editions.find(tx, edition_id)
    assert edition is not None
    assert edition.state is EditionState.SENDING, "an edition with letters that wait again is sending again"


async def with_policy(kit: Kit, policy: str) -> None:
    """Change what becomes of the campaign's letters in doubt."""
    async with kit.store.begin() as tx:
        campaign = await campaigns.find(tx, "news")
        assert campaign is not None
        await campaigns.redefine(tx, campaign, campaign.definition.changed({"policy": policy}), [1], kit.clock.now())


async def resolve(kit: Kit) -> int:
    async with kit.store.begin() as tx:
        return await recovery.resolve_by_policy(tx, kit.clock.now())


async def test_a_doubt_is_resent_only_so_often(kit: Kit, clock: FrozenClock) -> None:
    edition_id = await a_sending_edition(kit, people=1)
    await with_policy(kit, "resend")
    resent = []
    for _ in range(recovery.MOST_DOUBTS + 1):
        letters = await claim(kit, edition_id)
        await offer(kit, letters)
        await settle(kit, Event.DOUBT, letters)
        resent.append(await resolve(kit))
        clock.advance(timedelta(minutes=16))
    assert resent == [1, 1, 1, 0], "each time, a copy of it may have arrived"


async def test_a_doubt_expires_with_its_letter_where_the_policy_says_so(kit: Kit, clock: FrozenClock) -> None:
    edition_id = await a_sending_edition(kit, people=1)
    await with_policy(kit, "expire")
    letters = await claim(kit, edition_id)
    await offer(kit, letters)
    await settle(kit, Event.DOUBT, letters)
    assert await resolve(kit) == 0, "its time is not over"
    clock.travel_to(letters[0].valid_until)
    assert await resolve(kit) == 1
    assert set((await states(kit)).values()) == {State.EXPIRED}


async def test_a_worker_that_lives_keeps_its_letters_for_the_lease_and_its_dots_for_their_patience(
    kit: Kit, clock: FrozenClock
) -> None:
    edition_id = await a_sending_edition(kit, people=2)
    letters = await claim(kit, edition_id)
    await offer(kit, letters[:1])
    began = clock.now()

    async def recovered(after: timedelta) -> tuple[int, int]:
        clock.travel_to(began + after)
        before = {"claimed_before": clock.now() - LEASE, "offered_before": clock.now() - DOT_PATIENCE}
        async with kit.store.begin() as tx:
            return await recovery.recover_frozen(tx, **before, now=clock.now())

    assert await recovered(DOT_PATIENCE) == (0, 0)
    assert await recovered(DOT_PATIENCE + timedelta(seconds=1)) == (0, 1), "its dot may have been taken"
    assert await recovered(LEASE) == (0, 0)
    assert await recovered(LEASE + timedelta(seconds=1)) == (1, 0), "it never wrote that dot"
    assert [(await states(kit))[letter.id] for letter in letters] == [State.IN_DOUBT, State.QUEUED]


@pytest.mark.parametrize("held", ["queued", "claimed", "offered"])
async def test_an_edition_is_not_sent_while_one_letter_of_it_lives(kit: Kit, held: str) -> None:
    edition_id = await a_sending_edition(kit, people=1)
    letters = await claim(kit, edition_id) if held != "queued" else []
    if held == "offered":
        await offer(kit, letters)
    async with kit.store.begin() as tx:
        assert await editions.finish_empty(tx, kit.clock.now()) == []


async def test_a_leave_settles_the_letters_that_wait_at_once(kit: Kit) -> None:
    await a_sending_edition(kit, people=1)
    async with kit.store.begin() as tx:
        key = (await tx.execute(select(subscribers.c.address_key))).scalar_one()
        assert await ledger.suppress_person(tx, key, now=kit.clock.now(), reason="left") == 0, "it may still go out"
        await tx.execute(update(subscriptions).values(state=SubscriptionState.LEFT))
        assert await ledger.suppress_person(tx, key, now=kit.clock.now(), reason="left") == 1
    assert set((await states(kit)).values()) == {State.SUPPRESSED}


async def test_an_edition_called_sent_while_a_letter_of_it_waits_is_sent_on(kit: Kit) -> None:
    edition_id = await a_sending_edition(kit, people=1)
    now = kit.clock.now()
    async with kit.store.begin() as tx:
        assert await editions.advance(tx, edition_id, EditionEvent.FINISH, now), "as if it had not seen the letter"
        await recovery.resolve_by_policy(tx, now)
        edition = await editions.find(tx, edition_id)
    assert edition is not None
    assert edition.state is EditionState.SENDING


async def test_a_4xx_that_comes_late_to_a_letter_in_doubt_opens_its_edition_again(kit: Kit) -> None:
    edition_id = await a_sending_edition(kit, people=1)
    letters = await claim(kit, edition_id)
    await offer(kit, letters)
    await settle(kit, Event.DOUBT, letters)
    now = kit.clock.now()
    async with kit.store.begin() as tx:
        assert await editions.finish_empty(tx, now) == [edition_id]
    await settle(kit, Event.DEFER, letters, due_at=now + timedelta(minutes=5))
    async with kit.store.read() as tx:
        edition = await editions.find(tx, edition_id)
    assert edition is not None
    assert edition.state is EditionState.SENDING, "I6: sent means that nothing is live, at every commit"


async def test_service_mail_is_unique_by_its_purpose(kit: Kit) -> None:
    now = kit.clock.now()
    letter = Letter(
        Kind.ALERT,
        purpose_key(Kind.ALERT, 1),
        None,
        None,
        b"k" * 32,
        b"sealed",
        "example.org",
        now,
        now + timedelta(hours=1),
    )
    async with kit.store.begin() as tx:
        assert await ledger.enqueue(tx, letter, now) is not None
        assert await ledger.enqueue(tx, letter, now) is None
    assert len(await claim(kit, None)) == 1


async def test_a_wave_that_nobody_opened_in_time_expires_and_the_others_go(kit: Kit, clock: FrozenClock) -> None:
    edition_id = await a_sending_edition(kit, people=3)
    clock.advance(timedelta(hours=7))
    async with kit.store.begin() as tx:
        assert not await waves.open_due(tx, clock.now()), "the first chunk of late letters expires, and it says so"
        assert await waves.open_due(tx, clock.now())
    assert set((await states(kit)).values()) == {State.EXPIRED}
    assert await claim(kit, edition_id) == []


async def test_erasing_a_person_blanks_their_letters_and_keeps_the_row(kit: Kit) -> None:
    edition_id = await a_sending_edition(kit, people=1)
    letters = await claim(kit, edition_id)
    await offer(kit, letters)
    async with kit.store.begin() as tx:
        await ledger.settle(
            tx,
            Event.REFUSE,
            [(letters[0].id, letters[0].claim_no)],
            Cause(kit.clock.now(), code=550, words="no reader-01@example.org here"),
        )
        key = (await tx.execute(select(subscribers.c.address_key))).scalar_one()
        await ledger.forget_person(tx, key)
        row = (await tx.execute(select(deliveries))).one()
    assert (row.address_sealed, row.name_sealed, row.subscriber_id) == (None, None, None)
    assert row.address_key
    assert row.state is State.REFUSED


async def test_a_cancel_that_a_worker_s_letters_deadlock_is_done_all_the_same(kit: Kit) -> None:
    """PostgreSQL ends whoever closes the circle; it is a worker that holds one letter and wants the other."""
    if kit.store.sqlite:
        return  # one writes at a time
    edition_id = await a_sending_edition(kit, people=2)
    first, second = (
        select(deliveries.c.id).where(deliveries.c.id == row.id).with_for_update()
        for row in await claim(kit, edition_id)
    )
    async with kit.store.engine.connect() as worker, worker.begin():
        await worker.execute(text("SET LOCAL deadlock_timeout = '60s'"))  # so that the other one notices
        await worker.execute(second)
        cancelling = asyncio.create_task(campaigning.cancel(kit, edition_id))
        await asyncio.sleep(0.3)  # it holds the first by now, and waits for the second
        await worker.execute(first)
    await asyncio.wait_for(cancelling, 20)
    assert set((await states(kit)).values()) == {State.CANCELLED}
