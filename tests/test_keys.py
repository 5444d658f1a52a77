"""The keyring: what is sealed names nobody, and opens only where it belongs."""

from __future__ import annotations

import base64

import pytest

from campaign.domain.addresses import parse_address
from campaign.keys import Keyring, SealBroken, fresh_key
from tests.clocks import FrozenClock

OLD, NEW = b"o" * 32, b"n" * 32


def ring(*seals: bytes, suppression: bytes = NEW) -> Keyring:
    return Keyring(FrozenClock(), secrets=[NEW], suppression=suppression, seals=seals)


def test_what_is_sealed_opens_for_its_purpose_with_any_key_on_the_ring() -> None:
    sealed = ring(OLD).seal("reader-07@example.org", purpose="address")
    assert b"reader" not in sealed
    assert ring(NEW, OLD).open(sealed, purpose="address") == "reader-07@example.org"


@pytest.mark.parametrize(
    ("keys", "purpose", "cut"), [((NEW,), "address", 0), ((OLD,), "name", 0), ((OLD,), "address", 1)]
)
def test_a_wrong_key_a_wrong_purpose_and_a_cut_are_told_apart_from_nothing(
    keys: tuple[bytes, ...], purpose: str, cut: int
) -> None:
    sealed = ring(OLD).seal("reader-07@example.org", purpose="address")
    with pytest.raises(SealBroken) as broken:
        ring(*keys).open(sealed[: len(sealed) - cut], purpose=purpose)
    assert "CAMPAIGN_SEAL_KEY" in broken.value.remedy


def test_the_same_text_is_never_sealed_alike() -> None:
    keys = ring(NEW)
    assert keys.seal("x", purpose="name") != keys.seal("x", purpose="name")


def test_an_address_key_depends_on_the_mailbox_and_the_suppression_key_alone() -> None:
    one, two = parse_address("Reader@example.org"), parse_address("reader@EXAMPLE.org")
    assert ring(NEW).address_key(one) == ring(OLD).address_key(two)
    assert ring(NEW).address_key(one) != ring(NEW, suppression=OLD).address_key(one)
    assert len(ring(NEW).address_key(one)) == 32


def test_fresh_keys_have_32_bytes() -> None:
    clock = FrozenClock()
    assert len(base64.urlsafe_b64decode(fresh_key(clock))) == 32
    assert fresh_key(clock) != fresh_key(clock)


def test_many_are_sealed_like_one_each_with_a_nonce_of_its_own() -> None:
    keys, texts = ring(NEW), ["reader-07@example.org", "", "Ünïcode", "reader-07@example.org"]
    sealed = keys.seal_all(texts, purpose="name")
    assert [keys.open(blob, purpose="name") for blob in sealed] == texts
    assert len({blob[4:16] for blob in sealed}) == len(texts)
    assert keys.seal_all([], purpose="name") == []
