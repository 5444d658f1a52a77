"""Good behaviour of the SMTP transport, against aiosmtpd, smtp-sink and our own scripted server."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.domain.addresses import Address
from campaign.domain.errors import BadInput
from campaign.domain.replies import Outcome, Phase, Scope, judge
from campaign.mail.smtp import SmtpOptions, SmtpTransport, Tls
from campaign.mail.transport import Conversation, Transport, TransportFault
from campaign.mail.transport import Envelope as OurEnvelope
from tests.mail.certificates import Certificate, make_certificate
from tests.mail.fault_server import FaultServer, say
from tests.mail.letters import BODY, Token, conversation, envelope, impatient, relay
from tests.programs import program

Loop = Callable[[], asyncio.AbstractEventLoop]


class Keeper:
    """A handler of aiosmtpd that keeps everything it accepts."""

    def __init__(self, offers: tuple[str, ...]) -> None:
        self.letters: list[tuple[str | None, list[str], bytes | str | None, list[str]]] = []
        self.secure: list[bool] = []
        self._offers = offers

    async def handle_EHLO(  # noqa: N802 -- aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], *(f"250-{offer}" for offer in self._offers), responses[-1]]

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- the name that aiosmtpd calls
        self.letters.append((envelope.mail_from, envelope.rcpt_tos, envelope.content, envelope.mail_options))
        self.secure.append(server.transport.get_extra_info("sslcontext") is not None)
        return "250 2.0.0 kept"


@asynccontextmanager
async def aiosmtpd(
    offers: tuple[str, ...] = ("PIPELINING",), *, implicit: Any = None, **options: Any
) -> AsyncIterator[tuple[Keeper, int]]:
    """Run a real aiosmtpd in this loop."""
    loop, keeper = asyncio.get_running_loop(), Keeper(offers)
    live: list[SMTP] = []

    def meet() -> SMTP:
        live.append(SMTP(keeper, loop=loop, hostname="real.example.org", **options))
        return live[-1]

    server = await loop.create_server(meet, "127.0.0.1", 0, ssl=implicit)
    try:
        yield keeper, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for protocol in live:
            if protocol.transport is not None:
                protocol.transport.abort()
        await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.mark.parametrize("offers", [("PIPELINING",), ()], ids=["pipelined", "one by one"])
async def test_a_real_server_gets_the_letter_byte_for_byte(offers: tuple[str, ...]) -> None:
    async with aiosmtpd(offers) as (keeper, port), conversation(port) as talk:
        for number in range(3):
            answer = await talk.deliver(envelope(f"Reader.{number}+tag@example.org"), BODY, Token())
            assert answer.phase is Phase.DOT
            assert judge(answer, first_attempt=True).outcome is Outcome.ACCEPTED
        assert (talk.delivered, talk.usable) == (3, True)
    assert [letter[1] for letter in keeper.letters] == [[f"Reader.{number}+tag@example.org"] for number in range(3)]
    assert {letter[2] for letter in keeper.letters} == {BODY}
    assert {letter[0] for letter in keeper.letters} == {"news@example.net"}
    assert keeper.letters[0][3] == [f"SIZE={len(BODY)}"]


def test_it_is_what_the_ports_ask_for() -> None:
    def as_transport(transport: Transport) -> Transport:
        return transport

    transport = SmtpTransport(SmtpOptions("127.0.0.1", 25, tls=Tls.NONE))
    assert as_transport(transport).name == "127.0.0.1"


async def test_a_conversation_tells_what_recycling_needs() -> None:
    async with aiosmtpd(data_size_limit=1234, enable_SMTPUTF8=True) as (_, port), conversation(port) as opened:
        talk: Conversation = opened
        assert (talk.size_limit, talk.smtputf8, talk.delivered) == (1234, True, 0)
        assert 0 <= asyncio.get_running_loop().time() - talk.opened_at < 5


async def test_a_service_letter_goes_out_with_the_null_path() -> None:
    async with FaultServer() as server, conversation(server.port) as talk:
        assert (await talk.deliver(envelope(sender=""), BODY, Token())).phase is Phase.DOT
    assert server.commands[1] == b"MAIL FROM:<> SIZE=%d\r\n" % len(BODY)


async def test_a_mailbox_with_a_name_that_is_not_ascii() -> None:
    async with aiosmtpd(("PIPELINING", "8BITMIME"), enable_SMTPUTF8=True) as (keeper, port), conversation(port) as talk:
        answer = await talk.deliver(envelope("قارئ@example.org"), BODY, Token())
    assert judge(answer, first_attempt=True).outcome is Outcome.ACCEPTED
    assert keeper.letters[0][1] == ["قارئ@example.org"]
    assert "SMTPUTF8" in keeper.letters[0][3]


async def test_smtputf8_needed_but_not_offered_refuses_that_person_only() -> None:
    async with FaultServer(("PIPELINING",)) as server, conversation(server.port) as talk:
        answer = await talk.deliver(envelope("قارئ@example.org"), BODY, token := Token())
        assert (answer.phase, answer.reply and answer.reply.enhanced) == (Phase.RCPT, "5.6.7")
        assert judge(answer, first_attempt=True).scope is Scope.MESSAGE
        assert (await talk.deliver(envelope(), BODY, Token())).phase is Phase.DOT
    assert token.asked == 0
    assert server.verbs.count("MAIL") == 1


async def test_a_letter_over_the_relays_size_is_not_even_begun() -> None:
    async with FaultServer(("PIPELINING", "SIZE 100")) as server, conversation(server.port) as talk:
        answer = await talk.deliver(envelope(), b"x" * 99 + b"\r\n", Token())
        assert (answer.phase, answer.reply and str(answer.reply)[:9]) == (Phase.MAIL, "552 5.3.4")
        assert judge(answer, first_attempt=True).scope is Scope.MESSAGE
        assert talk.usable
        assert (await talk.deliver(envelope(), b"x" * 98 + b"\r\n", Token())).phase is Phase.DOT
    assert server.verbs.count("MAIL") == 1


@pytest.mark.parametrize("offer", ["SIZE", "SIZE 0", "SIZE many", "SIZE -5", "SIZE " + "9" * 40, "SIZE ٣"])
async def test_a_size_that_says_nothing_is_no_limit(offer: str) -> None:
    async with FaultServer((offer,)) as server, conversation(server.port) as talk:
        assert talk.size_limit is None
        assert (await talk.deliver(envelope(), BODY, Token())).phase is Phase.DOT


async def test_eight_bit_text_goes_only_where_it_is_taken() -> None:
    body = "Ünïcode\r\n".encode()
    async with FaultServer(("8BITMIME",)) as server, conversation(server.port) as talk:
        assert (await talk.deliver(envelope(), body, Token())).phase is Phase.DOT
    assert b"BODY=8BITMIME" in server.commands[1]
    assert server.held == [body]
    async with FaultServer(()) as server, conversation(server.port) as talk:
        answer = await talk.deliver(envelope(), body, Token())
    assert (answer.phase, answer.reply and answer.reply.enhanced) == (Phase.MAIL, "5.6.3")
    assert judge(answer, first_attempt=True).scope is Scope.MESSAGE


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "does not end with CRLF"),
        (b"no end", "does not end with CRLF"),
        (b"a\r\nb\n", "does not end with CRLF"),
        (b"a\nb\r\n", "stands alone"),
        (b"a\rb\r\n", "stands alone"),
        (b"a\n\rb\r\n", "stands alone"),
        (b"a\r\r\n", "stands alone"),
        (b"a\r\n\r.\r\n", "stands alone"),
        (b"a\0b\r\n", "NUL"),
        (b"x" * 999 + b"\r\n", "Line 1 of the letter has 999 bytes"),
        (b"a\r\n" * 400 + b"x" * 5000 + b"\r\nb\r\n", "Line 401 of the letter has 5000 bytes"),
    ],
)
async def test_a_body_that_could_smuggle_or_be_cut_is_never_begun(body: bytes, words: str) -> None:
    async with FaultServer() as server, conversation(server.port) as talk:
        answer = await talk.deliver(envelope(), body, token := Token())
        assert talk.usable
    assert answer.phase is Phase.BODY
    assert answer.reply is not None
    assert words in answer.reply.text
    verdict = judge(answer, first_attempt=True)
    assert (verdict.outcome, verdict.scope) == (Outcome.REFUSED, Scope.MESSAGE)
    assert (token.asked, server.verbs) == (0, ["EHLO", "QUIT"])


@pytest.mark.parametrize(
    "local", ["a b", "a>b", "<a", "a\r\nRCPT TO:<b", "a\n", "a\0", "a\x85", "a\u2028", "a\ud800", ""]
)
async def test_an_address_that_could_end_its_path_is_never_sent(local: str) -> None:
    async with FaultServer() as server, conversation(server.port) as talk:
        to = await talk.deliver(OurEnvelope("news@example.net", Address(local, "example.org")), BODY, Token())
        if local:
            sender = OurEnvelope(f"{local}@example.net", Address("reader-07", "example.org"))
            by = await talk.deliver(sender, BODY, Token())
            assert (by.phase, judge(by, first_attempt=True).scope) == (Phase.MAIL, Scope.CONFIGURATION)
    assert (to.phase, to.reply and to.reply.enhanced) == (Phase.RCPT, "5.1.3")
    verdict = judge(to, first_attempt=True)
    assert (verdict.outcome, verdict.scope, verdict.hard) == (Outcome.REFUSED, Scope.RECIPIENT, False)
    assert server.verbs == ["EHLO", "QUIT"]


async def test_a_domain_goes_out_as_a_labels_only() -> None:
    async with FaultServer() as server, conversation(server.port) as talk:
        answer = await talk.deliver(OurEnvelope("", Address("reader-07", "bücher.example.org")), BODY, Token())
    assert answer.phase is Phase.RCPT
    assert server.verbs == ["EHLO", "QUIT"]


lines = st.lists(
    st.sampled_from([b"", b".", b"..", b".a", b"QUIT", b"x" * 998, b"." * 998, b"ordinary words", b"x" * 500]),
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(st.lists(lines, min_size=1, max_size=4), st.booleans())
def test_any_text_arrives_as_it_was_with_one_dot_each(letters: list[list[bytes]], pipelined: bool) -> None:
    bodies = [b"\r\n".join([*letter, b"end", b""]) for letter in letters]

    async def run() -> None:
        async with FaultServer(("PIPELINING",) if pipelined else ()) as server, conversation(server.port) as talk:
            for body in bodies:
                assert (await talk.deliver(envelope(), body, Token())).phase is Phase.DOT
        assert server.held == bodies
        assert server.verbs == ["EHLO", *["MAIL", "RCPT", "DATA"] * len(bodies), "QUIT"]

    asyncio.run(run())


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("tls", list(Tls))
def test_plain_starttls_and_tls_on_both_loops(tls: Tls, loop: Loop, certificate: Certificate) -> None:
    big = b"x" * 900 + b"\r\n"

    async def run() -> None:
        implicit = certificate.server() if tls is Tls.IMPLICIT else None
        required = {"tls_context": certificate.server(), "require_starttls": True} if tls is Tls.REQUIRED else {}
        async with (
            aiosmtpd(implicit=implicit, **required) as (keeper, port),
            conversation(port, tls=tls, cafile=str(certificate.cafile)) as talk,
        ):
            for body in (BODY, big * 2000, BODY):
                answer = await talk.deliver(envelope(), body, Token())
                assert (answer.phase, answer.fault) == (Phase.DOT, None)
        assert [letter[2] for letter in keeper.letters] == [BODY, big * 2000, BODY]
        assert set(keeper.secure) == {tls is not Tls.NONE}

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


@pytest.mark.parametrize("tls", [Tls.REQUIRED, Tls.IMPLICIT])
async def test_a_certificate_nobody_vouches_for_ends_it(tls: Tls, certificate: Certificate) -> None:
    implicit = certificate.server() if tls is Tls.IMPLICIT else None
    required = {"tls_context": certificate.server()} if tls is Tls.REQUIRED else {}
    async with aiosmtpd(implicit=implicit, **required) as (_, port):
        with pytest.raises(TransportFault, match="certificate") as caught:
            await relay(port, tls=tls).open()
    assert caught.value.answer.phase is Phase.TLS
    assert judge(caught.value.answer, first_attempt=True).scope is Scope.RELAY


@pytest.mark.parametrize("tls", [Tls.REQUIRED, Tls.IMPLICIT])
async def test_a_certificate_for_another_host_ends_it(tls: Tls, tmp_path: Path) -> None:
    other = make_certificate(tmp_path, "other.example.org")
    implicit = other.server() if tls is Tls.IMPLICIT else None
    required = {"tls_context": other.server()} if tls is Tls.REQUIRED else {}
    async with aiosmtpd(implicit=implicit, **required) as (_, port):
        with pytest.raises(TransportFault, match="mismatch") as caught:
            await relay(port, tls=tls, cafile=str(other.cafile)).open()
    assert caught.value.answer.phase is Phase.TLS


async def test_a_file_of_authorities_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(TransportFault, match="No such file") as caught:
        await relay(9, tls=Tls.REQUIRED, cafile=str(tmp_path / "none.pem")).open()
    assert caught.value.answer.phase is Phase.TLS


def login(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    known = isinstance(data, LoginPassword) and (data.login, data.password) == (b"user@host", "pässwörd".encode())
    return AuthResult(success=known, handled=False)


@pytest.mark.parametrize("excluded", [[], ["PLAIN"], ["LOGIN"]], ids=["both", "LOGIN", "PLAIN"])
async def test_signing_in(excluded: list[str]) -> None:
    options = {"authenticator": login, "auth_required": True, "auth_require_tls": False}
    with pytest.warns(UserWarning, match="Requiring AUTH"):
        async with (
            aiosmtpd(auth_exclude_mechanism=excluded, **options) as (keeper, port),
            conversation(port, username="user@host", password="pässwörd") as talk,
        ):
            assert (await talk.deliver(envelope(), BODY, Token())).phase is Phase.DOT
    assert len(keeper.letters) == 1


async def test_wrong_credentials_are_tried_once_and_are_a_matter_of_configuration() -> None:
    offers = ("AUTH PLAIN LOGIN",)
    async with FaultServer(offers, auth=say("535 5.7.8 no")) as server:
        with pytest.raises(TransportFault, match=r"535 5\.7\.8") as caught:
            await relay(server.port, username="user", password="secret-word").open()
    answer = caught.value.answer
    verdict = judge(answer, first_attempt=True)
    assert (answer.phase, verdict.scope, verdict.charged) == (Phase.AUTH, Scope.CONFIGURATION, False)
    assert "secret-word" not in str(caught.value)
    assert server.verbs.count("AUTH") == 1


async def test_a_way_to_sign_in_that_does_not_work_is_followed_by_the_next() -> None:
    script = {"auth": [say("504 5.5.4 not really"), say("334 VXNlcm5hbWU6")], "c2vjcmv0": say("235 2.7.0 in")}
    async with FaultServer(("AUTH PLAIN LOGIN",), **script) as server:
        await (await relay(server.port, username="user", password="secret").open()).close()
    assert server.verbs.count("AUTH") == 2


@pytest.mark.parametrize("offers", [(), ("AUTH GSSAPI",)])
async def test_no_way_to_sign_in(offers: tuple[str, ...]) -> None:
    async with FaultServer(offers) as server:
        with pytest.raises(TransportFault) as caught:
            await relay(server.port, username="user", password="secret").open()
    assert judge(caught.value.answer, first_attempt=True).scope is Scope.CONFIGURATION


async def test_a_server_that_only_knows_helo() -> None:
    async with (
        FaultServer(ehlo=say("502 5.5.1 what"), helo=say("250 hello")) as server,
        conversation(server.port) as talk,
    ):
        assert (await talk.deliver(envelope(), BODY, Token())).phase is Phase.DOT
        assert talk.size_limit is None
    assert server.verbs == ["EHLO", "HELO", "MAIL", "RCPT", "DATA", "QUIT"]


async def test_our_name_is_an_address_where_the_machine_has_no_full_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "short")
    async with FaultServer() as server, conversation(server.port, hello=None):
        pass
    assert server.commands[0] == b"EHLO [127.0.0.1]\r\n"
    monkeypatch.setattr(socket, "gethostname", lambda: "long.example.net")
    async with FaultServer() as server, conversation(server.port, hello=None):
        pass
    assert server.commands[0] == b"EHLO long.example.net\r\n"


GOOD_URLS = [
    ("smtp://relay.example.net", ("relay.example.net", 587, Tls.REQUIRED, None, None)),
    ("smtp://relay.example.net:465", ("relay.example.net", 465, Tls.IMPLICIT, None, None)),
    ("smtp://relay.example.net:465?tls=required", ("relay.example.net", 465, Tls.REQUIRED, None, None)),
    ("smtp://relay.example.net?tls=implicit", ("relay.example.net", 465, Tls.IMPLICIT, None, None)),
    ("smtp://127.0.0.1?tls=none", ("127.0.0.1", 25, Tls.NONE, None, None)),
    ("smtp://[::1]:2525/?tls=none", ("::1", 2525, Tls.NONE, None, None)),
    ("smtp://u%40h:p%3A%2F%25@relay.example.net:26", ("relay.example.net", 26, Tls.REQUIRED, "u@h", "p:/%")),
    ("smtp://user@relay.example.net", ("relay.example.net", 587, Tls.REQUIRED, "user", None)),
]


@pytest.mark.parametrize(("url", "expected"), GOOD_URLS)
def test_reading_a_relays_url(url: str, expected: tuple[object, ...]) -> None:
    options = SmtpOptions.from_url(url)
    assert (options.host, options.port, options.tls, options.username, options.password) == expected


def test_the_rest_of_a_relays_url() -> None:
    options = SmtpOptions.from_url("smtp://relay.example.net?cafile=/etc/ca%20x.pem&hello=me.example.net", name="main")
    assert (options.cafile, options.hello, options.name) == ("/etc/ca x.pem", "me.example.net", "main")
    assert options.timeouts.dot == 600


@pytest.mark.parametrize(
    "url",
    [
        "", "relay.example.net", "http://relay.example.net", "smtp://", "smtp://:25", "smtp://relay.example.net:0",
        "smtp://relay.example.net:99999", "smtp://relay.example.net:x", "smtp://relay.example.net/path",
        "smtp://relay.example.net?tls=maybe", "smtp://relay.example.net?tls=", "smtp://relay.example.net?tls=none&tls=none",
        "smtp://relay.example.net?verify=no", "smtp://:secret-word@relay.example.net", "smtp://user:secret#word@relay.example.net",
        "smtp://relay.example.net?hello=a%20b", "smtp://[::1", "smtp://" + "a" * 70 + ".example.net",
    ],
)  # fmt: skip
def test_a_relays_url_that_cannot_be_used(url: str) -> None:
    with pytest.raises(BadInput) as caught:
        SmtpOptions.from_url(url)
    assert "secret" not in caught.value.message
    assert "smtp://user:password@" in caught.value.remedy


def test_the_password_is_never_shown() -> None:
    assert "secret-word" not in repr(SmtpOptions.from_url("smtp://user:secret-word@relay.example.net"))


class Sink:
    """Postfix's smtp-sink on a free port."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        found = program("smtp-sink")
        user = ["-u", "root"] if os.geteuid() == 0 else []
        self._process = subprocess.Popen([found, *user, *arguments, f"127.0.0.1:{self.port}", "100"], cwd=folder)

    async def ready(self) -> None:
        for _ in range(100):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
        pytest.fail("smtp-sink does not listen")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(5)


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Callable[..., Sink]]:
    running: list[Sink] = []

    def start(*arguments: str) -> Sink:
        running.append(Sink(tmp_path, *arguments))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.mark.smtp_sink
