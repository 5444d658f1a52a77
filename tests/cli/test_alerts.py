"""What needs a person, at the command line: shown by status and a list, mailed by the daemon, and said to be mended."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from campaign import bootstrap
from campaign.actions import alerting
from campaign.domain.alerts import Alert, Trouble, about_domain, about_relay
from campaign.runtime.catcher import Catcher
from campaign.settings import load_settings
from tests.cli.homes import Typist, settle
from tests.cli.programs import campaign

WRONG_PASSWORD = about_relay(Trouble.SIGN_IN, "main", "auth: 535 5.7.8 \x1b[31mwrong\u202e password")
UNWANTED = about_domain("main", "example.net", "550 5.7.1 <reader-07@example.net> is spared")


def raised(home: Path, *alerts: Alert) -> None:
    async def go() -> None:
        async with bootstrap.kit(load_settings(home, {}), operator="daemon") as kit:
            for alert in alerts:
                await alerting.raise_alert(kit, alert)

    asyncio.run(go())


@pytest.mark.parametrize("command", [("status",), ("status", "--watch")])
def test_status_warns_of_what_is_open(type_: Typist, command: tuple[str, ...]) -> None:
    assert type_("status") == 0
    assert "Warning" not in type_.aside
    raised(type_.home, WRONG_PASSWORD)
    new = ("--once", "2030-06-01T09:00", "--list", "supporters")
    assert type_("new", "summer", *new) == 0, type_.aside
    assert type_("status", "summer") == 0
    assert "Warning: The relay main refuses our sign-in, since " in type_.aside
    assert type_(*command) == 0
    if command == ("status",):
        assert "(relay:main:sign_in). See: campaign alerts list" in type_.aside
        assert [one["topic"] for one in type_.read("status")["alerts"]] == ["relay:main:sign_in"]
        assert [one["topic"] for one in type_.read("status", "summer")["alerts"]] == ["relay:main:sign_in"]


def test_the_list_says_what_happened_and_what_to_do(type_: Typist) -> None:
    assert type_("alerts", "list") == 0
    assert type_.said == "Nothing needs you.\n"
    raised(type_.home, WRONG_PASSWORD, UNWANTED, UNWANTED)
    assert type_("alerts", "list") == 0
    for words in (
        "relay:main:sign_in",
        "tried again every 15 minutes",
        "2 times until",
        "\n          campaign alerts resolve domain:main:example.net:policy\n",
        "<r…@example[.]net> is spared",
    ):
        assert words in type_.said
    assert "reader-07" not in type_.said
    assert "\x1b" not in type_.said
    assert "\u202e" not in type_.said


def test_who_mended_it_says_so_once(type_: Typist) -> None:
    raised(type_.home, UNWANTED)
    topic = "domain:main:example.net:policy"
    assert type_("alerts", "resolve", topic) == 0
    assert type_.said == f"Resolved {topic}.\n"
    assert type_("alerts", "resolve", topic) == 1
    assert "campaign alerts list" in type_.aside
    assert type_.read("alerts", "list") == []
    [one] = type_.read("alerts", "list", "--all")
    assert one["resolved_by"].startswith("local:")
    assert type_("alerts", "list", "--all") == 0
    assert "over:" in type_.said
    assert type_.read("audit")[0]["action"] == "alert.resolve"
    raised(type_.home, WRONG_PASSWORD)
    assert type_.read("alerts", "resolve", "relay:main:sign_in")["topic"] == "relay:main:sign_in"


def test_the_daemon_mails_it_to_whom_the_settings_name(peopled: Path, relay: Catcher) -> None:
    settle(peopled, CAMPAIGN_SMTP_URL=relay.url, CAMPAIGN_ALERTS="office@example.org,post@example.net")
    raised(peopled, UNWANTED, UNWANTED)
    done = campaign("run", "--until-idle", "--no-web", home=peopled)
    assert done.returncode == 0, done.stderr
    assert relay.caught == 2
    assert {one.recipient for one in relay.letters} == {"office@example.org", "post@example.net"}
    assert {one.subject for one in relay.letters} == {"example.net refuses our letters as unwanted"}
