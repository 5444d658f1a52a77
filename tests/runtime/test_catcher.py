"""The mail catcher: what is sent to it lies in the folder, readable, complete and harmless."""

from __future__ import annotations

import asyncio
import os
import re
import smtplib
import subprocess
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.addresses import parse_address
from campaign.domain.replies import Answer, Outcome, Phase, judge
from campaign.mail.smtp import SmtpOptions, SmtpTransport
from campaign.mail.transport import Envelope
from campaign.runtime import catcher as catcher_module
from campaign.runtime.catcher import Catcher
from campaign.runtime.caught import extract, harmless, write_index
from tests.programs import program


@pytest.fixture
async def catcher(tmp_path: Path) -> AsyncIterator[Catcher]:
    running = Catcher(tmp_path / "mail")
    await running.start()
    yield running
    await running.stop()


def letter(subject: str = "A subject", *, html: str | None = "<p>Hello</p>", text: str = "Hello\n") -> bytes:
    message = EmailMessage()
    message["From"] = "news@example.net"
    message["To"] = "reader-07@example.org"
    message["Subject"] = subject
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    return message.as_bytes().replace(b"\n", b"\r\n")


async def yes() -> bool:
    return True


async def send(catcher: Catcher, *bodies: bytes, to: str = "reader-07@example.org") -> list[Answer]:
    talk = await SmtpTransport(SmtpOptions.from_url(catcher.url)).open()
    answers = [await talk.deliver(Envelope("news@example.net", parse_address(to)), body, yes) for body in bodies]
    await talk.close()
    return answers


async def test_a_letter_lies_there_as_source_text_and_html(catcher: Catcher, tmp_path: Path) -> None:
    body = letter("Ünïcode Näme اسم", html="<p>Grüße</p>", text="Grüße\n.dot\n")
    (answer,) = await send(catcher, body)
    assert judge(answer, first_attempt=True).outcome is Outcome.ACCEPTED
    folder = tmp_path / "mail"
    assert (folder / "0001.eml").read_bytes() == body
    assert (folder / "0001.txt").read_text("utf-8").splitlines() == ["Grüße", ".dot"]
    assert "<p>Grüße</p>" in (folder / "0001.html").read_text("utf-8")
    assert [(caught.number, caught.recipient, caught.subject) for caught in catcher.letters] == [
        (1, "reader-07@example.org", "Ünïcode Näme اسم")
    ]
    assert not list(folder.glob("*.part"))


async def test_it_counts_and_can_be_waited_for(catcher: Catcher) -> None:
    assert not await catcher.wait_for(1, timeout=0.01)
    waiting = asyncio.create_task(catcher.wait_for(3, timeout=5))
    await send(catcher, letter(), letter(), letter())
    assert await waiting
    assert catcher.caught == 3


async def test_many_at_once_keep_apart(catcher: Catcher, tmp_path: Path) -> None:
    await asyncio.gather(*(send(catcher, letter(), letter(), to=f"reader-{n}@example.org") for n in range(10)))
    assert len({path.name for path in (tmp_path / "mail").glob("*.eml")}) == 20
    assert sorted(caught.number for caught in catcher.letters) == list(range(1, 21))


async def test_the_letters_of_an_earlier_run_stay_and_are_listed(catcher: Catcher, tmp_path: Path) -> None:
    await send(catcher, letter("the first"))
    await catcher.stop()
    again = Catcher(tmp_path / "mail")
    await again.start()
    assert again.caught == 0
    await send(again, letter("the second"))
    await again.stop()
    assert [(caught.number, caught.subject) for caught in again.letters] == [(1, "the first"), (2, "the second")]
    page = again.index.read_text("utf-8")
    assert page.index("the second") < page.index("the first")
    assert "2 letters caught." in page


