"""A newcomer's first campaign, typed as they would type it: from an empty folder to the person who leaves.

Init, import, an article from a text file, new, preview, approve, run, one-click leave over HTTP, and a next edition that
skips that person. The relay is a real SMTP server, the pages are the daemon's own.
"""

from __future__ import annotations

import email
import email.policy
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.cli.homes import Typist, free_port, settle
from tests.cli.programs import Started, campaign, command, environment

PEOPLE = """\
email,name,country,language,timezone
reader-01@example.org,Reader 01,US,en,America/New_York
reader-02@example.org,,GB,en,Europe/London
reader-03@example.org,Ünïcode Näme,ES,es,Europe/Madrid
reader-04@example.org,اسم,JO,ar,Asia/Amman
"""
ARTICLE = """\
A bakery that asks where its flour comes from

Three people in our town began with one question to the bakery on the corner. The answer took a month.

Since then the bakery asks its own suppliers, and writes down what they say.
"""
GUEST = "reader-02@example.org"


class Mailboxes:
    """What the relay took: one list of letters for each address."""

    def __init__(self) -> None:
        self.of: dict[str, list[EmailMessage]] = {}

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's name
        content = envelope.content
        assert isinstance(content, bytes)
        letter = email.message_from_bytes(content, EmailMessage, policy=email.policy.default)
        (recipient,) = envelope.rcpt_tos
        self.of.setdefault(recipient, []).append(letter)
        return "250 2.0.0 Kept"


@pytest.fixture
def mailboxes() -> Iterator[tuple[Mailboxes, str]]:
    found = Mailboxes()
    controller = Controller(found, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield found, f"smtp://127.0.0.1:{controller.port}?tls=none"
    controller.stop()


class Newcomer(Typist):
    """Types commands in the folder that was empty; daemons run as programs of their own, as theirs do."""

    def types(self, *words: str) -> str:
        """Type a command that must work, and return what it said."""
        assert self(*words) == 0, f"{words}: {self.said}{self.aside}"
        return self.said

    def runs(self, *words: str) -> None:
        done = campaign("run", *words, home=self.home)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"

    def state(self, address: str) -> str:
        rows = self.read("subscribers", "list", "--list", "supporters")
        return str(next(row["state"] for row in rows if row["address"] == address))


@contextmanager
def a_daemon(home: Path, address: str) -> Iterator[None]:
    """The daemon with its pages, until it is told to stop; then it ends with 0."""
    with Started(command("run"), cwd=home, env=environment(), stderr=subprocess.PIPE, text=True) as running:
        _wait_for(f"{address}/healthz")
        yield
        running.send_signal(signal.SIGTERM)
        said = running.communicate(timeout=60)[1]
    assert running.returncode == 0, said


def _wait_for(address: str) -> None:
    for _ in range(200):
        try:
            with urllib.request.urlopen(address, timeout=10):
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"{address} does not answer")


@pytest.mark.journey
@pytest.mark.timeout(240)
def test_from_an_empty_folder_to_the_person_who_leaves(
    empty_database_url: str,
    tmp_path: Path,
    mailboxes: tuple[Mailboxes, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boxes, relay = mailboxes
    home = tmp_path / "first"
    home.mkdir()
    monkeypatch.chdir(home)
    newcomer = Newcomer(home, capsys)
    (home / "people.csv").write_text(PEOPLE, "utf-8")
    (home / "bakery.txt").write_text(ARTICLE, "utf-8")
    address = f"http://127.0.0.1:{(port := free_port())}"
    (home / ".env").write_text(f'CAMPAIGN_DATABASE_URL="{empty_database_url}"\n', "utf-8")

    assert "3 fresh keys" in newcomer.types("init")
    settle(home, CAMPAIGN_SMTP_URL=relay, CAMPAIGN_BASE_URL=address, CAMPAIGN_LISTEN=f"127.0.0.1:{port}")
    newcomer.types("lists", "add", "supporters")
    consent = "I would like to get your letters. Sign-up sheet, town hall, 2026-10-03"
    words = ["subscribers", "import", "people.csv", "--list", "supporters", "--consent", consent, "--yes"]
    assert "4" in newcomer.types(*words)
    newcomer.types(*words)
    rows = newcomer.read("subscribers", "list", "--list", "supporters")
    assert [row["state"] for row in rows] == ["active"] * 4

    newcomer.types("articles", "import", "bakery.txt")
    (article,) = newcomer.read("articles", "search", "bakery flour")
    newcomer.types(
        "new", "corner", "--key-date", "world-day-against-trafficking", "--list", "supporters",
        "--remind", "7d", "--on-the-day", "--pin", article["slug"],
    )  # fmt: skip
    shown = newcomer.types("preview", "corner", "--subscriber", GUEST, "--html", "letter.html")
    assert "A bakery that asks where its flour comes from" in shown
    assert "Modern Slavery & Exploitation Helpline" in shown
    assert "A bakery that asks" in (home / "letter.html").read_text("utf-8")
    newcomer.types("approve", "corner", "--yes")
    assert [one["step"] for one in newcomer.read("plan", "corner")] == ["7d-before", "on-the-day"]
    assert boxes.of == {}

    newcomer.types("send", "corner", "--now", "--key", "first", "--yes")
    newcomer.runs("--until-idle")
    assert {who: len(letters) for who, letters in boxes.of.items()} == {row["address"]: 1 for row in rows}
    (first,) = boxes.of[GUEST]
    body = first.get_body(("plain",))
    assert body is not None
    assert "A bakery that asks where its flour comes from" in body.get_content()
    assert boxes.of["reader-03@example.org"][0]["To"].addresses[0].display_name == "Ünïcode Näme"

    link = re.match(r"<(http://[^>]+)>", first["List-Unsubscribe"])
    assert link is not None
    with a_daemon(home, address):
        with urllib.request.urlopen(link[1], timeout=10) as page:
            assert page.status == 200
        assert newcomer.state(GUEST) == "active", "looking at the page changes nothing"
        with urllib.request.urlopen(link[1], data=b"List-Unsubscribe=One-Click", timeout=10) as page:
            assert page.status == 200
    assert newcomer.state(GUEST) == "left"

    newcomer.types("send", "corner", "--now", "--key", "second", "--yes")
    newcomer.runs("--until-idle", "--no-web")
    assert len(boxes.of.pop(GUEST)) == 1
    assert [len(letters) for letters in boxes.of.values()] == [2, 2, 2]
    editions = {one["edition"]: one for one in newcomer.read("status", "corner")["editions"]}
    for name, people in (("corner/extra/first", 4), ("corner/extra/second", 3)):
        assert (editions[name]["state"], editions[name]["accepted"], editions[name]["planned"]) == (
            "sent",
            people,
            people,
        )
        assert editions[name]["reconciled"]
    assert {row["in"] for row in newcomer.read("plan", "--subscriber", GUEST)} == {False}

    newcomer.types(*words)
    assert newcomer.state(GUEST) == "left", "who left does not come back by an import"
