"""Letters as bytes: what they carry, that both ways of making them agree, and that nobody's name can break one."""

from __future__ import annotations

import email.policy
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import assume, example, given
from hypothesis import strategies as st

from campaign.domain.addresses import Address
from campaign.domain.delivery import Kind
from campaign.domain.errors import BadInput, NotReady
from campaign.domain.headers import clean_body_text, clean_header_text
from campaign.domain.message import LetterRefused, header_names
from campaign.mail.composer import Compiled, TemplateRefused, compile_letter, compose, fill, read_letter
from campaign.mail.mime import quoted_printable, unstructured
from campaign.mail.reading import check_letter
from campaign.mail.renderer import Renderer
from tests.mail.samples import CONTEXT, READER, SENDER, SHIPPED, spec, write_template

pytestmark = pytest.mark.asyncio(loop_scope="module")

HTML = """<!DOCTYPE html><html lang="en"><head><title>x</title><style>p {{ color: #111111 }}</style></head><body>
<p>Dear {{{{ person.name }}}}{{{{ person.name }}}}, a &amp; b</p><p title="{{{{ person.name }}}}">{{{{ person.greeting }}}}</p>
<a href="{{{{ links.unsubscribe }}}}">leave</a>{extra}</body></html>"""
TEXT = """{{{{ person.greeting }}}}
. a line with a dot, and {{{{ person.name }}}}
From {{{{ person.name }}}}

{{{{ person.name }}}}

Leave: {{{{ links.unsubscribe }}}}{extra}
"""
SUBJECT = "For {{{{ person.name }}}}: läst call{extra}"
ASKS = "{% if person.name %}{% endif %}"

