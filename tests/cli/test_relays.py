"""Relays at the command line: how they stand, a pause that lasts, a trial, and the file that names them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from campaign.runtime.catcher import Catcher
from campaign.settings import SettingsWrong, load_settings, relays
from tests.cli.homes import Typist, a_relay, settle
from tests.house.source import ROOT

PAGE = (ROOT / "docs" / "relays.md").read_text(encoding="utf-8")
EXAMPLE = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]


def write_relays(home: Path, text: str) -> None:
    settle(home, CAMPAIGN_SMTP_URL="")
    (home / "config").mkdir(exist_ok=True)
    (home / "config" / "relays.toml").write_text(text, encoding="utf-8")


def test_the_page_s_example_works_as_it_stands(peopled: Path, type_: Typist) -> None:
    write_relays(peopled, EXAMPLE)
    (peopled / "second.url").write_text("smtp://user:hunter2@second.example.org:465?tls=implicit\n")
    main, second = type_.read("relays", "list")
    assert (main["name"], main["weight"], main["connections"], main["per_day"]) == ("main", 3, 10, 200_000)
    assert main["warm_up"] == {"from": "2027-01-04", "first_day": 500, "growth": 1.5}
    assert (second["name"], second["state"], second["weight"]) == ("second", "open", 1)
    settings = load_settings(peopled, {})
    assert settings.domains.of("example.net").parallel == 2
    assert settings.domains.of("example.net").per_second == settings.domains.of("example.org").per_second == 2
    assert "hunter2" not in f"{settings!r}{settings.relays}"


def test_the_page_names_every_key() -> None:
    keys = {*relays.RelaySettings.model_fields, *relays.DomainTable.model_fields, *relays.Warming.model_fields}
    assert not [key for key in keys - {"name", "start"} if key not in PAGE]


def test_a_pause_lasts_until_it_is_resumed_and_is_written_down(type_: Typist) -> None:
    assert type_("relays", "list") == 0
    assert re.search(r"main\s+open\s+1\s+10\s+none", type_.said)
    assert type_("relays", "pause", "main") == 0
    assert type_.said == "Paused main until you resume it.\n"
    assert type_("relays", "pause", "main") == 0
    assert "paused already" in type_.said
    shown = type_.read("relays", "show", "main")
    assert (shown["state"], shown["resting_until"]) == ("paused", None)
    assert shown["paused_by"].startswith("local:")
    assert type_("relays", "list") == 0
    assert f"paused by {shown['paused_by']}" in type_.said
    assert type_("status") == 0
    assert f"main is paused by {shown['paused_by']}. To go on: campaign relays resume main" in type_.aside
    assert [one["state"] for one in type_.read("status")["relays"]] == ["paused"]
    assert type_("relays", "resume", "main") == 0
    assert type_.said == "main goes on.\n"
    assert type_("relays", "resume", "main") == 0
    assert type_.said == "Nothing held main back.\n"
    entries = type_.read("audit")
    assert [one["action"] for one in entries[:2]] == ["relay.resume", "relay.pause"]


def test_a_domain_is_paused_at_one_relay(type_: Typist) -> None:
    assert type_("relays", "pause", "main", "--domain", "Bücher.Example.net") == 0
    assert type_("relays", "show", "main") == 0
    assert re.search(r"State:\s+open", type_.said)
    assert re.search(r"xn--bcher-kva\.example\.net\s+local:", type_.said)
    assert type_("relays", "resume", "main", "--domain", "bücher.example.net") == 0
    assert type_.read("relays", "show", "main")["domains"] == []
    assert type_("relays", "pause", "main", "--domain", "no domain") == 2


def test_a_trial_says_what_the_relay_offers_and_sends_one_letter(relay: Catcher, type_: Typist) -> None:
    assert type_("relays", "test", "main") == 0, type_.aside
    assert re.search(r"TLS:\s+none: letters travel in the open", type_.said)
    assert re.search(r"Signed in:\s+no", type_.said)
    assert re.search(r"AUTH:\s+not offered", type_.said)
    assert not relay.letters
    assert type_("relays", "test", "main", "reader-07@example.org") == 0, type_.aside
    assert "It took the letter to reader-07@example.org" in type_.said
    [letter] = relay.letters
    assert letter.recipient == "reader-07@example.org"
    assert type_.read("audit")[0]["action"] == "relay.test"


def test_a_relay_that_is_not_there_is_said_so_with_what_to_check(type_: Typist) -> None:
    assert type_("relays", "test", "main") == 1
    assert "it failed at connect" in type_.aside
    assert "Check host and port" in type_.aside
    assert type_("relays", "show", "other") == 1
    assert "There is no relay 'other'. " in type_.aside.replace("\n", " ")
    assert "There are: main." in type_.aside


def test_a_trial_goes_through_just_the_one_that_was_named(peopled: Path, tmp_path: Path, type_: Typist) -> None:
    with a_relay(tmp_path / "one") as one, a_relay(tmp_path / "two") as two:
        write_relays(peopled, f'[relays.one]\nurl = "{one.url}"\n[relays.two]\nurl = "{two.url}"\n')
        assert type_("relays", "test", "two", "reader-07@example.org") == 0, type_.aside
        assert (len(one.letters), len(two.letters)) == (0, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("speed = 3", "speed (config/relays.toml): there is no such setting."),
        ("[relay.main]", "relay (config/relays.toml): there is no such setting. Did you mean relays?"),
        ("relays = 3", "relays (config/relays.toml): it must be a table. Write [relays] above its lines."),
        ("[relays]\nmain = 3", "relays.main (config/relays.toml): it must be a table"),
        ("[relays.Main]\nurl = 'smtp://x.example.org'", "relays.Main (config/relays.toml): a relay's name has 1 to 40"),
        ("[relays.a]\nweight = 1", "relays.a.url (config/relays.toml): it is missing. Write it like url = "),
        ("[relays.a]\nurl = 'smtp://u:hunter2@x.org:port'", "relays.a.url (config/relays.toml): its host or port"),
        ("[relays.a]\nurl = 3", "relays.a.url (config/relays.toml): it must be text"),
        ("[relays.a]\nurl = 'smtp://x.org'\nurl_file = 'x'", "relays.a.url is set as well. Keep one of the two."),
        ("[relays.a]\nurl_file = 'nowhere'", "relays.a.url_file (config/relays.toml): there is no file"),
        ("[relays.a]\nurl_file = 'empty'", "relays.a.url_file (config/relays.toml): empty is empty"),
        ("[relays.a]\nurl_file = 3", "relays.a.url_file (config/relays.toml): it must be the name of a file"),
        (
            "[relays.a]\nurl = 'smtp://x.org'\nname = 'b'",
            "relays.a.name (config/relays.toml): there is no such setting",
        ),
        ("[relays.a]\nurl = 'smtp://x.org'\nweight = 0", "relays.a.weight (config/relays.toml): "),
        ("[relays.a]\nurl = 'smtp://x.org'\nconections = 1", "there is no such setting. Did you mean connections?"),
        ("[relays.a]\nurl = 'smtp://x.org'\nper_day = 1.5", "relays.a.per_day (config/relays.toml): "),
        (
            "[relays.a]\nurl = 'smtp://x.org'\nwarm_up = { from = 2027-01-04, first_day = 1, growth = 1 }",
            "warm_up.growth",
        ),
        ("[relays.a]\nurl = 'smtp://x.org'\nwarm_up = { from = 'soon', first_day = 1, growth = 2 }", "warm_up.from"),
        ("[relays.a]\nurl = 'smtp://x.org'\nwarm_up = { frm = 2027-01-04 }", "Did you mean from?"),
        ("[domains]\nparallel = 0", "domains.parallel (config/relays.toml): "),
        ("[domains.'no domain']\nparallel = 1", "it is not a domain"),
        ("[domains.'example.net']", 'domains."example.net" (config/relays.toml): it says nothing'),
        ("[domains.'example.net']\nparalel = 1", "Did you mean parallel?"),
        ("this is not TOML", "it is not TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_place(home: Path, text: str, words: str) -> None:
    (home / "config").mkdir()
    (home / "empty").touch()
    (home / "config" / "relays.toml").write_text(text)
    with pytest.raises(SettingsWrong) as caught:
        load_settings(home, {})
    assert words in caught.value.message
    assert "hunter2" not in caught.value.message


def test_two_places_that_name_relays_are_a_mistake_and_domains_alone_are_not(home: Path) -> None:
    (home / "config").mkdir()
    file = home / "config" / "relays.toml"
    environ = {"CAMPAIGN_SMTP_URL": "smtp://mail.example.org", "CAMPAIGN_CONNECTIONS": "0"}
    file.write_text("[relays.a]\nurl = 'smtp://x.example.org'\nweight = 0\n")
    with pytest.raises(SettingsWrong) as caught:
        load_settings(home, environ)
    assert len(caught.value.mistakes) == 3, "all at once"
    assert "remove CAMPAIGN_SMTP_URL, or the tables [relays.…] in config/relays.toml" in caught.value.message
    file.write_text("[domains]\nparallel = 2\n")
    settings = load_settings(home, {"CAMPAIGN_SMTP_URL": "smtp://mail.example.org?tls=none"})
    assert [relay.name for relay in settings.relays] == ["main"]
    assert settings.domains.of("example.org").parallel == 2
    assert "CAMPAIGN_SMTP_URL says tls=none" in settings.warnings[0]


def test_a_relay_in_the_file_is_as_good_as_the_variable(home: Path) -> None:
    (home / "config").mkdir()
    (home / "config" / "relays.toml").write_text("[relays.a]\nurl = 'smtp://u:hunter2@mail.example.org?tls=none'\n")
    settings = load_settings(home, {})
    settings.require("smtp_url")
    assert settings.warnings == ("The relay a says tls=none, so letters and the password travel in the open.",)
    assert settings.shown()["relays.a (config/relays.toml)"] == "smtp://***@mail.example.org?tls=none, weight 1"


def test_a_relay_that_is_paused_by_hand_stands_in_the_status(peopled: Path, type_: Typist) -> None:
    assert type_("relays", "pause", "main") == 0
    assert type_("status") == 0
    assert "The relay main is paused by local:" in type_.aside
    assert "To go on: campaign relays resume main" in type_.aside
    [row] = type_.read("status")["relays"]
    assert (row["relay"], row["resting_until"]) == ("main", None)
    assert row["paused_by"].startswith("local:")
    write_relays(peopled, '[relays.other]\nurl = "smtp://127.0.0.1:1?tls=none"\n')
    assert type_.read("status")["relays"] == []
    assert [one["why"] for one in type_.read("status", "--watch")["waits"]] == ["no daemon is running"]


def test_a_domain_is_named_as_it_was_read(type_: Typist) -> None:
    assert type_("relays", "pause", "main", "--domain", "@example.org ") == 0
    assert type_.said == "Paused main, to example.org, until you resume it.\n"
    for domain in ("", "x y", "reader@example.org"):
        assert type_("relays", "pause", "main", "--domain", domain) == 2
        assert f"'{domain}' is not a domain." in type_.aside
        assert "Write it like example.org." in type_.aside
