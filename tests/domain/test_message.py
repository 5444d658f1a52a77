"""What a letter is made of, and how foreign text is made fit for a header."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.addresses import Address
from campaign.domain.delivery import Kind
from campaign.domain.errors import BadInput
from campaign.domain.headers import clean_body_text, clean_header_text
from campaign.domain.message import LetterSpec, SenderIdentity, header_names, is_link, is_message_id, is_one_click
from tests.mail.samples import CONTEXT, SENDER

CLEANED = [
    ("plain", "plain"),
    ("  two   spaces ", "two spaces"),
    ("a\r\nBcc: x", "a Bcc: x"),
    ("=?utf-8?q?hi=0D=0ABcc:_evil?=", "hi Bcc: evil"),
    ("=?utf-8?b?aGkNCkJjYzogeA==?=", "hi Bcc: x"),
    ("=?utf-8?b?aGkNCkJjYzogeA?=", "hi Bcc: x"),
    ("=?iso-8859-1?q?=FCber?= =?utf-8?q?_alles?=", "über alles"),
    ("=?utf-8*de?q?gr=C3=BCn?=", "grün"),
    ("=?utf-8?q?=3D=3Futf-8=3Fq=3Fa=3D0Ab=3F=3D?=", "a b"),
    ("=?unicode_escape?q?=5Cn?=", "=?unicode_escape?q?=5Cn?="),
    ("=?nonsense?q?a?=", "=?nonsense?q?a?="),
    ("=?utf-8?b?!?=", "=?utf-8?b?!?="),
    ("=?utf-8?q?ü?=", "=?utf-8?q?ü?="),
    ("=?utf-8?q?=FF?=", "\ufffd"),
    ("a\u202eb\u2066c\u2028d\x85e\x1bf", "a b c d e f"),
    ("\ud83d lone", "lone"),
    ("zwj 👩\u200d👧 stays", "zwj 👩\u200d👧 stays"),
]


@pytest.mark.parametrize(("text", "clean"), CLEANED)
def test_header_text_is_decoded_before_it_is_cleaned(text: str, clean: str) -> None:
    assert clean_header_text(text) == clean


@given(st.text() | st.text("=?utf-8qb_0ADa \r\n\u202e", max_size=60))
def test_no_header_text_keeps_what_controls_anything(text: str) -> None:
    clean = clean_header_text(text)
    assert not {unicodedata.category(c) for c in clean} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(c) for c in clean} & {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI"}
    assert clean == " ".join(clean.split())


@given(st.text())
def test_body_text_keeps_lines_and_loses_controls(text: str) -> None:
    clean = clean_body_text(text)
    clean.encode()
    assert {c for c in clean if unicodedata.category(c) == "Cc"} <= {"\n", "\t"}
    assert clean_body_text(clean) == clean


LIST = ["List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Help", "List-Owner"]


@pytest.mark.parametrize("kind", Kind)
def test_who_gets_a_letter_as_a_member_can_leave_from_it(kind: Kind) -> None:
    names = header_names(kind, SENDER)
    assert len(set(names)) == len(names)
    assert {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"} <= set(names)
    member = kind in {Kind.EDITION, Kind.WELCOME, Kind.RENEW, Kind.TEST}
    assert [name for name in names if name.startswith("List-")] == (LIST if member else [])
    assert ("Precedence" in names, "Feedback-ID" in names) == (member, member)


@pytest.mark.parametrize(
    "change",
    [
        {"owner": "contact@example.org"},
        {"help": "mailto:a b@example.org"},
        {"archive": "javascript:1"},
        {"archive": "https://example.org/\r\nBcc: x"},
        {"list_label": "Über"},
        {"list_label": "a>b"},
        {"list_domain": ""},
        {"list_label": "a" * 102, "list_domain": "b" * 102, "feedback": ()},
        {"feedback": ("a", "b", "c", "d", "e")},
        {"feedback": ("a:b",)},
    ],
)
def test_a_sender_that_cannot_stand_in_a_header_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        replace(SENDER, **change)  # type: ignore[arg-type] # wrong on purpose


def test_all_that_is_wrong_with_a_sender_is_named_at_once() -> None:
    with pytest.raises(BadInput) as refused:
        replace(SENDER, owner="x", help="y", list_label="Z")
    assert all(part in str(refused.value) for part in ("owner 'x'", "help 'y'", "list id 'Z.example.org'"))


def test_senders_and_specifications_survive_storage() -> None:
    for sender in (SENDER, replace(SENDER, reply_to=Address("desk", "example.org"), archive="https://example.org/a")):
        assert SenderIdentity.from_json(sender.as_json()) == sender
        spec = LetterSpec("digest", "pt-BR", CONTEXT, sender, Kind.TEST, ("preferences",), text_only=True)
        assert LetterSpec.from_json(spec.as_json()) == spec
        assert spec.all_links == ("preferences", "unsubscribe", "unsubscribe_mailto")


@pytest.mark.parametrize(
    ("url", "link", "one_click"),
    [
        ("https://example.org/u/a-b_c", True, True),
        ("http://127.0.0.1:8000/u/x", True, True),
        ("http://localhost/u/x", True, True),
        ("http://[::1]:8000/u/x", True, True),
        ("http://example.org/u/x", True, False),
        ("http://127.0.0.1.example.org/u/x", True, False),
        ("http://localhost.example.org/u/x", True, False),
        ("mailto:a@example.org?subject=leave", True, False),
        ("javascript:alert(1)", False, False),
        ("https://example.org/a b", False, False),
        ("https://example.org/<>", False, False),
        ('https://example.org/"', False, False),
        ("https://example.org/é", False, False),
        ("https://example.org/\n", False, False),
        ("https://example.org/" + "a" * 900, False, False),
        ("", False, False),
    ],
)
def test_which_links_may_stand_in_a_letter(url: str, link: bool, one_click: bool) -> None:
    assert (is_link(url), is_link(url) and is_one_click(url)) == (link, one_click)


def test_message_ids_need_no_quoting() -> None:
    assert is_message_id("<d.7.f00d@example.org>")
    for wrong in (
        "d.7@example.org",
        "<a b@example.org>",
        "<a@b@c>",
        "<a@example.org>\r\n",
        "<@example.org>",
        "<" + "a" * 250 + "@x>",
    ):
        assert not is_message_id(wrong)
