"""What the doctor finds outside the database, and what it says must be done: each fault is a real one."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from campaign.actions import examining
from campaign.actions.examining import Patient, Way, names, relay
from campaign.actions.examining import home as at_home
from campaign.actions.examining.guard import guarded
from campaign.clock import SystemClock
from campaign.domain.errors import CampaignError
from campaign.domain.findings import Finding, Level, Subject, worst
from campaign.domain.records import Lookup
from campaign.domain.records.dkim import Selector
from campaign.mail.smtp import SmtpOptions, Tls
from campaign.mail.terms import Security
from campaign.outside.dns import Resolver
from campaign.settings import Mistake, Settings
from tests.builders import KEY
from tests.mail.certificates import Certificate, make_certificate
from tests.mail.fault_server import HANG, FaultServer, say
from tests.mail.test_smtp import aiosmtpd
from tests.outside.dns_server import SERVFAIL, SILENT, dns_server, good_zone

NOW = datetime.now(UTC)
IT = Subject("it")


def said(findings: list[Finding]) -> str:
    return " | ".join(f"{one.level}: {one.found} -> {one.mend}" for one in findings)


def ready(folder: Path, **more: object) -> Settings:
    values: dict[str, object] = {
        "secret_key": (KEY,),
        "suppression_key": bytes(32),
        "seal_key": (bytes(reversed(KEY)),),
        "sender": "Example <letters@example.org>",
        "base_url": "https://letters.example.org",
        "smtp_url": "smtp://127.0.0.1:1?tls=none",
        "postal_address": "1 Example Street",
    }
    return Settings(home=folder, **{**values, **more})  # type: ignore[arg-type]  # tests only


# --- settings, keys, home, Python ---


def test_settings_that_are_all_there(home: Path) -> None:
    settings = ready(home)
    assert worst([*at_home.of_settings(settings, ()), *at_home.of_keys(settings, ())]) is Level.OK


def test_settings_that_are_missing_or_wrong(tmp_path: Path) -> None:
    bare = Settings(home=tmp_path)
    found = at_home.of_settings(bare, ())
    assert {one.level for one in found} == {Level.ERROR}
    for variable in ("SENDER", "SMTP_URL", "BASE_URL", "POSTAL_ADDRESS"):
        assert f'CAMPAIGN_{variable}="' in said(found)
    mistake = Mistake("CAMPAIGN_SENDER", ".env", "it is no address", "Write it so.")
    silent = Mistake("CAMPAIGN_TIMEZOEN", ".env", "there is no such setting")
    found = at_home.of_settings(ready(tmp_path, sender=None, contact=None), (mistake, silent))
    in_file = Mistake("relays.main.url", "config/relays.toml", "it is missing", "Write one.")
    assert "CAMPAIGN_SMTP_URL" not in said(at_home.of_settings(ready(tmp_path, smtp_url=None), (in_file,)))
    assert said(found) == (
        "error: CAMPAIGN_SENDER (.env): it is no address. -> Write it so. | "
        "error: CAMPAIGN_TIMEZOEN (.env): there is no such setting. -> Mend .env."
    )
    loopback = at_home.of_settings(ready(tmp_path, base_url="http://127.0.0.1:8000"), ())
    assert [one.level for one in loopback] == [Level.WARNING]
    assert loopback[0].mend == f'In {tmp_path / ".env"}: CAMPAIGN_BASE_URL="https://letters.example.org"'


def test_keys_that_are_missing_wrong_or_the_same(tmp_path: Path) -> None:
    (found,) = at_home.of_keys(ready(tmp_path, seal_key=()), ())
    assert (found.level, "CAMPAIGN_SEAL_KEY" in found.found) == (Level.ERROR, True)
    mistake = Mistake("CAMPAIGN_SEAL_KEY", ".env", "it is too short", "")
    (found,) = at_home.of_keys(ready(tmp_path, seal_key=()), (mistake,))
    assert found.level is Level.NOTE
    assert at_home.of_keys(ready(tmp_path, seal_key=(KEY,)), ())[1].level is Level.WARNING
    assert at_home.of_keys(ready(tmp_path, suppression_key=KEY), ())[1].level is Level.WARNING


def test_a_home_that_others_may_read_or_change(tmp_path: Path) -> None:
    settings, env = ready(tmp_path), tmp_path / ".env"
    env.touch(0o600)
    tmp_path.chmod(0o700)
    assert worst(at_home.of_home(settings)) in {Level.OK, Level.WARNING, Level.ERROR}
    assert "chmod" not in said(at_home.of_home(settings))
    env.chmod(0o640)
    assert f"chmod 600 {env}" in said(at_home.of_home(settings))
    tmp_path.chmod(0o770)
    assert f"chmod go-w {tmp_path}" in said(at_home.of_home(settings))
    (gone,) = at_home.of_home(ready(tmp_path / "none"))
    assert (gone.level, gone.mend) == (Level.ERROR, f"campaign --home {tmp_path / 'none'} init")


@pytest.mark.parametrize(("free", "level"), [(50_000_000, "error"), (500_000_000, "warning"), (5_000_000_000, "ok")])
def test_a_disk_that_fills(free: int, level: str) -> None:
    assert at_home.of_space(Path("somewhere"), free, 10_000_000_000).level == level


def test_python(monkeypatch: pytest.MonkeyPatch) -> None:
    assert at_home.of_python()[0].level in {Level.OK, Level.NOTE}

    class Other(at_home.EmailMessage):
        def as_bytes(self, unixfrom: bool = False, policy: object = None) -> bytes:
            raise ValueError("what newer versions do")

    monkeypatch.setattr(at_home, "EmailMessage", Other)  # the Python at hand is the one or the other
    assert at_home.of_python()[0].level is Level.OK


# --- the guard ---


async def test_whatever_happens_in_a_look_is_a_finding() -> None:
    async def fail(error: Exception) -> list[Finding]:
        raise error

    async def hang() -> list[Finding]:
        await asyncio.sleep(10)
        return []

    broken = CampaignError("Broken.", remedy="Mend smtp://user:geheim@h/ now.")
    assert said(await guarded(IT, fail(broken))) == "error: Broken. -> Mend smtp://***@h/ now."
    assert "Permission denied (/x)" in said(await guarded(IT, fail(PermissionError(13, "Permission denied", "/x"))))
    assert "OSError" not in said(await guarded(IT, fail(OSError("words alone"))))
    assert "ZeroDivisionError: by r…@example.org" in said(
        await guarded(IT, fail(ZeroDivisionError("by reader-07@example.org")))
    )
    assert "No answer within 0.05 s" in said(await guarded(IT, hang(), 0.05))
    assert all(one.level is Level.ERROR and one.mend for one in await guarded(IT, fail(KeyError("x"))))


# --- the relay ---


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


async def meet(port: int, host: str = "127.0.0.1", now: datetime = NOW, **more: object) -> list[Finding]:
    options: dict[str, object] = {"tls": Tls.NONE, "name": "main", **more}
    return await relay.examine(Way(SmtpOptions(host, port, **options)), now)  # type: ignore[arg-type]  # tests only


async def test_a_relay_that_is_well_and_gets_no_letter() -> None:
    async with FaultServer() as server:
        (found,) = await meet(server.port)
    assert (found.subject, found.level) == ("relay main", Level.OK)
    assert "in the open; it offers PIPELINING SIZE 8BITMIME SMTPUTF8." in found.found
    assert server.verbs == ["EHLO", "QUIT"]


@pytest.mark.parametrize("tls", [Tls.REQUIRED, Tls.IMPLICIT])
async def test_tls_its_version_and_its_certificate(tls: Tls, certificate: Certificate) -> None:
    implicit = certificate.server() if tls is Tls.IMPLICIT else None
    required = {"tls_context": certificate.server()} if tls is Tls.REQUIRED else {}
    async with aiosmtpd(implicit=implicit, **required) as (_, port):
        found = await meet(port, tls=tls, cafile=str(certificate.cafile))
        later = await meet(port, tls=tls, cafile=str(certificate.cafile), now=NOW - timedelta(days=30))
        stranger = await meet(port, tls=tls)
    assert "TLSv1.3 with a certificate until 20" in said(found)
    assert "Its certificate ends on" in said(found), "made for a day"
    assert "Its certificate ends on" not in said(later)
    assert "certificate" in stranger[0].found
    assert "Write a host that stands in its certificate" in stranger[0].mend


async def test_a_certificate_for_another_name(tmp_path: Path) -> None:
    other = make_certificate(tmp_path, "relay.example.net")
    async with aiosmtpd(tls_context=other.server()) as (_, port):
        (found,) = await meet(port, tls=Tls.REQUIRED, cafile=str(other.cafile))
    assert (found.level, "mismatch" in found.found) == (Level.ERROR, True)


@pytest.mark.parametrize(("tls", "mend"), [(Tls.REQUIRED, ":465?tls=implicit"), (Tls.IMPLICIT, ":587?tls=required")])
async def test_tls_of_the_other_kind(tls: Tls, mend: str) -> None:
    async with FaultServer(()) as server:
        (found,) = await meet(server.port, tls=tls)
    assert found.level is Level.ERROR
    assert f'CAMPAIGN_SMTP_URL="smtp://127.0.0.1{mend}"' in found.mend


async def test_a_password_that_is_refused_and_one_that_is_not_asked_for() -> None:
    offers = ("AUTH PLAIN", "PIPELINING", "SMTPUTF8")
    async with FaultServer(offers, auth=say("535 5.7.8 no")) as server:
        (found,) = await meet(server.port, username="letters@example.org", password="geheim")
        without = await meet(server.port)
    assert (found.level, "535" in found.found) == (Level.ERROR, True)
    assert 'CAMPAIGN_SMTP_URL="smtp://user:password@127.0.0.1' in found.mend
    assert "geheim" not in str(found)
    assert "letters@example.org" not in str(found)
    assert [one.level for one in without] == [Level.OK, Level.NOTE]
    async with FaultServer(offers, auth=say("235 2.7.0 yes")) as server:
        (found,) = await meet(server.port, username="letters", password="geheim")
    assert "lets us sign in" in found.found


async def test_what_a_relay_does_not_offer() -> None:
    async with FaultServer(("SIZE 50000",)) as server:
        found = await meet(server.port)
    assert [one.level for one in found] == [Level.OK, Level.ERROR, Level.NOTE, Level.NOTE]
    assert "not PIPELINING 8BITMIME SMTPUTF8" in found[0].found
    assert "50,000 bytes" in found[1].found
    assert "message_size_limit" in found[1].mend


async def test_relays_that_are_not_there_or_say_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "PATIENCE", 0.5)
    assert "Is that the host and the port" in said(await meet(1))
    async with FaultServer(greeting=say("554 5.7.1 go away \x1b[2J reader-07@example.org")) as server:
        (found,) = await meet(server.port)
    assert "554" in found.found
    assert found.found.isprintable()
    assert "reader-07@" not in found.found
    async with FaultServer(greeting=HANG) as server:
        started = time.monotonic()
        (found,) = await meet(server.port)
    assert "did not let us in within 0.5 s" in found.found
    assert time.monotonic() - started < 6


async def test_a_relay_elsewhere_in_the_open_whose_name_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may ask about a stranger, so the machine's own lookup says what it would."""

    async def nobody(host: str, port: int, *, patience: float) -> object:
        return Lookup(trouble="Name or service not known")

    monkeypatch.setattr(relay, "machine_addresses", nobody)
    warning, error = await meet(25, host="mail.example.net")
    assert (warning.level, "mail.example.net:587?tls=required" in warning.mend) == (Level.WARNING, True)
    assert (error.level, "has no address" in error.found) == (Level.ERROR, True)


