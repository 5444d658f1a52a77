"""Makes what tests are about: a kit on a database, people on a list, a campaign. It asks the verbs, as a person would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import insert, update

from campaign.actions import publishing
from campaign.actions.kit import Kit, Relay, SilentDoorbell
from campaign.assets import asset
from campaign.clock import Clock
from campaign.domain.addresses import Address
from campaign.domain.consent import OptIn, SubscriptionState, Visibility
from campaign.keys import Keyring
from campaign.mail.renderer import Renderer
from campaign.mail.transport import Transport
from campaign.settings import Settings
from campaign.store.engine import DatabaseAway, Store
from campaign.store.schema.content import articles
from campaign.store.schema.people import lists, subscribers, subscriptions

KEY: Final = bytes(range(32))


def a_kit(
    store: Store, clock: Clock, home: Path, transport: Transport | Sequence[Relay] | None = None, **settings: Any
) -> Kit:
    """A kit on a database of this test's own, with settings that can send, and with one relay or several."""
    several = transport if isinstance(transport, Sequence) else () if transport is None else (Relay(transport),)
    chosen = Settings(
        home=home,
        secret_key=(KEY,),
        suppression_key=KEY,
        seal_key=(KEY,),
        database_url=store.url.render_as_string(hide_password=False),
        sender="Example Campaign <letters@example.org>",
        base_url="https://letters.example.org",
        smtp_url="smtp://127.0.0.1:1?tls=none",
        postal_address="1 Example Street, Example Town",
        **settings,
    )
    return Kit(
        settings=chosen,
        store=store,
        clock=clock,
        keys=Keyring(clock, secrets=[KEY], suppression=KEY, seals=[KEY]),
        renderer=Renderer([home / "templates", asset("templates")]),
        doorbell=SilentDoorbell(),
        operator="local:test",
        relays=tuple(several),
    )


@dataclass(frozen=True, slots=True)
class Reader:
    """A sample subscriber without a name of their own."""

    number: int
    timezone: str | None = None
    country: str | None = None
    language: str | None = None
    domain: str = "example.org"
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> Address:
        return Address(f"reader-{self.number:02}", self.domain)


async def fresh_articles(kit: Kit) -> None:
    """The starter library, reviewed as of the kit's own clock, so that no test grows old with it."""
    await publishing.import_starters(kit)
    async with kit.store.begin() as tx:
        await tx.execute(update(articles).values(review_on=kit.clock.now().date() + timedelta(days=3650)))


async def some_readers(kit: Kit, readers: int | Sequence[Reader], slug: str = "supporters") -> list[int]:
    """Put readers on a list of that name, as active; return their subscriber ids."""
    chosen = [Reader(n) for n in range(1, readers + 1)] if isinstance(readers, int) else readers
    now = kit.clock.now()
    async with kit.store.begin() as tx:
        row = {
            "slug": slug,
            "name": slug.title(),
            "opt_in": OptIn.DOUBLE,
            "visibility": Visibility.PRIVATE,
            "created_at": now,
        }
        list_id = (await tx.execute(insert(lists).values(**row).returning(lists.c.id))).scalar_one()
        ids = []
        for reader in chosen:
            person = {
                "address_key": kit.keys.address_key(reader.address),
                "key_version": 1,
                "address_sealed": kit.keys.seal(reader.address.wire, purpose="address"),
                "domain": reader.address.domain,
                "name_sealed": kit.keys.seal(f"Reader {reader.number:02}", purpose="name"),
                "country": reader.country,
                "language": reader.language,
                "timezone": reader.timezone,
                "created_at": now,
                "changed_at": now,
            }
            found = await tx.execute(insert(subscribers).values(**person).returning(subscribers.c.id))
            ids.append(found.scalar_one())
            joined = {"joined_at": now, "confirmed_at": now, "state": SubscriptionState.ACTIVE}
            await tx.execute(insert(subscriptions).values(subscriber_id=ids[-1], list_id=list_id, **joined))
    return ids


async def no_database(*_: object, **__: object) -> Any:
    """Stand in for what asks the database when that is away."""
    raise DatabaseAway("It is gone for a moment.", remedy="Wait.")
