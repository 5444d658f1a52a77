"""Links that prove themselves, and nothing that is not one of them."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.tokens import Link, Purpose, TokenRefused, derive, read, sign

OLD, NEW = b"o" * 32, b"n" * 32
_NUMBERS = st.integers(0, 2**63 - 1)


@given(st.sampled_from(Purpose), _NUMBERS, _NUMBERS)
def test_a_link_is_read_as_it_was_signed_also_after_a_new_key(
    purpose: Purpose, subscription: int, delivery: int
) -> None:
    link = Link(purpose, subscription, delivery)
    token = sign(link, OLD)
    assert read(purpose, token, [NEW, OLD]) == link
    assert len(token) == 43
    assert token.replace("-", "").replace("_", "").isalnum()


def test_links_in_letters_that_were_sent_keep_working() -> None:
    assert sign(Link(Purpose.LEAVE, 4711, 12), NEW) == "AAAAAAAAEmcAAAAAAAAADGTEl6fobnRmTSH7b1fJ8vQ"
    assert sign(Link(Purpose.CONFIRM, 2**63 - 1, 0), NEW) == "f_________8AAAAAAAAAAHbBLPKqUGqfDNNFNCLXHPE"


@given(st.sampled_from(Purpose), st.sampled_from(Purpose))
def test_a_link_is_worth_nothing_for_another_purpose(signed: Purpose, asked: Purpose) -> None:
    token = sign(Link(signed, 1, 2), NEW)
    if signed is not asked:
        with pytest.raises(TokenRefused):
            read(asked, token, [NEW])


@given(st.integers(0, 42), st.sampled_from("Aa0_-z"))
def test_no_character_can_be_changed(place: int, put: str) -> None:
    token = sign(Link(Purpose.LEAVE, 1, 2), NEW)
    forged = token[:place] + put + token[place + 1 :]
    if forged != token:
        with pytest.raises(TokenRefused):
            read(Purpose.LEAVE, forged, [NEW])


@given(st.text(max_size=80))
def test_any_other_text_is_refused_and_nothing_worse(text: str) -> None:
    with pytest.raises(TokenRefused):
        read(Purpose.LEAVE, text, [NEW, OLD])


def test_a_foreign_key_signs_nothing_for_us() -> None:
    with pytest.raises(TokenRefused):
        read(Purpose.LEAVE, sign(Link(Purpose.LEAVE, 1, 2), b"f" * 32), [NEW])


def test_keys_are_derived_by_hkdf_as_rfc_5869_has_it() -> None:
    assert derive(NEW, "a purpose") == HKDF(SHA256(), 32, None, b"a purpose").derive(NEW)