def test_a_broken_tls_is_told() -> None:
    assert "TLSv1.1" in said(relay._of_certificate(IT, Security("TLSv1.1", None), NOW))
    assert relay._line(Security("TLSv1.3", None)) == "TLSv1.3"


# --- the records ---


async def look(
    zone: dict[str, list[str] | str], asked: names.Names | None = None, patience: float = 2
) -> list[Finding]:
    with dns_server(zone) as server:
        return await names.examine(
            asked or names.Names("example.org", "example.org"), Resolver(server.address, patience=patience)
        )


async def test_the_records_of_a_careful_sender() -> None:
    key = "p=" + "A" * 392
    zone = good_zone(**{"s1._domainkey.example.org TXT": [key], "relay.example.net A": ["192.0.2.77"]})
    asked = names.Names("example.org", "example.org", ("relay.example.net",), (Selector("s1", "example.org"),))
    found = await look(zone, asked)
    assert worst(found) is Level.NOTE, said(found)
    assert [one.subject for one in found] == ["MX", "SPF", "DKIM", "DMARC", "DMARC", "bulk rules", "PTR"]
    assert "all three are there" in said(found)
    elsewhere = {**zone, "relay.example.net A": ["198.51.100.1"]}
    assert "No ip4: or ip6: in it holds the address of relay.example.net" in said(await look(elsewhere, asked))


