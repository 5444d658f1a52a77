"""An alert goes out like any letter, in words that tell what to do, and what a hostile relay said in it is inert."""

from __future__ import annotations

import asyncio
import re
from html import unescape
from itertools import cycle
from pathlib import Path

import pytest

from campaign.actions import alerting, wording
from campaign.actions.sending import sender
from campaign.clock import SystemClock
from campaign.domain.addresses import Address
from campaign.domain.alerts import Trouble, about_domain, about_edition, about_relay
from campaign.domain.delivery import Kind
from campaign.domain.message import LetterRefused
from campaign.mail.composer import read_letter
from campaign.mail.smtp import SmtpOptions, SmtpTransport
from campaign.runtime.catcher import Catcher
from campaign.store.engine import Store
from tests.actions.test_lanes import a_relay
from tests.builders import a_kit
from tests.mail.fault_server import FaultServer, say
from tests.mail.samples import LANGUAGES

OPERATORS = (Address("office", "example.org"), Address("post", "example.net"))
HOSTILE = (
    "550 5.7.1 <script>alert(1)</script><img src=x onerror=alert(2)> {{ 7*7 }} {relay} \x02person.address\x03 "
    "\r\n.\r\nSubject: paid\r\n https://phish.example.com/login www.phish.example.com "
    "'\"><a href=javascript:alert(3)> <reader-07@example.net> reader-07 \u202egnp.exe"
)
ALERTS = [
    *(about_relay(one, "main", HOSTILE) for one in (Trouble.SIGN_IN, Trouble.SENDER_REFUSED, Trouble.RELAY_DOWN)),
    about_domain("main", "example.net", HOSTILE),
    *(
        about_edition(one, 7, "news/extra/1", HOSTILE)
        for one in (Trouble.EDITION_STOPPED, Trouble.EDITION_MISSED, Trouble.EDITION_WAITS)
    ),
]


async def test_it_goes_out_once_to_each_operator_and_names_what_to_do(store: Store, home: Path, tmp_path: Path) -> None:
    relay = Catcher(tmp_path / "caught")
    await relay.start()
    try:
        transport = SmtpTransport(SmtpOptions.from_url(relay.url))
        kit = a_kit(store, SystemClock(), home, transport, connections=1, alerts=OPERATORS)
        for _ in range(3):
            await alerting.raise_alert(kit, about_edition(Trouble.EDITION_STOPPED, 7, "news/extra/1"))
            async with sender(kit, "worker") as post:
                await post.drain(asyncio.Event())
        await kit.renderer.aclose()
        assert await relay.wait_for(2, timeout=10)
        letters = [read_letter((tmp_path / "caught" / f"{n:04}.eml").read_bytes()) for n in (1, 2)]
        assert relay.caught == 2
    finally:
        await relay.stop()
    for letter in letters:
        assert letter.subject == "The edition news/extra/1 stopped by itself"
        for part in (letter.text, letter.html):
            assert "campaign resume 7" in part
            assert "CAMPAIGN_ALERTS" in part
        assert "List-Unsubscribe" not in letter.names
        assert "Auto-Submitted" in letter.names


async def test_an_alert_about_one_relay_leaves_by_another(store: Store, home: Path) -> None:
    refusing, taking = FaultServer(("AUTH PLAIN",), auth=say("535 5.7.8 wrong password")), FaultServer()
    async with refusing, taking:
        ways = [
            a_relay("main", refusing, connections=1, username="campaign", password="wrong"),
            a_relay("spare", taking, connections=1),
        ]
        kit = a_kit(store, SystemClock(), home, ways, alerts=OPERATORS[:1])
        await alerting.raise_alert(kit, about_edition(Trouble.EDITION_MISSED, 7, "news/extra/1"))
        for _ in range(2):
            async with sender(kit, "worker") as post:
                await asyncio.wait_for(post.drain(asyncio.Event()), 30)
        await kit.renderer.aclose()
        [of_relay, of_edition] = await alerting.told(kit)
        assert (of_relay.standing.topic, of_edition.standing.topic) == ("relay:main:sign_in", "edition:7:missed")
        assert refusing.held == []
        letters = [read_letter(one) for one in taking.held]
    assert [one.subject for one in letters] == [
        "The edition news/extra/1 was missed",
        "The relay main refuses our sign-in",
    ]
    assert "535 5.7.8 wrong password" in letters[1].text
    assert "campaign relays resume main" in letters[1].text


async def test_what_a_relay_says_is_inert_in_every_letter(store: Store, home: Path) -> None:
    kit = a_kit(store, SystemClock(), home, alerts=OPERATORS)
    for alert, language in zip(ALERTS, cycle(LANGUAGES), strict=False):
        found = await alerting.raise_alert(kit, alert, ["reader-07", "Reader 07"])
        made = await wording.compile_service(kit, Kind.ALERT, f"alert:{found.id}:1:{language}")
        assert not made.per_person, made.note
        letter = read_letter(b"".join(made.plan.segments))
        assert not re.search(r"<(script|img|a)\b", letter.html)
        for part in (" ".join(letter.text.replace("\n> ", " ").split()), " ".join(unescape(letter.html).split())):
            assert "reader-07" not in part
            assert "phish.example" not in part
            assert "phish[.]example[.]com" in part
            assert "{{ 7*7 }} {relay}" in part
            assert "\u202e" not in part
            assert "\x02" not in part
            assert all(command in part for command in alert.commands)
        assert all(line.startswith("> ") for line in letter.text.split("\n") if "phish" in line or "Subject" in line)
        assert "\n.\n" not in letter.text
        assert "paid" not in letter.subject
    await kit.renderer.aclose()


async def test_a_reminder_says_that_it_is_one(store: Store, home: Path) -> None:
    kit = a_kit(store, SystemClock(), home)
    found = await alerting.raise_alert(kit, about_relay(Trouble.SIGN_IN, "main", ""))
    made = await wording.compile_service(kit, Kind.ALERT, f"alert:{found.id}:2:de")
    assert made.subject == "Erinnerung: Der Server main nimmt unsere Anmeldung nicht an"
    with pytest.raises(LetterRefused, match="no alert"):
        await wording.compile_service(kit, Kind.ALERT, f"alert:{found.id + 1}:1:de")
    await kit.renderer.aclose()