@pytest.mark.parametrize("flags", [(), ("-p",)], ids=["pipelined", "one by one"])
async def test_smtp_sink_takes_every_letter(sink: Callable[..., Sink], flags: tuple[str, ...], tmp_path: Path) -> None:
    peer = sink(*flags, "-d", "letter.")
    await peer.ready()

    async def lane(number: int) -> None:
        async with conversation(peer.port) as talk:
            for turn in range(20):
                answer = await talk.deliver(envelope(f"reader-{number}-{turn}@example.org"), BODY, Token())
                assert (answer.phase, answer.fault) == (Phase.DOT, None)

    await asyncio.gather(*(lane(number) for number in range(5)))
    kept = [path.read_text() for path in tmp_path.glob("letter.*")]
    recipients = [re.findall(r"X-Rcpt-Args: <(.*)>", text) for text in kept if "X-Rcpt-Args" in text]
    assert sorted(recipients) == sorted([f"reader-{n}-{t}@example.org"] for n in range(5) for t in range(20))


SINK_FAULTS = [
    (("-q", "MAIL"), Phase.MAIL, Outcome.AGAIN),
    (("-q", "RCPT"), Phase.RCPT, Outcome.AGAIN),
    (("-q", "DATA"), Phase.DATA, Outcome.AGAIN),
    (("-q", "."), Phase.DOT, Outcome.IN_DOUBT),
    (("-Q", "RCPT"), Phase.RCPT, Outcome.AGAIN),
    (("-Q", "."), Phase.DOT, Outcome.AGAIN),
    (("-r", "MAIL"), Phase.MAIL, Outcome.AGAIN),
    (("-r", "RCPT"), Phase.RCPT, Outcome.AGAIN),
    (("-r", "DATA"), Phase.DATA, Outcome.AGAIN),
    (("-r", "."), Phase.DOT, Outcome.AGAIN),
    (("-f", "RCPT"), Phase.RCPT, Outcome.REFUSED),
    (("-f", "DATA"), Phase.DATA, Outcome.REFUSED),
    (("-f", "."), Phase.DOT, Outcome.REFUSED),
    (("-f", "MAIL"), Phase.MAIL, Outcome.AGAIN),
    (("-q", "QUIT"), Phase.DOT, Outcome.ACCEPTED),
    (("-q", "EHLO"), Phase.EHLO, Outcome.AGAIN),
]