async def test_a_sender_without_records() -> None:
    found = await look({})
    errors = {one.subject for one in found if one.level is Level.ERROR}
    assert errors == {"MX", "SPF", "DMARC", "bulk rules"}
    assert 'Publish in the DNS: example.org. TXT "v=spf1 mx ~all"' in said(found)
    assert "campaign doctor --selector NAME" in said(found)


async def test_a_return_path_elsewhere_is_looked_at_by_itself() -> None:
    zone = {**good_zone(), **good_zone("bounces.example.net")}
    zone["example.org TXT"] = []
    found = await look(zone, names.Names("example.org", "bounces.example.net"))
    assert "SPF" not in {one.subject for one in found if one.level is Level.ERROR}
    assert "only DKIM can pass" in said(found)
    assert [one.level for one in found if one.subject == "MX"] == [Level.OK, Level.OK]


async def test_spf_is_followed_where_it_leads_and_no_further() -> None:
    zone = good_zone()
    zone["example.org TXT"] = ["v=spf1 include:a.example.net ~all"]
    zone["a.example.net TXT"] = ["v=spf1 include:b.example.net ~all"]
    zone["b.example.net TXT"] = ["v=spf1 include:a.example.net ~all"]
    assert "in a circle" in said(await look(zone))
    for n in range(20):
        zone[f"i{n}.example.net TXT"] = [f"v=spf1 include:i{n + 1}.example.net ~all"]
    zone["example.org TXT"] = ["v=spf1 include:i0.example.net ~all"]
    with dns_server(zone) as server:
        found = await names.examine(names.Names("example.org", "example.org"), Resolver(server.address))
    assert "more than 10 lookups" in said(found)
    assert not any("i15." in question for question in server.asked)


