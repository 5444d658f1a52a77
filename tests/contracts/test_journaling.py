"""Leaves and erasures outlive a backup: a database that is put back is told again, and nobody who joined anew is put out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from campaign.actions import blocking, guarding, joining, journaling, listing, subscribing, suppressing
from campaign.actions.kit import Kit
from campaign.domain.addresses import parse_address
from campaign.domain.consent import Reason, SubscriptionState
from campaign.domain.lists import Terms
from campaign.domain.people import parse_person
from campaign.domain.suppressing import parse_target
from campaign.store import suppressions
from campaign.store.engine import Store
from campaign.store.schema.ledger import deliveries
from campaign.store.schema.people import lists, subscribers, subscriptions
from campaign.store.schema.people import suppressions as suppressed
from tests.builders import Reader, a_kit, some_readers
from tests.clocks import FrozenClock


@pytest.fixture
async def kit(store: Store, clock: FrozenClock, home: Path) -> Kit:
    made = a_kit(store, clock, home)
    await guarding.check_keys(made)
    await some_readers(made, 6)
    await listing.add(made, "press", Terms("Press"))
    clock.advance(timedelta(hours=1))
    return made


def who(number: int) -> str:
    return Reader(number).address.wire


async def put_back(kit: Kit) -> None:
    """What a restore from a backup of before does, to the tables that matter here."""
    async with kit.store.begin() as tx:
        [list_id] = (await tx.execute(select(lists.c.id).where(lists.c.slug == "supporters"))).scalars()
        await tx.execute(subscriptions.delete())
        await tx.execute(subscribers.delete())
        await tx.execute(suppressed.delete())
        long_ago = kit.clock.now() - timedelta(days=9)
        for number in range(1, 7):
            address = Reader(number).address
            row = {
                "address_key": kit.keys.address_key(address), "key_version": 1, "domain": address.domain,
                "address_sealed": kit.keys.seal(address.wire, purpose="address"), "created_at": long_ago, "changed_at": long_ago,
            }  # fmt: skip
            id_ = (await tx.execute(subscribers.insert().values(**row).returning(subscribers.c.id))).scalar_one()
            joined = {
                "subscriber_id": id_,
                "list_id": list_id,
                "state": SubscriptionState.ACTIVE,
                "joined_at": long_ago,
            }
            await tx.execute(subscriptions.insert().values(**joined))


async def states(kit: Kit) -> dict[str, str]:
    found = {}
    async with kit.store.read() as tx:
        rows = select(subscribers.c.address_sealed, subscriptions.c.state).join(subscriptions)
        for sealed, state in await tx.execute(rows):
            found[kit.keys.open(sealed, purpose="address")] = state.value
    return found


async def test_a_restored_database_is_told_again_who_left(kit: Kit, clock: FrozenClock) -> None:
    await subscribing.leave(kit, parse_address(who(1)))
    await suppressing.erase(kit, parse_address(who(2)))
    await suppressing.suppress(kit, parse_address(who(3)))
    clock.advance(timedelta(hours=1))
    await put_back(kit)
    assert await journaling.replay(kit) == 3
    assert await states(kit) == {
        who(1): "left", who(3): "active", who(4): "active", who(5): "active", who(6): "active"
    }  # fmt: skip
    async with kit.store.read() as tx:
        for number, reason in ((1, None), (2, "erased"), (3, "blocked")):
            found = await suppressions.find(tx, kit.keys.address_key(parse_address(who(number))))
            assert (found.reason.value if found else None) == reason
    assert await journaling.replay(kit) == 0


async def test_a_database_that_was_never_restored_is_told_nothing_new(kit: Kit, clock: FrozenClock) -> None:
    await subscribing.leave(kit, parse_address(who(1)))
    await suppressing.erase(kit, parse_address(who(2)))
    clock.advance(timedelta(hours=1))
    await joining.add(kit, joining.Request(parse_person(who(2)), "press"))
    async with kit.store.begin() as tx:
        key = kit.keys.address_key(parse_address(who(1)))
        mine = select(subscribers.c.id).where(subscribers.c.address_key == key).scalar_subquery()
        values = {"state": SubscriptionState.ACTIVE, "joined_at": clock.now(), "confirmed_at": clock.now()}
        await tx.execute(update(subscriptions).where(subscriptions.c.subscriber_id == mine).values(**values))
    before = await states(kit)
    assert await journaling.replay(kit) == 0
    assert await states(kit) == before
    assert before[who(1)] == "active", "who joined anew after leaving is not put out"
    assert before[who(2)] == "pending"


async def test_what_was_lifted_since_is_not_put_in_force_even_for_a_moment(kit: Kit, clock: FrozenClock) -> None:
    """The daemon's start tells a database that was never restored; a letter that waits must not be taken out by it."""
    address = parse_address(who(5))
    await suppressing.suppress(kit, address, Reason.LEFT)
    clock.advance(timedelta(hours=1))
    assert await blocking.remove(kit, who(5)) is Reason.LEFT
    await joining.add(kit, joining.Request(parse_person(who(5)), "press"))
    assert await journaling.replay(kit) == 0
    async with kit.store.read() as tx:
        assert await suppressions.find(tx, kit.keys.address_key(address)) is None
        assert [row.value for row in (await tx.execute(select(deliveries.c.state))).scalars()] == ["queued"]


async def test_a_block_that_was_taken_away_stays_away_after_a_restore(kit: Kit, clock: FrozenClock) -> None:
    await suppressing.suppress(kit, parse_address(who(5)))
    clock.advance(timedelta(hours=1))
    await blocking.remove(kit, who(5))
    await put_back(kit)
    async with kit.store.begin() as tx:
        key = kit.keys.address_key(parse_address(who(5)))
        await suppressions.add(tx, key, Reason.BLOCKED, now=clock.now() - timedelta(days=1), recorded_by="the backup")
    assert await journaling.replay(kit) == 1
    async with kit.store.read() as tx:
        assert await suppressions.find(tx, key) is None


async def test_a_blocked_domain_stays_blocked_after_a_restore_unless_it_was_lifted(kit: Kit) -> None:
    for domain in ("@blocked.example", "@lifted.example"):
        assert await blocking.add(kit, parse_target(domain))
    await blocking.remove(kit, "@lifted.example")
    async with kit.store.begin() as tx:
        await suppressions.remove_domain(tx, "blocked.example")
        await suppressions.add_domain(tx, "lifted.example", now=kit.clock.now(), recorded_by="before")
    assert await journaling.replay(kit) == 2
    assert await journaling.replay(kit) == 0
    async with kit.store.read() as tx:
        assert await suppressions.domains(tx) == {"blocked.example"}


async def test_the_journal_is_private_names_nobody_and_bears_a_torn_line(kit: Kit, home: Path) -> None:
    path = home / journaling.NAME
    await subscribing.leave(kit, parse_address(who(1)))
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open("a") as file:
        file.write('{"at": "2027-01-')
    await subscribing.leave(kit, parse_address(who(4)))
    text = path.read_text("utf-8")
    assert "reader" not in text
    assert len(text.splitlines()) == 3
    assert await journaling.replay(kit) == 0
    path.write_text(text.splitlines(keepends=True)[0], "utf-8")
    assert await journaling.replay(kit) == 0


async def test_nobody_is_kept_from_leaving_by_a_journal_that_cannot_be_written(kit: Kit, home: Path) -> None:
    (home / journaling.NAME).mkdir()
    assert (await subscribing.leave(kit, parse_address(who(1)))).lists == ("Supporters",)
    assert (await states(kit))[who(1)] == "left"