@pytest.mark.smtp_sink
@pytest.mark.parametrize(("flags", "phase", "outcome"), SINK_FAULTS, ids=str)
async def test_smtp_sinks_own_faults(
    sink: Callable[..., Sink], flags: tuple[str, ...], phase: Phase, outcome: Outcome
) -> None:
    peer = sink(*flags)
    await peer.ready()
    try:
        async with conversation(peer.port, impatient("dot")) as talk:
            answer = await talk.deliver(envelope(), BODY, Token())
    except TransportFault as fault:
        answer = fault.answer
    assert (answer.phase, judge(answer, first_attempt=True).outcome) == (phase, outcome)


@pytest.mark.smtp_sink
async def test_a_reply_that_races_our_dot_is_told_as_it_was_met(sink: Callable[..., Sink]) -> None:
    """After 354, smtp-sink answers 550 and hangs up unasked; whether that comes before our dot is up to the machine."""
    peer = sink("-A", "0")
    await peer.ready()
    for _ in range(20):
        token = Token()
        async with conversation(peer.port) as talk:
            answer = await talk.deliver(envelope(), BODY, token)
        met = (answer.phase, judge(answer, first_attempt=True).outcome)
        assert met in [(Phase.BODY, Outcome.REFUSED), (Phase.DOT, Outcome.REFUSED), (Phase.DOT, Outcome.IN_DOUBT)]
        assert token.asked or answer.phase is Phase.BODY


async def test_what_a_relay_offered_is_known_afterwards(certificate: Certificate) -> None:
    offers = ("PIPELINING", "SIZE 5000", "AUTH PLAIN LOGIN")
    options = {"cafile": str(certificate.cafile), "username": "user", "password": "secret"}
    async with (
        FaultServer(offers, tls=certificate.server(), auth=say("235 2.7.0 Welcome")) as server,
        conversation(server.port, tls=Tls.IMPLICIT, **options) as talk,
    ):
        welcome = talk.welcome
    assert (welcome.tls or "").startswith("TLSv1.")
    assert welcome.cipher
    assert (welcome.auth, welcome.signed_in, welcome.size_limit) == (("login", "plain"), True, 5000)
    assert (welcome.pipelining, welcome.smtputf8) == (True, False)
    async with FaultServer(()) as server, conversation(server.port) as talk:
        assert talk.welcome == (None, None, (), False, None, False, False)
