"""`campaign doctor` as a person or a program calls it, with a relay and a DNS server that are really there."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from campaign.actions.examining.guard import PATIENCE
from campaign.domain.operators import Right, right_for
from campaign.runtime.catcher import Catcher
from tests.cli.homes import Typist, settle
from tests.cli.programs import ROOT, campaign, environment, on_a_terminal
from tests.outside.dns_server import dns_server, good_zone

DOCUMENT = (ROOT / "docs" / "doctor.md").read_text("utf-8")
SELECTOR = {"s1._domainkey.example.org TXT": ["v=DKIM1; k=rsa; p=" + "A" * 392]}


def read(type_: Typist, *words: str) -> tuple[int, dict[str, Any]]:
    status = type_("doctor", "--json", *words)
    return status, json.loads(type_.said)


def test_an_installation_that_is_well(type_: Typist, peopled: Path, relay: Catcher) -> None:
    peopled.chmod(0o700)
    with dns_server(good_zone(**SELECTOR)) as server:
        settle(peopled, CAMPAIGN_SMTP_URL=relay.url, CAMPAIGN_DNS=str(server.address))
        status, found = read(type_, "--selector", "s1")
        assert type_("doctor", "--selector", "s1") == 0
    assert status == 0
    assert found["counts"]["error"] == 0, type_.said
    subjects = {finding["subject"].replace("relay main", "relay NAME") for finding in found["findings"]}
    assert subjects == set(re.findall(r"^\| ([^|]+) \|", DOCUMENT, re.MULTILINE)) - {"subject"}
    example = json.loads(DOCUMENT.partition("```json")[2].partition("```")[0])
    assert found.keys() == example.keys()
    assert found["counts"].keys() == example["counts"].keys()
    assert all(finding.keys() == example["findings"][0].keys() for finding in found["findings"])
    assert re.search(r"^ok +SPF +example.org has 'v=spf1", type_.said, re.MULTILINE)
    assert type_.said.rstrip().endswith("0 errors, 1 warning."), type_.said
    assert "http://" in type_.said, "the one warning is about the sample's links"
    assert not relay.letters, "no letter was sent"


def test_every_error_has_its_mend_below_it_and_the_status_is_one(type_: Typist, peopled: Path) -> None:
    with dns_server({}) as server:
        settle(peopled, CAMPAIGN_DNS=str(server.address))
        assert type_("doctor") == 1
    lines = type_.said.splitlines()
    errors = [n for n, line in enumerate(lines) if line.startswith("error ")]
    assert len(errors) >= 5
    assert all(lines[n + 1].lstrip().startswith("-> ") for n in errors)
    assert (
        '-> Publish in the DNS: _dmarc.example.org. TXT "v=DMARC1; p=none; rua=mailto:postmaster@example.org"'
        in type_.said
    )


def test_offline_asks_nobody(type_: Typist, peopled: Path) -> None:
    with dns_server({}) as server:
        settle(peopled, CAMPAIGN_DNS=str(server.address))
        status, found = read(type_, "--offline")
    assert status == 0
    assert not server.asked
    assert not {"relay main", "SPF"} & {finding["subject"] for finding in found["findings"]}


def test_settings_that_are_wrong_are_findings_and_hide_little(type_: Typist, peopled: Path) -> None:
    settle(
        peopled,
        CAMPAIGN_SENDER="nobody",
        CAMPAIGN_TIMEZOEN="UTC",
        CAMPAIGN_SMTP_URL="smtp://user:geheim@h?tls=maybe",
        CAMPAIGN_SEAL_KEY="geheim",
    )
    status, found = read(type_)
    assert status == 1
    wrong = [finding["found"] for finding in found["findings"] if finding["level"] == "error"]
    for name in ("SENDER", "TIMEZOEN", "SMTP_URL", "SEAL_KEY"):
        assert any(f"CAMPAIGN_{name} (.env)" in line for line in wrong), name
    assert any(finding["subject"] == "database" and finding["level"] == "ok" for finding in found["findings"])
    assert "geheim" not in type_.said + type_.aside


def test_a_relays_address_that_only_the_wire_understands_not(type_: Typist, peopled: Path) -> None:
    with dns_server({}) as server:
        settle(
            peopled,
            CAMPAIGN_SMTP_URL=f"smtp://{'a' * 70}.example.net?tls=required",
            CAMPAIGN_DNS=str(server.address),
        )
        status, found = read(type_)
    assert status == 1
    assert any("The relay's URL" in finding["found"] for finding in found["findings"])


def test_each_relay_of_the_file_is_looked_at(type_: Typist, peopled: Path, relay: Catcher) -> None:
    settle(peopled, CAMPAIGN_SMTP_URL="")
    (peopled / "config").mkdir(exist_ok=True)
    port = relay.url.rpartition(":")[2].partition("?")[0]
    lines = (
        f'[relays.good]\nurl = "smtp://127.0.0.1:{port}?tls=none"\n[relays.bad]\nurl = "smtp://127.0.0.1:1?tls=none"\n'
    )
    (peopled / "config" / "relays.toml").write_text(lines)
    with dns_server({}) as server:
        settle(peopled, CAMPAIGN_SMTP_URL="", CAMPAIGN_DNS=str(server.address))
        _, found = read(type_)
    of = {finding["subject"]: finding for finding in found["findings"]}
    assert (of["relay good"]["level"], of["relay bad"]["level"]) == ("ok", "error")
    assert 'config/relays.toml, [relays.bad]: url="smtp://127.0.0.1:1?tls=none"' in of["relay bad"]["mend"]


def test_the_key_that_letters_are_signed_with_is_held_against_the_one_in_the_dns(type_: Typist, peopled: Path) -> None:
    made = type_.read("relays", "dkim", "--selector", "one", "--algorithm", "ed25519")
    with (peopled / ".env").open("a", encoding="utf-8") as env:
        env.writelines(f"{line}\n" for line in made["env"])
    text = made["record"]["text"]
    with dns_server(good_zone()) as server:
        settle(peopled, CAMPAIGN_DNS=str(server.address))
        found = {}
        for record in ([], [text], [text.replace(text[-8:], "AAAAAAA=")]):
            server.zone["one._domainkey.example.org TXT"] = record
            _, said = read(type_)
            found[str(record)] = next(one for one in said["findings"] if one["subject"] == "DKIM")
    missing, there, other = found.values()
    assert (missing["level"], missing["mend"]) == (
        "error",
        f'Publish in the DNS: one._domainkey.example.org. TXT "{text}"',
    )
    assert there["level"] == "ok"
    assert (other["level"], "not the public half" in other["found"]) == ("error", True)


def test_a_key_without_its_selector_is_one_mistake(type_: Typist, peopled: Path) -> None:
    made = type_.read("relays", "dkim", "--selector", "one")
    with (peopled / ".env").open("a", encoding="utf-8") as env:
        env.write(f"{made['env'][0]}\n")
    status, found = read(type_, "--offline")
    assert status == 1
    assert [one["found"] for one in found["findings"] if one["level"] == "error"] == [
        "CAMPAIGN_DKIM_SELECTOR (default): it is not set, but CAMPAIGN_DKIM_KEY is."
    ]
    settle(peopled, CAMPAIGN_DKIM_KEY_FILE="", CAMPAIGN_DKIM_KEY="no key", CAMPAIGN_DKIM_SELECTOR="one")
    _, found = read(type_, "--offline")
    assert len([one for one in found["findings"] if one["level"] == "error"]) == 1


def test_no_home_at_all(tmp_path: Path) -> None:
    done = campaign("doctor", "--home", str(tmp_path / "none"), home=tmp_path)
    assert done.returncode == 1
    assert f"campaign --home {tmp_path / 'none'} init" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "none").exists(), "looking makes nothing"


def test_no_secret_is_shown(type_: Typist, peopled: Path) -> None:
    env = (peopled / ".env").read_text("utf-8")
    keys = re.findall(r'^CAMPAIGN_(?:SECRET|SUPPRESSION|SEAL)_KEY="([^"]+)"', env, re.MULTILINE)
    assert len(keys) == 3
    with dns_server({}) as server:
        settle(peopled, CAMPAIGN_DNS=str(server.address), CAMPAIGN_SMTP_URL="smtp://who:geheim@127.0.0.1:1?tls=none")
        type_("doctor")
        shown = type_.said + type_.aside
        type_("doctor", "--json")
    shown += type_.said + type_.aside
    assert "geheim" not in shown
    assert not any(key in shown for key in keys)


def test_hostile_records_do_not_steer_a_terminal(peopled: Path) -> None:
    nasty = "\x1b]0;owned\x07\x1b[2J\u202e" + "x" * 9_000
    with dns_server(
        {"example.org TXT": [f"v=spf1 {nasty}"], "_dmarc.example.org TXT": [f"v=DMARC1; p={nasty}"]}
    ) as server:
        settle(peopled, CAMPAIGN_DNS=str(server.address))
        shown = on_a_terminal("doctor", home=peopled, columns=80)
    assert "SPF" in shown
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", shown)
    assert max(map(len, shown.splitlines())) < 1_500


IMPATIENT = """
import sys
from dataclasses import replace
from functools import partial
from campaign.__main__ import run
from campaign.actions import examining
examining.relay._EVERY = replace(examining.relay._EVERY, greeting=1)
examining.Resolver = partial(examining.Resolver, patience=1)
sys.argv = ["campaign", "doctor"]
run()
"""
"""The program itself, whose eight and four seconds are one here."""


def test_when_everything_hangs_the_program_ends(peopled: Path) -> None:
    """As a program of its own, because a thread that still waits would hold its end back."""
    assert PATIENCE < 15
    with socket.create_server(("127.0.0.1", 0)) as relay, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as names:
        names.bind(("127.0.0.1", 0))
        settle(
            peopled,
            CAMPAIGN_SMTP_URL=f"smtp://127.0.0.1:{relay.getsockname()[1]}?tls=none",
            CAMPAIGN_DNS=f"127.0.0.1:{names.getsockname()[1]}",
        )
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", IMPATIENT],
            cwd=peopled,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert time.monotonic() - started < 15
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("could not be looked up") == 3
    assert "it failed at greeting: timeout" in done.stdout


def test_everybody_may_look() -> None:
    assert right_for("doctor") is Right.LOOK
