"""Signatures that others can check: dkimpy reads every letter of ours, and no letter that somebody changed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dkim
import pytest
import pytest_asyncio
from aiosmtpd.smtp import SMTP, Envelope, Session
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.addresses import Address
from campaign.domain.message import LetterRefused, Personal
from campaign.domain.replies import Phase
from campaign.mail.admission import Vetted, fits_anywhere
from campaign.mail.composer import Compiled, compile_letter, compose
from campaign.mail.dkim import NamedKey, Signer
from campaign.mail.mime import folded, unstructured
from campaign.mail.renderer import Renderer
from campaign.settings.signing import Algorithm, SigningKey
from tests.mail.letters import Token, conversation, envelope
from tests.mail.samples import KIND_OF, READER, SHIPPED, spec, write_template

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEYS = [NamedKey(f"{algorithm}-2027", SigningKey.fresh(algorithm)) for algorithm in Algorithm]
RSA, ED25519 = (Signer("example.org", [key]) for key in KEYS)
BOTH = Signer("example.org", KEYS)
SIGNERS = pytest.mark.parametrize("signer", [RSA, ED25519, BOTH], ids=["rsa", "ed25519", "both"])
ALetter = Callable[..., Awaitable[bytes]]
NOW = datetime.now(UTC).replace(microsecond=0)
READERS = [
    READER._replace(date=NOW),
    READER._replace(date=NOW, name=""),
    READER._replace(date=NOW, name="Ελένη " * 12),
    READER._replace(date=NOW, to=Address("квітка", "example.org"), name='"quoted", \\ (odd)'),
]


def _record(name: bytes, timeout: int = 5) -> str | None:
    """The DNS of the tests."""
    return {f"{key.selector}._domainkey.example.org.": key.key.record for key in KEYS}.get(name.decode())


def passes(letter: bytes) -> bool:
    """Whether each signature of a letter is good for dkimpy."""
    count = len(re.findall(rb"^DKIM-Signature:", letter.partition(b"\r\n\r\n")[0], re.MULTILINE))
    assert count, "a letter without a signature"
    try:
        return all(dkim.DKIM(letter).verify(index, dnsfunc=_record) for index in range(count))
    except dkim.DKIMException:
        return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home") / "templates"
    asks = "{% if person.name == 'abc' %}you{% else %}them{% endif %}"
    write_template(folder, "choosy", subject=f"For {asks}", text=f"Read, {asks}.\n\n\n\n", html=f"<p>Read, {asks}</p>")
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def renderer(folder: Path) -> AsyncIterator[Renderer]:
    async with Renderer([folder, SHIPPED]) as renderer:
        yield renderer


@pytest.fixture(scope="module")
def compiled() -> dict[str, Compiled]:
    """What was compiled already: each letter once for all tests of this module."""
    return {}


@pytest.fixture
def a_letter(renderer: Renderer, compiled: dict[str, Compiled]) -> ALetter:
    async def made(reader: Personal = READERS[0], template: str = "digest", **more: Any) -> bytes:
        key = f"{template} {more}"
        if key not in compiled:
            compiled[key] = await compile_letter(renderer, spec(template, **more))
        return await compose(renderer, compiled[key], reader)

    return made


@SIGNERS
@pytest.mark.parametrize("reader", READERS, ids=["name", "nameless", "long", "smtputf8"])
@pytest.mark.parametrize("template", [*KIND_OF, "choosy"])
async def test_every_letter_passes(a_letter: ALetter, signer: Signer, template: str, reader: Personal) -> None:
    letter = await a_letter(reader, template)
    signed = signer.sign(letter, reader.date)
    assert signed.endswith(letter), "what is signed is not changed"
    assert passes(signed)


@SIGNERS
async def test_a_letter_of_text_alone_passes(a_letter: ALetter, signer: Signer) -> None:
    assert passes(signer.sign(await a_letter(text_only=True), NOW))


async def test_what_is_fit_for_the_wire_stays_so(a_letter: ALetter) -> None:
    letter = await a_letter()
    assert isinstance(letter, Vetted)
    signed = BOTH.sign(letter, NOW)
    assert isinstance(signed, Vetted)
    assert fits_anywhere(signed.removesuffix(letter))
    assert type(BOTH.sign(bytes(letter), NOW)) is bytes


async def test_the_longest_names_fit_the_wire(a_letter: ALetter) -> None:
    letter = await a_letter()
    domain = ".".join(["a" * 63] * 3 + ["a" * 57, "org"])
    signer = Signer(domain, [NamedKey(".".join(["s" * 59] * 2), key.key) for key in KEYS])
    assert fits_anywhere(signer.sign(letter, NOW).removesuffix(letter))


async def test_the_same_letter_gets_the_same_signature_on_each_attempt(a_letter: ALetter) -> None:
    letter = await a_letter()
    assert BOTH.sign(letter, NOW) == BOTH.sign(letter, NOW)


async def test_every_field_about_leaving_is_covered(a_letter: ALetter) -> None:
    head = RSA.sign(await a_letter(), NOW).partition(b"\r\n\r\n")[0]
    covered = re.search(rb" h=([^;]+);", head)
    assert covered is not None
    names = re.sub(rb"\s", b"", covered[1]).decode().split(":")
    for name in ("from", "to", "subject", "date", "message-id", "list-unsubscribe", "list-unsubscribe-post"):
        assert names.count(name) == 2, f"{name}, and that there is no other"
    assert {"list-id", "list-help", "list-owner", "mime-version", "content-type", "feedback-id"} < set(names)
    assert not {"precedence", "auto-submitted", "sender"} & set(names)


TAMPERINGS: dict[str, Callable[[bytes], bytes]] = {
    "another way to leave": lambda letter: letter.replace(b"/u/unsubscribe", b"/u/evil", 1),
    "no way to leave": lambda letter: re.sub(rb"List-Unsubscribe:.*\r\n .*\r\n", b"", letter),
    "no one-click": lambda letter: letter.replace(b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", b""),
    "a second way to leave": lambda letter: b"List-Unsubscribe: <https://evil.example/>\r\n" + letter,
    "another body": lambda letter: letter.replace(b"modern slavery", b"modern history", 1),
    "more body": lambda letter: letter + b"P.S.\r\n",
    "spaces at a line's end": lambda letter: letter.removesuffix(b"\r\n") + b" \r\n",
    "another subject": lambda letter: letter.replace(b"Subject: ", b"Subject: Re: ", 1),
    "another recipient": lambda letter: letter.replace(b"reader-07@", b"reader-08@", 1),
    "another type": lambda letter: letter.replace(b"multipart/alternative", b"multipart/mixed", 1),
    "another time": lambda letter: re.sub(rb" t=(\d+)\d\d\d;", rb" t=\g<1>000;", letter),
}
ONCE = ("From", "To", "Subject", "Date", "Message-ID", "Reply-To", "Cc", "MIME-Version", "Content-Type")


@pytest.mark.parametrize("signer", [RSA, ED25519], ids=["rsa", "ed25519"])
@pytest.mark.parametrize("how", TAMPERINGS)
async def test_what_somebody_changed_fails(a_letter: ALetter, signer: Signer, how: str) -> None:
    signed = signer.sign(await a_letter(), NOW)
    changed = TAMPERINGS[how](signed)
    assert changed != signed
    assert passes(signed)
    assert not passes(changed)


@pytest.mark.parametrize("signer", [RSA, ED25519], ids=["rsa", "ed25519"])
@pytest.mark.parametrize("name", ONCE)
async def test_a_field_that_somebody_added_fails(a_letter: ALetter, signer: Signer, name: str) -> None:
    signed, field = signer.sign(await a_letter(), NOW), f"{name}: evil@example.net\r\n".encode()
    assert passes(signed)
    assert not passes(field + signed)
    assert not passes(signed.replace(b"\r\n\r\n", b"\r\n" + field + b"\r\n", 1))


async def test_what_relays_do_on_the_way_harms_nothing(a_letter: ALetter) -> None:
    signed = BOTH.sign(await a_letter(), NOW)
    head, _, body = signed.partition(b"\r\n\r\n")
    unfolded = head.replace(b"\r\n ", b" ").replace(b"Subject: ", b"SUBJECT:\t ")
    received = b"Received: from relay.example.net; Fri, 30 Jul 2027 07:00:00 +0000\r\nReturn-Path: <>\r\n"
    assert passes(received + unfolded + b"\r\nX-Spam: no\r\n\r\n" + body + b"\r\n\r\n")


async def test_another_key_in_the_dns_is_noticed(a_letter: ALetter) -> None:
    stranger = Signer("example.org", [replace(KEYS[0], key=SigningKey.fresh(Algorithm.RSA))])
    assert not passes(stranger.sign(await a_letter(), NOW))


@pytest.mark.parametrize(
    "letter", [b"Subject: nobody's\r\n\r\nText\r\n", b"no header at all", b"", b"\r\n\r\nText\r\n"]
)
async def test_a_letter_from_nobody_is_refused(letter: bytes) -> None:
    with pytest.raises(LetterRefused, match="without From"):
        RSA.sign(letter, NOW)


async def test_a_field_that_stands_there_twice_is_signed_as_receivers_read_it() -> None:
    letter = b"From: a@example.org\r\nSubject: one\r\nSUBJECT:\t two \r\n\tthree\r\nsubject:\r\n\r\nText\r\n"
    assert passes(BOTH.sign(letter, NOW))


@pytest.mark.parametrize("body", [b"", b"\r\n", b"\r\n\r\n\r\n", b"Text\r\n\r\n\r\n", b"Text", b"\r\nText\r\n"])
async def test_empty_lines_at_the_end_do_not_count(body: bytes) -> None:
    signed = BOTH.sign(b"From: a@example.org\r\n\r\n" + body, NOW)
    assert passes(signed)
    assert passes(signed.removesuffix(b"\r\n") + b"\r\n\r\n" if body.endswith(b"\r\n") else signed + b"\r\n")


# --- Whatever stands in it, a letter's signature is good after the wire ------------------------------------------------

LINES = st.text(st.characters(codec="ascii", exclude_characters="\r\n\0"), max_size=90) | st.sampled_from(
    ["", ".", "..", ". ", " .", " ", "\t", "  two  ", "From here", "=20", "x\t\ty  ", "-- "]
)
BODIES = st.builds(
    lambda lines, empty: "".join(f"{line}\r\n" for line in [*lines, *[""] * empty]).encode(),
    st.lists(LINES, max_size=12),
    st.integers(0, 3),
)
VALUES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=200).map(
    lambda text: text.strip()
)
SPACED = st.lists(st.sampled_from(["a", "  b", "\tc", "\r\n d", "\r\n\t\r\n e", " ", "f:g", ";"]), max_size=9).map(
    "".join
)


class _Keeper:
    def __init__(self) -> None:
        self.taken: list[bytes] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- its name
        assert isinstance(envelope.original_content, bytes)
        self.taken.append(envelope.original_content)
        return "250 2.0.0 Ok"


@given(subject=VALUES, spaced=SPACED, body=BODIES)
async def test_whatever_it_says_its_signature_is_good_after_the_wire(subject: str, spaced: str, body: bytes) -> None:
    fields = [
        folded("From", ["Example", "<letters@example.org>"]),
        unstructured("Subject", subject or "-"),
        f"Feedback-ID: a{spaced}z\r\n".encode(),
        folded("List-Unsubscribe", ["<https://example.org/u/x>,", "<mailto:contact@example.org>"]),
    ]
    signed = BOTH.sign(b"".join([*fields, b"\r\n", body]), NOW)
    if not body:
        signed += b"\r\n"  # SMTP knows no letter without a line end
    keeper = _Keeper()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(keeper, loop=loop, hostname="here", ident="here"), "127.0.0.1", 0)
    async with server, conversation(server.sockets[0].getsockname()[1]) as talk:
        answer = await talk.deliver(envelope(), signed, Token())
        assert answer.phase is Phase.DOT
        assert answer.reply is not None, answer
    [taken] = keeper.taken
    assert taken == signed
    assert passes(taken)