async def test_the_list_is_renewed_while_it_runs(
    catcher: Catcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "0 letters caught." in catcher.index.read_text("utf-8")
    monkeypatch.setattr(catcher_module, "_INDEX_EVERY", 0.01)
    await send(catcher, letter("look at me"))
    assert catcher._index is not None
    await asyncio.wait_for(catcher._index, 5)
    assert "look at me" in catcher.index.read_text("utf-8")


async def test_the_list_links_what_is_there(catcher: Catcher, tmp_path: Path) -> None:
    await send(
        catcher,
        letter(),
        letter(html=None),
        b"Subject: \xff\r\nContent-Type: image/png\r\n\r\nno text\r\n".replace(b"\xff", b"?"),
    )
    await catcher.stop()
    links = re.findall(r'href="([^"]+)"', catcher.index.read_text("utf-8"))
    assert links == ["0003.eml", "0002.txt", "0002.eml", "0001.html", "0001.txt", "0001.eml"]
    assert all((tmp_path / "mail" / link).exists() for link in links)


async def test_a_hostile_subject_is_only_words(catcher: Catcher) -> None:
    subject = "<script>alert(1)</script> @policy @table =?utf-8?q?=1b[2J?="
    await send(catcher, f'Subject: {subject}\r\nTo: "<b>" <x@example.org>\r\n\r\nhi\r\n'.encode())
    await catcher.stop()
    page = catcher.index.read_text("utf-8")
    assert "<script" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; @policy @table" in page


async def test_a_letter_that_is_too_big_is_refused_and_the_next_one_is_not(tmp_path: Path) -> None:
    small = Catcher(tmp_path, size_limit=2000)
    await small.start()
    talk = await SmtpTransport(SmtpOptions.from_url(small.url)).open()
    assert talk.size_limit == 2000
    await talk.close()
    answers = await send(small, letter(text="x\n" * 1000), letter())
    await small.stop()
    assert [judge(answer, first_attempt=True).outcome for answer in answers] == [Outcome.REFUSED, Outcome.ACCEPTED]
    assert small.caught == 1


async def test_a_mailbox_that_needs_smtputf8_is_taken(catcher: Catcher) -> None:
    await send(catcher, letter(), to="قارئ@example.org")
    assert catcher.letters[0].recipient == "قارئ@example.org"


async def test_a_folder_that_cannot_be_written_is_told_to_the_sender(catcher: Catcher, tmp_path: Path) -> None:
    (tmp_path / "mail").rename(tmp_path / "gone")
    (answer,) = await send(catcher, letter())
    assert (answer.phase, answer.reply and answer.reply.code) == (Phase.DOT, 452)
    assert catcher.caught == 0
    (tmp_path / "gone").rename(tmp_path / "mail")


async def test_stopping_hangs_up_and_can_be_done_twice(catcher: Catcher) -> None:
    talk = await SmtpTransport(SmtpOptions.from_url(catcher.url)).open()
    await asyncio.wait_for(catcher.stop(), 5)
    await asyncio.sleep(0.05)
    assert not talk.usable
    await talk.close()
    await catcher.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = catcher.url


async def test_it_listens_on_this_machine_only(catcher: Catcher) -> None:
    assert catcher.url == f"smtp://127.0.0.1:{catcher.port}?tls=none"


async def test_a_port_that_is_taken_is_said(catcher: Catcher, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="address already in use"):
        await Catcher(tmp_path / "other", port=catcher.port).start()


async def test_others_clients_can_send_to_it_too(catcher: Catcher) -> None:
    def post() -> None:
        with smtplib.SMTP("127.0.0.1", catcher.port, local_hostname="localhost") as client:
            client.sendmail("news@example.net", ["reader-07@example.org", "reader-08@example.org"], letter())

    await asyncio.to_thread(post)
    assert catcher.letters[0].recipient == "reader-07@example.org, reader-08@example.org"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_letter(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    caught = extract(folder, 1, "reader-07@example.org", body)
    assert (folder / "0001.eml").read_bytes() == body
    write_index(folder, [caught])
    assert "reader-07@example.org" in (folder / "index.html").read_text("utf-8")


BROKEN = [
    b'Content-Type: text/html; charset="no-such-charset"\r\n\r\n<p>x</p>\r\n',
    b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!\r\n",
    b"Content-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\n\r\n",
    b"Subject: =?utf-8?b?////?=\r\n\r\n",
    b"To: <<<<@@@;:,\r\nSubject: \r\n\r\n",
]


@pytest.mark.parametrize("body", BROKEN)
def test_a_broken_letter_is_kept_all_the_same(tmp_path: Path, body: bytes) -> None:
    extract(tmp_path, 7, "", body)
    assert (tmp_path / "0007.eml").read_bytes() == body


def test_a_long_list_shows_the_newest(tmp_path: Path) -> None:
    one = extract(tmp_path, 1, "reader-07@example.org", letter("once"))
    write_index(tmp_path, [one] * 501)
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "501 letters caught. The newest 500 are listed" in page
    assert page.count('<tr><th scope="row">') == 500


HOSTILE = """<!doctype html><html><head><meta HTTP-EQUIV="refresh" content="0;url=https://example.org/">
<meta http-equiv="Content-Security-Policy" content="script-src *"><title>still here</title></head><body>
<script>document.title = "ran"</script><img src="x" onerror="document.title = 'ran'"><form action="https://example.org/">
<p style="color: rgb(1, 2, 3)">words</p></form></body></html>"""


def test_a_letters_html_is_told_nothing_but_to_be_harmless() -> None:
    page = harmless(HOSTILE)
    assert page.lower().count("http-equiv") == 1
    assert page.index("default-src &#x27;none&#x27;") < page.index("still here")
    assert page.startswith("<!doctype html>")


@pytest.mark.browser
def test_a_browser_runs_nothing_of_a_letter(tmp_path: Path) -> None:
    (tmp_path / "0001.html").write_text(harmless(HOSTILE), "utf-8")
    (tmp_path / "control.html").write_text(HOSTILE.split("</title>")[1], "utf-8")
    assert "<title>still here</title>" in _rendered(tmp_path / "0001.html")
    assert "<title>ran</title>" in _rendered(tmp_path / "control.html")  # else the first line would prove nothing


def _rendered(page: Path) -> str:
    browser = program("chromium", "chromium-browser", "google-chrome")
    flags = ["--headless", "--disable-gpu", "--no-sandbox", f"--user-data-dir={page.parent / 'profile'}", "--dump-dom"]
    environment = {**os.environ, "HOME": str(page.parent)}
    done = subprocess.run(
        [browser, *flags, page.as_uri()], capture_output=True, text=True, timeout=60, env=environment, check=True
    )
    return done.stdout
