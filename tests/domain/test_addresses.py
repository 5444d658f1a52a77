"""What a mailbox is, and that the short way to read one decides as the full validator does."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from campaign.domain import addresses
from campaign.domain.addresses import Address, AddressRefused, mask, parse_address, printable

_PIECES = st.text("abzAZ019.!#'*+-/=?^_`{|}~@ \t\"\\()<>,:;[]é\u202e\x00\nxn", max_size=30)
_LIKELY = st.builds(
    lambda local, domain, top: f"{local}@{domain}.{top}",
    _PIECES,
    st.text("abxn019-.", max_size=30),
    st.sampled_from(["org", "test", "arpa", "example", "c1", "museum", "xn--p1ai", "local"]),
)


@given(st.one_of(_LIKELY, _PIECES))
@example("reader@ab--c.org")
@example("reader@xn--bcher-kva.example")
@example("a" * 65 + "@example.org")
@example("a@" + "b" * 64 + ".org")
@example("a@" + ".".join(["b" * 60] * 5) + ".org")
@example("reader@localhost.")
@example("reader@example.onion")
def test_the_short_way_agrees_with_the_full_validator(text: str) -> None:
    short = addresses._plain(text.strip())
    if short is not None:
        assert short == addresses._full(text.strip())


@given(st.emails())
def test_addresses_read_again_stay_the_same(text: str) -> None:
    try:
        found = parse_address(text)
    except AddressRefused:
        return
    assert parse_address(found.wire) == found
    assert found.canonical == parse_address(found.canonical).canonical


def test_one_mailbox_has_one_canonical_form() -> None:
    composed, decomposed = "é", unicodedata.normalize("NFD", "é")
    assert Address(composed, "example.org").canonical == Address(decomposed, "example.org").canonical
    assert parse_address("Reader@EXAMPLE.org").canonical == "reader@example.org"
    assert parse_address("reader+news@example.org").canonical != parse_address("reader@example.org").canonical
    assert parse_address("r.e@example.org").canonical != parse_address("re@example.org").canonical


def test_the_wire_keeps_the_local_part_and_takes_the_domain_to_a_labels() -> None:
    found = parse_address("  Leser.Eins@Bücher.example ")
    assert found.wire == "Leser.Eins@xn--bcher-kva.example"
    assert not found.needs_smtputf8
    assert parse_address("léser@example.org").needs_smtputf8


@pytest.mark.parametrize(
    "text",
    [
        "",
        "reader",
        "reader@",
        "@example.org",
        "a b@example.org",
        "a@b@example.org",
        "reader@example",
        "reader@example.test",
        '"x\r\nRCPT TO:<evil@example.org>\r\n"@example.org',
        "a\r\nb@example.org",
        "reader@example.org\x00",
        "<reader@example.org>",
        "Reader <reader@example.org>",
        "a@[127.0.0.1]",
        "a" * 400 + "@example.org",
    ],
)
def test_what_is_no_address_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        parse_address(text)
    assert refused.value.remedy
    assert "\r" not in str(refused.value)
    assert "\x00" not in str(refused.value)


def test_masks_name_nobody() -> None:
    assert mask("reader-07@example.org") == "r…@example.org"
    assert mask("nothing") == "…"


def test_hostile_text_is_shown_harmlessly() -> None:
    assert printable("a\x1b[31m\u202eb") == "'a\\u001b[31m\\u202eb'"
