"""A segment finds in the database exactly the people whom its rule admits, on SQLite and on PostgreSQL."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime, time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from campaign.domain.consent import OptIn, SubscriptionState, Visibility
from campaign.domain.segments import Rule, Someone, admits
from campaign.store import segments
from campaign.store.engine import Store
from campaign.store.schema.people import lists, subscribers, subscriptions
from tests.domain.test_segments import RULES

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SLUGS = ("press", "supporters")
PEOPLE = st.builds(
    Someone,
    domain=st.sampled_from(["example.org", "example.net"]),
    joined=st.dates(date(2025, 1, 1), date(2027, 1, 1)),
    country=st.none() | st.sampled_from(["US", "GB", "DE"]),
    language=st.none() | st.sampled_from(["en", "en-GB", "EN-us", "es", "eng"]),
    timezone=st.none(),
    attributes=st.fixed_dictionaries(
        {},
        optional={
            "gift": st.integers(-3, 3) | st.floats(-2, 2).map(lambda n: round(n, 2)),
            "since": st.dates(date(2024, 1, 1), date(2026, 1, 1)).map(date.isoformat),
            "member": st.booleans(),
            "role": st.sampled_from(["editor", "Editor", 'a "b"', "%", "it's"]),
        },
    ),
    topics=st.frozensets(st.sampled_from(["policy", "art", 'a"b'])),
    lists=st.frozensets(st.sampled_from(SLUGS)),
)


async def a_world(tx: Any, people: list[Someone]) -> None:
    for table in (subscriptions, subscribers, lists):
        await tx.execute(table.delete())
    ids = {}
    for slug in SLUGS:
        row = {"slug": slug, "name": slug, "opt_in": OptIn.SINGLE, "visibility": Visibility.PRIVATE, "created_at": NOW}
        ids[slug] = (await tx.execute(insert(lists).values(**row).returning(lists.c.id))).scalar_one()
    for number, who in enumerate(people, 1):
        known = {name: value for name, value in asdict(who).items() if name in {"country", "language", "timezone"}}
        row = {
            **known, "id": number, "address_key": bytes([number]) * 32, "key_version": 1, "address_sealed": b"x",
            "domain": who.domain, "attributes": dict(who.attributes) or None, "topics": sorted(who.topics) or None,
            "created_at": datetime.combine(who.joined, time(number % 24, 59, 59, 999_999), tzinfo=UTC), "changed_at": NOW,
        }  # fmt: skip
        await tx.execute(insert(subscribers).values(**row))
        for slug in SLUGS:
            state = SubscriptionState.ACTIVE if slug in who.lists else SubscriptionState.LEFT
            row = {"subscriber_id": number, "list_id": ids[slug], "state": state, "joined_at": NOW}
            await tx.execute(insert(subscriptions).values(**row))


@settings(max_examples=40)
@given(people=st.lists(PEOPLE, min_size=1, max_size=6), rules=st.lists(RULES, min_size=1, max_size=8))
async def test_the_database_admits_whom_the_rule_admits(store: Store, people: list[Someone], rules: list[Rule]) -> None:
    async with store.begin() as tx:
        await a_world(tx, people)
        for rule in rules:
            found = await tx.execute(select(subscribers.c.id).where(segments.predicate(rule)))
            expected = {number for number, who in enumerate(people, 1) if admits(rule, who)}
            assert set(found.scalars()) == expected, str(rule)
            assert await segments.count(tx, rule) == len(expected)
