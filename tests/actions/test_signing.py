"""Every letter that leaves is signed where there is a key, whichever way it was made; and none waits for ever for that."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import dkim
import pytest
from sqlalchemy import select

from campaign.actions import joining, previewing
from campaign.actions.kit import Kit
from campaign.domain.delivery import State
from campaign.domain.people import parse_person
from campaign.domain.replies import Answer
from campaign.mail.admission import Vetted
from campaign.mail.dkim import Draft, NamedKey, Signer
from campaign.mail.transport import BeforeDot, Envelope, Upcoming
from campaign.settings.signing import Algorithm, SigningKey
from campaign.store.engine import Store
from campaign.store.schema.ledger import deliveries
from tests.actions.test_sending import YES, Relay, a_sending_kit, drain, states
from tests.mail.samples import write_template

KEYS = {algorithm: NamedKey(algorithm.value, SigningKey.fresh(algorithm)) for algorithm in Algorithm}
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""Signatures know no database."""

WAYS = pytest.mark.parametrize("kinds", [["ed25519"], ["rsa", "ed25519"]], ids="+".join)
"""At once, and beside the loop."""


class Post(Relay):
    """A relay that keeps what it takes."""

    def __init__(self) -> None:
        super().__init__(YES)
        self.letters: list[bytes] = []

    async def deliver(
        self, envelope: Envelope, body: bytes, before_dot: BeforeDot, upcoming: Upcoming | None = None
    ) -> Answer:
        self.letters.append(body)
        await asyncio.sleep(0)
        return await super().deliver(envelope, body, before_dot, upcoming)


def signer(kinds: Sequence[str]) -> Signer:
    return Signer("example.org", [KEYS[Algorithm(kind)] for kind in kinds])


def signatures(letter: bytes) -> int:
    """How many signatures a letter has; all of them are good."""
    count = len(re.findall(rb"^DKIM-Signature:", letter, re.MULTILINE))
    records = {f"{key.selector}._domainkey.example.org.": key.key.record for key in KEYS.values()}
    for index in range(count):
        assert dkim.DKIM(letter).verify(index, dnsfunc=lambda name, **_: records[name.decode()])
    return count


async def a_signing_kit(store: Store, home: Path, relay: Relay, kinds: Sequence[str], people: int) -> Kit:
    kit = await a_sending_kit(store, home, relay, people=people, connections=4)
    return replace(kit, signer=signer(kinds))


@WAYS
async def test_each_letter_of_an_edition_is_signed(store: Store, home: Path, kinds: list[str]) -> None:
    relay = Post()
    kit = await a_signing_kit(store, home, relay, kinds, people=70)
    await drain(kit)
    assert await states(kit) == [State.ACCEPTED] * 70
    assert len(relay.dots) == len(set(relay.dots)) == 70
    assert {signatures(letter) for letter in relay.letters} == {len(kinds)}
    assert {type(letter) for letter in relay.letters} == {Vetted}


@WAYS
async def test_letters_that_are_rendered_for_each_person_are_signed(store: Store, home: Path, kinds: list[str]) -> None:
    asks = "{% if person.name == 'Reader 02' %}you{% else %}them{% endif %}"
    write_template(home / "templates", "digest", text=f"Read, {asks}. {{{{ links.unsubscribe }}}}")
    relay = Post()
    kit = await a_signing_kit(store, home, relay, kinds, people=3)
    await drain(kit)
    assert await states(kit) == [State.ACCEPTED] * 3
    assert [signatures(letter) for letter in relay.letters] == [len(kinds)] * 3


async def test_previews_test_letters_and_service_letters_are_signed(store: Store, home: Path) -> None:
    relay = Post()
    kit = await a_signing_kit(store, home, relay, ["rsa", "ed25519"], people=1)
    assert signatures((await previewing.preview(kit, "news")).eml) == 2
    await previewing.send_test(kit, "news", "operator@example.org")
    await joining.add(kit, joining.Request(parse_person("reader-90@example.org"), "supporters"))
    await drain(kit)
    assert [signatures(letter) for letter in relay.letters] == [2] * 3
    assert sum(b"\nList-Unsubscribe:" in letter for letter in relay.letters) == 2, "the third asks to confirm"


async def test_without_a_key_nothing_is_signed(store: Store, home: Path) -> None:
    relay = Post()
    kit = await a_sending_kit(store, home, relay)
    await drain(kit)
    assert [b"DKIM" in letter for letter in relay.letters] == [False] * 3


class Broken(Signer):
    """It cannot sign one reader's letter."""

    def draft(self, letter: bytes, at: datetime) -> Draft:
        if b"<reader-02@example.org>" in letter:
            raise OSError("the key is gone")
        return super().draft(letter, at)


@pytest.mark.parametrize("kind", Algorithm)
async def test_a_letter_that_cannot_be_signed_does_not_go_unsigned(store: Store, home: Path, kind: Algorithm) -> None:
    relay = Post()
    kit = await a_sending_kit(store, home, relay, people=20, connections=4)
    await drain(replace(kit, signer=Broken("example.org", [KEYS[kind]])))
    assert {signatures(letter) for letter in relay.letters} == {1}
    assert sorted(await states(kit)) == [State.ACCEPTED] * 19 + [State.QUEUED]
    async with kit.store.read() as tx:
        [attempts] = (
            await tx.execute(select(deliveries.c.attempts).where(deliveries.c.state == State.QUEUED))
        ).scalars()
    assert attempts == 1