HOSTILE = [
    "",
    'O\'Brien, Jones & Co. <b>"x"</b>',
    "a\r\nBcc: evil@example.org",
    "=?utf-8?q?hi=0D=0ABcc:_evil=40example.org?=",
    "=?utf-8?b?aGkNCkJjYzogZXZpbEBleGFtcGxlLm9yZw==?=",
    "=?utf-8?q?=3D=3Futf-8=3Fq=3Fa=3D0D=3D0ABcc:_x=3F=3D?=",
    "\u202egnp.exe\u202c \u2028 \u2029 \x85 \x7f \x00\x1b[31m",
    "اسم طويل جدًا",
    "👩‍👩‍👧‍👦 🏳️‍🌈",
    ".",
    "From nobody",
    "--=_boundary",
    "a" * 300,
    "ü" * 300,
    "x y " * 200,
    "\x02links.unsubscribe\x03",
    "{{ person.name }} {% raw %}",
    "a\xa0b\tc",
    "=20=\r\n.\r\n",
    "\ud800",
    '\\"quoted\\"',
    "(comment) <angle@example.org>, other@example.org;",
]
NAMES = st.sampled_from(HOSTILE) | st.text(max_size=120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home") / "templates"
    for name, extra in (("slots", ""), ("choosy", ASKS)):
        write_template(
            folder,
            name,
            subject=SUBJECT.format(extra=extra),
            text=TEXT.format(extra=extra),
            html=HTML.format(extra=extra),
        )
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def renderer(folder: Path) -> AsyncIterator[Renderer]:
    async with Renderer([folder, SHIPPED]) as renderer:
        yield renderer


def _message(letter: bytes) -> EmailMessage:
    return email.message_from_bytes(letter, EmailMessage, policy=email.policy.default)


class _Seen(HTMLParser):
    """What a browser would make of a page: tags with their attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: list[object] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.seen.append(data)


EVERY_HEADER = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Help",
    "List-Owner",
    "Feedback-ID",
    "Auto-Submitted",
    "Precedence",
    "MIME-Version",
    "Content-Type",
]


async def test_a_campaign_letter_carries_every_header_once(renderer: Renderer) -> None:
    message = _message(await compose(renderer, await compile_letter(renderer, spec()), READER))
    assert message.keys() == EVERY_HEADER
    assert message["From"] == "Example Campaign <letters@example.org>"
    assert message["To"] == "Ünïcode Näme <reader-07@example.org>"
    assert message["Date"] == "Fri, 30 Jul 2027 07:00:00 +0000"
    assert message["Message-ID"] == "<d.7.f00d@example.org>"
    assert message["List-Id"] == '"World Day" <world-day.example.org>'
    assert message["List-Unsubscribe"] == (
        "<https://example.org/u/unsubscribe-token>, <mailto:contact@example.org?subject=leave>"
    )
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Help"] == "<mailto:contact@example.org?subject=help>"
    assert message["List-Owner"] == "<mailto:contact@example.org>"
    assert message["Feedback-ID"] == "world-day:on-the-day:edition:example.org"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Precedence"] == "bulk"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert {part["Content-Transfer-Encoding"] for part in message.iter_parts()} == {"quoted-printable"}


async def test_more_headers_where_they_are_wanted(renderer: Renderer) -> None:
    sender = replace(SENDER, archive="https://example.org/a", reply_to=Address("desk", "example.org"))
    message = _message(await compose(renderer, await compile_letter(renderer, spec(sender=sender)), READER))
    assert message["List-Archive"] == "<https://example.org/a>"
    assert message["Reply-To"] == "desk@example.org"
    plain = _message(
        await compose(renderer, await compile_letter(renderer, spec(sender=replace(SENDER, one_click=False))), READER)
    )
    assert "List-Unsubscribe" in plain
    assert "List-Unsubscribe-Post" not in plain


@pytest.mark.parametrize("template", ["confirm", "goodbye"])
async def test_letters_outside_a_list_say_nothing_about_leaving_it(renderer: Renderer, template: str) -> None:
    message = _message(await compose(renderer, await compile_letter(renderer, spec(template)), READER))
    assert not [name for name in message if name.startswith(("List-", "Precedence", "Feedback"))]
    assert message["Auto-Submitted"] == "auto-generated"


async def test_a_text_only_letter_has_one_part(renderer: Renderer) -> None:
    letter = await compose(renderer, await compile_letter(renderer, spec(text_only=True)), READER)
    message = _message(letter)
    assert message.get_content_type() == "text/plain"
    assert message.keys() == [*EVERY_HEADER, "Content-Transfer-Encoding"]
    assert "https://example.org/u/unsubscribe-token" in read_letter(letter).text
    assert read_letter(letter).html == ""


async def test_a_test_letter_says_so(renderer: Renderer) -> None:
    reading = read_letter(await compose(renderer, await compile_letter(renderer, spec(kind=Kind.TEST)), READER))
    assert reading.subject == "[Test] Reach every victim"
    assert "This is a test letter." in reading.text
    assert "This is a test letter." in reading.html


@given(name=NAMES)
async def test_both_ways_of_making_a_letter_agree_for_every_name(renderer: Renderer, name: str) -> None:
    quick = await compile_letter(renderer, spec("slots"))
    slow = await compile_letter(renderer, spec("choosy"))
    assert (quick.per_person, slow.per_person) == (False, True)
    reader = READER._replace(name=name)
    first, second = await compose(renderer, quick, reader), await compose(renderer, slow, reader)
    one, two = read_letter(first), read_letter(second)
    assert (one.names, one.subject, one.text) == (two.names, two.subject, two.text)
    assert _Seen(one.html).seen == _Seen(two.html).seen
    assert _message(first)["To"] == _message(second)["To"]
    assert _message(first).items()[:2] == _message(second).items()[:2]


@given(name=NAMES)
@example("000\xa1" + "\U00010000" * 5)
async def test_no_name_breaks_a_letter(renderer: Renderer, name: str) -> None:
    compiled = await compile_letter(renderer, spec("slots"))
    letter = fill(compiled, READER._replace(name=name))
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", letter)
    assert not re.search(rb"^\.", letter, re.MULTILINE)
    head, _, body = letter.partition(b"\r\n\r\n")
    assert max(map(len, body.split(b"\r\n"))) <= 76
    assert max(map(len, head.split(b"\r\n"))) <= 998
    reading, shown = read_letter(letter), clean_header_text(name)
    assert reading.names == (*header_names(Kind.EDITION, SENDER), "MIME-Version", "Content-Type")
    assert reading.subject == clean_header_text(f"For {shown}: läst call")
    assert f". a line with a dot, and {shown}\nFrom {shown}\n" in reading.text
    data = "".join(piece for piece in _Seen(reading.html).seen if isinstance(piece, str))
    assert f"Dear {shown}{shown}, a & b" in data
    to = _message(letter)["To"]
    assert [address.addr_spec for address in to.addresses] == ["reader-07@example.org"]


@given(title=NAMES)
async def test_no_title_breaks_a_subject(renderer: Renderer, title: str) -> None:
    meant = clean_header_text(clean_body_text(title))
    assume(meant)
    context = {**CONTEXT, "subject": title, "articles": [{"title": title, "summary": title, "body": title}]}
    letter = fill(await compile_letter(renderer, spec(context=context)), READER)
    assert read_letter(letter).names[:3] == ("From", "To", "Subject")
    assert "Bcc" not in _message(letter)
    assert read_letter(letter).subject == meant


async def test_an_encoded_word_in_an_article_adds_no_header(renderer: Renderer) -> None:
    """CVE-2024-6923: before Python 3.11.15 this title became a real Bcc."""
    title = "=?utf-8?q?hi=0D=0ABcc:_evil=40x.org?="
    sender = replace(SENDER, from_name=title, list_name=title)
    context = {**CONTEXT, "campaign": {"title": title}, "articles": [{"title": title}]}
    letter = fill(await compile_letter(renderer, spec(context=context, sender=sender)), READER._replace(name=title))
    assert _message(letter).keys() == EVERY_HEADER
    assert read_letter(letter).subject == "hi Bcc: evil@x.org"
    assert b"\r\nBcc" not in letter


@pytest.mark.parametrize(
    "name", ["=?utf-7?b?K0FBMEFDZy1CY2M6IHhAeC5vcmc?=", "=?x-unknown?q?hi?=", "a =?utf-8?b?a?=", "=?utf-8?x?hi?="]
)
async def test_a_name_that_still_looks_like_an_encoded_word_is_shown_as_it_stands(
    renderer: Renderer, name: str
) -> None:
    """Some readers know charsets that we do not: what they decode must be what the person wrote, and never a header."""
    shown = clean_header_text(name)
    assert shown == name
    compiled = await compile_letter(renderer, spec(sender=replace(SENDER, from_name=name)))
    letter = fill(compiled, READER._replace(name=name))
    for field in ("From", "To"):
        [found] = _message(letter)[field].addresses
        assert (found.display_name, found.domain) == (shown, "example.org")


async def test_an_address_outside_ascii_goes_into_its_header_as_it_is(renderer: Renderer) -> None:
    letter = fill(await compile_letter(renderer, spec()), READER._replace(to=Address("квітка", "example.org")))
    assert "<квітка@example.org>\r\n".encode() in letter
    assert read_letter(letter).names == tuple(EVERY_HEADER)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"links": {}}, "'unsubscribe' is missing"),
    ({"links": {**READER.links, "unsubscribe": "https://example.org/\r\nBcc: x"}}, "'unsubscribe'"),
    ({"links": {**READER.links, "unsubscribe": "https://example.org/>, <https://evil.example/"}}, "'unsubscribe'"),
    ({"links": {**READER.links, "unsubscribe": "javascript:alert(1)"}}, "'unsubscribe'"),
    ({"links": {**READER.links, "unsubscribe": "http://example.org/u/x"}}, "not https"),
    ({"links": {**READER.links, "unsubscribe_mailto": "https://example.org/u"}}, "mailto"),
    ({"message_id": "<a@b>\r\nBcc: x@example.org"}, "Message-ID"),
    ({"message_id": "no brackets"}, "Message-ID"),
    ({"to": Address('"a\r\nBcc: evil@example.org"', "example.org")}, "one field"),
]


@pytest.mark.parametrize(("change", "words"), REFUSED)
async def test_one_person_is_refused_and_the_others_are_not(
    renderer: Renderer, change: dict[str, Any], words: str
) -> None:
    for template in ("slots", "choosy"):
        compiled = await compile_letter(renderer, spec(template))
        with pytest.raises(LetterRefused, match=words):
            await compose(renderer, compiled, READER._replace(**change))
        assert await compose(renderer, compiled, READER)


async def test_leaving_over_http_is_for_this_machine_only(renderer: Renderer) -> None:
    compiled = await compile_letter(renderer, spec())
    links = {**READER.links, "unsubscribe": "http://127.0.0.1:8000/u/token"}
    assert b"<http://127.0.0.1:8000/u/token>" in fill(compiled, READER._replace(links=links))


async def test_a_letter_rendered_for_each_person_says_why_and_fails_alone(renderer: Renderer, folder: Path) -> None:
    write_template(folder, "fails", text="{{ 1 / (person.name|length - 3) }}")
    compiled = await compile_letter(renderer, spec("fails"))
    assert compiled.per_person
    assert compiled.note == f"{folder / 'email/fails/body.txt.j2'}:1: person.name goes through a filter"
    with pytest.raises(LetterRefused, match=r"fails/body\.txt\.j2:1: ZeroDivisionError"):
        await compose(renderer, compiled, READER._replace(name="abc"))
    assert read_letter(await compose(renderer, compiled, READER._replace(name="abcd"))).text == "1.0\n"


async def test_what_was_compiled_does_not_change_with_the_files(renderer: Renderer, folder: Path) -> None:
    write_template(folder, "changing", text=f"before {ASKS}")
    compiled = Compiled.loads((await compile_letter(renderer, spec("changing"))).dumps())
    write_template(folder, "changing", text="after")
    assert read_letter(await compose(renderer, compiled, READER)).text == "before\n"


async def test_a_broken_template_is_refused_before_anybody_is_due(renderer: Renderer, folder: Path) -> None:
    write_template(folder, "broken", text="fine\n{{ oops }}")
    with pytest.raises(TemplateRefused, match=r"broken/body\.txt\.j2:2: 'oops' is undefined") as refused:
        await compile_letter(renderer, spec("broken"))
    assert refused.value.fault.line == 2
    assert refused.value.remedy
    write_template(folder, "broken", text=f"fine\n{ASKS}\n{{{{ oops }}}}")
    with pytest.raises(TemplateRefused, match="'oops' is undefined"):
        await compile_letter(renderer, spec("broken"))
    with pytest.raises(BadInput, match="links, person"):
        await compile_letter(renderer, spec(context={"person": {}, "links": {}}))


@pytest.mark.parametrize("template", ["digest", "choosy", "confirm"])
async def test_stored_and_read_back_it_makes_the_same_letter(renderer: Renderer, template: str) -> None:
    compiled = await compile_letter(renderer, spec(template))
    stored = compiled.dumps()
    assert stored == (await compile_letter(renderer, spec(template))).dumps()
    assert Compiled.loads(stored).dumps() == stored
    assert await compose(renderer, Compiled.loads(stored), READER) == await compose(renderer, compiled, READER)
    assert await compose(renderer, compiled, READER) == await compose(renderer, compiled, READER)


async def test_another_version_is_not_guessed_at(renderer: Renderer) -> None:
    stored = (await compile_letter(renderer, spec())).dumps().replace(b'"version":1', b'"version":0')
    with pytest.raises(NotReady, match="another version"):
        Compiled.loads(stored)


async def test_an_operator_sees_the_subject_with_its_gaps(renderer: Renderer) -> None:
    assert (await compile_letter(renderer, spec("slots"))).subject == "For [person.name]: läst call"
    assert (await compile_letter(renderer, spec())).subject == "Reach every victim"


@given(text=st.text(max_size=500) | st.text(". From=\n\t é", min_size=60, max_size=200))
@example("000\xa1" + "\U00010000" * 5 + ",")
@example(" é\taa=aa==é .aaa .aaaa=aéaaaéaaa=aa. aaaaa= \né\naaaaa\n .aaaéa.aaa =aaaaaaa")
@example("Hello 000\xa1" + "\U00010000" * 5 + ",")
async def test_quoted_printable_is_read_back_as_it_was(text: str) -> None:
    text = text.replace("\r", "").encode("utf-8", "replace").decode()
    encoded = quoted_printable(text)
    assert max(map(len, encoded.split(b"\r\n"))) <= 76
    assert len(encoded.rpartition(b"\r\n")[2]) <= 75
    assert not re.search(rb"^(\.|From )", encoded, re.MULTILINE)
    frame = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    payload = _message(frame + encoded).get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().replace("\r\n", "\n") == text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((b"\r\nSubject: ", b"\r\nBcc: evil@example.org\r\nSubject: "), "headers are not the ones .* Bcc"),
        ((b"\r\nPrecedence: bulk", b""), "Precedence"),
        ((b"Reach every victim\r\nDate", b"Something else\r\nDate"), "subject does not read"),
        ((b"Reach every victim\r\n=3D", b"Reach every winner\r\n=3D"), "text does not read"),
        ((b"</body>", b"<p>more</p></body>"), "html does not read"),
        ((b"\r\n\r\n--", b"\n\r\n--"), "bare line end"),
        ((b"bulk\r\n", b"bulk\r\nX-Long: " + b"x" * 999 + b"\r\n"), "998"),
    ],
)
async def test_a_letter_that_does_not_read_as_meant_is_refused(
    renderer: Renderer, change: tuple[bytes, bytes], words: str
) -> None:
    letter = fill(await compile_letter(renderer, spec()), READER)
    meant = read_letter(letter)
    check_letter(letter, meant)
    assert change[0] in letter
    with pytest.raises(LetterRefused, match=words):
        check_letter(letter.replace(*change, 1), meant)


@given(text=st.text(min_size=1, max_size=300))
async def test_a_subject_is_folded_and_read_back(text: str) -> None:
    text = clean_header_text(text)
    assume(text)
    field = unstructured("Subject", text)
    assert max(map(len, field.split(b"\r\n"))) <= 76
    assert _message(field + b"\r\n")["Subject"] == text


@given(at=st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 -- made aware
async def test_dates_are_written_as_the_standard_library_writes_them(renderer: Renderer, at: datetime) -> None:
    compiled = await compile_letter(renderer, spec("goodbye"))
    assert f"\r\nDate: {format_datetime(at)}\r\n".encode() in fill(compiled, READER._replace(date=at))