async def test_no_answer_is_not_the_records_fault() -> None:
    zone: dict[str, list[str] | str] = {
        "example.org TXT": SERVFAIL,
        "example.org MX": SERVFAIL,
        "_dmarc.example.org TXT": SILENT,
        "s1._domainkey.example.org TXT": SERVFAIL,
    }
    asked = names.Names("example.org", "example.org", ("relay.example.net",), (Selector("s1", "example.org"),))
    found = await look(zone, asked, patience=1.5)
    assert {one.level for one in found} == {Level.WARNING, Level.NOTE}
    assert said(found).count("could not be looked up") == 4
    assert "SERVFAIL" in said(found)
    assert "no answer within" in said(found)


async def test_hostile_records_are_shown_safely_and_shortened() -> None:
    nasty = "\x1b]0;owned\x07\u202e" + "x" * 10_000
    zone: dict[str, list[str] | str] = {
        "example.org TXT": [f"v=spf1 {nasty} ~all", f"v=spf1 include:{nasty}"],
        "_dmarc.example.org TXT": [f"v=DMARC1; p={nasty}"],
        "s1._domainkey.example.org TXT": [nasty],
        "example.org MX": ["10 \\027[2J.example.org."],
    }
    asked = names.Names("example.org", "example.org", (), (Selector("s1", "example.org"),))
    found = await look(zone, asked)
    assert all((one.found + one.mend).isprintable() and len(one.found) < 1_000 for one in found)
    assert (await look({}, names.Names("example.org", "example.org", (), (Selector("\x1b", "example.org"),))))[
        2
    ].found == ("'\\u001b' is no selector.")


# --- all of it ---


async def test_what_a_wrong_setting_hides_is_said_to_be_hidden(tmp_path: Path) -> None:
    mistakes = tuple(
        Mistake(f"CAMPAIGN_{name}", ".env", "it is wrong", "")
        for name in ("DATABASE_URL_FILE", "SMTP_URL", "RETURN_PATH", "SECRET_KEY")
    )
    settings = ready(tmp_path, secret_key=(), smtp_url=None)
    found = await examining.examine(Patient(settings, mistakes, SystemClock()))
    hidden = [one.subject for one in found if "Not looked at" in one.found]
    assert hidden == ["keys", "database", "relay", "records"]


async def test_everything_hangs_and_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a quarter of the time that it takes outside a test."""
    monkeypatch.setattr(relay, "PATIENCE", 2.5)
    monkeypatch.setattr(examining, "Resolver", partial(Resolver, patience=1))
    async with FaultServer(greeting=HANG) as server:
        with dns_server(dict.fromkeys(("example.org TXT", "example.org MX", "_dmarc.example.org TXT"), SILENT)) as dns:
            settings = ready(tmp_path, dns=str(dns.address), smtp_url=f"smtp://127.0.0.1:{server.port}?tls=none")
            options = SmtpOptions("127.0.0.1", server.port, tls=Tls.NONE, name="main")
            started = time.monotonic()
            found = await examining.examine(Patient(settings, (), SystemClock(), (Way(options),)))
    assert time.monotonic() - started < 10
    assert "did not let us in" in said(found)
    assert said(found).count("could not be looked up") == 3
    assert "There is no database" in said(found)
