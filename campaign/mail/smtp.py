"""Opens SMTP connections: connect, greet, TLS and AUTH are aiosmtplib's. It never sends a letter itself.

aiosmtplib cannot tell what failed before the dot from what failed after it, so once signed in the connection is taken
from it and handed to our own `Dialogue`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NoReturn, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import aiosmtplib

from campaign.domain.errors import BadInput
from campaign.domain.replies import UNSUPPORTED, Answer, Phase, Reply
from campaign.mail.conversation import SmtpConversation
from campaign.mail.dialogue import DROP, GARBLED, TIMEOUT, Dialogue
from campaign.mail.terms import Extensions, PhaseTimeouts
from campaign.mail.transport import TransportFault

_SHAPE: Final = "Write it like smtp://user:password@mail.example.org:587?tls=required (or tls=implicit, tls=none)."


class Tls(StrEnum):
    """How the line to the relay is secured; there is no "if it happens to be offered" (RFC 8314 s. 3)."""

    REQUIRED = "required"
    IMPLICIT = "implicit"
    NONE = "none"


_WRONG_CREDENTIALS: Final = 535
_PORTS: Final = {Tls.REQUIRED: 587, Tls.IMPLICIT: 465, Tls.NONE: 25}


@dataclass(frozen=True, slots=True)
class SmtpOptions:
    """Where a relay is and how to sign in. `cafile` replaces the system's authorities; `hello` is our name in EHLO."""

    host: str
    port: int
    tls: Tls = Tls.REQUIRED
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    cafile: str | None = None
    hello: str | None = None
    name: str = ""
    timeouts: PhaseTimeouts = field(default_factory=PhaseTimeouts)

    @classmethod
    def from_url(cls, url: str, *, name: str = "", timeouts: PhaseTimeouts | None = None) -> SmtpOptions:
        """Read `smtp://user:password@host:port?tls=required|implicit|none&cafile=FILE&hello=NAME`; raise BadInput.

        User and password are percent-decoded. Without `tls` it is `implicit` on port 465 and `required` elsewhere.
        The messages never show the URL, because it holds the password.
        """
        parts, port = _split(url)
        given = _parameters(parts)
        tls = given.get("tls", Tls.IMPLICIT if port == _PORTS[Tls.IMPLICIT] else Tls.REQUIRED)
        if tls not in set(Tls):
            _bad_url("does not know that value of tls")
        username, password = (unquote(part) if part else None for part in (parts.username, parts.password))
        if password and not username:
            _bad_url("has a password but no user")
        host = parts.hostname or ""
        hello = given.get("hello")
        if hello is not None and not _fits_hello(hello):
            _bad_url("has a name for EHLO that is no host name")
        return cls(
            host=host,
            port=port or _PORTS[Tls(tls)],
            tls=Tls(tls),
            username=username,
            password=password,
            cafile=given.get("cafile"),
            hello=hello,
            name=name or host,
            timeouts=timeouts or PhaseTimeouts(),
        )


def _split(url: str) -> tuple[SplitResult, int | None]:
    """Take a relay's URL apart."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode() if "[" not in parts.netloc else parts.hostname
    except ValueError:
        _bad_url("cannot be read")
    if parts.scheme != "smtp" or not host or parts.path.strip("/") or parts.fragment or port == 0:
        _bad_url("is not complete")
    return parts, port


def _parameters(parts: SplitResult) -> dict[str, str]:
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    given = dict(pairs)
    unknown = sorted(set(given) - {"tls", "cafile", "hello"})
    if unknown or len(given) != len(pairs) or not all(given.values()):
        _bad_url(f"has parameters that are unknown, empty or given twice ({', '.join(unknown or sorted(given))})")
    return given


def _bad_url(why: str) -> NoReturn:
    msg = f"The relay's URL {why}."
    raise BadInput(msg, remedy=_SHAPE)


def _fits_hello(name: str) -> bool:
    return name.isascii() and name.isprintable() and " " not in name


class SmtpTransport:
    """One relay; implements `campaign.mail.transport.Transport`."""

    def __init__(self, options: SmtpOptions) -> None:
        """Take where the relay is; nothing is opened yet."""
        self._options = options
        self._tls_context: ssl.SSLContext | None = None

    @property
    def name(self) -> str:
        """What ledgers and reports call it."""
        return self._options.name or self._options.host

    async def open(self) -> SmtpConversation:
        """Connect, secure the line and sign in; raise TransportFault with the answer that stood in the way."""
        options, timeouts = self._options, self._options.timeouts
        if options.tls is not Tls.NONE and self._tls_context is None:
            with self._reporting(Phase.TLS):
                self._tls_context = await asyncio.to_thread(ssl.create_default_context, cafile=options.cafile)
        smtp = aiosmtplib.SMTP(
            hostname=options.host,
            port=options.port,
            use_tls=options.tls is Tls.IMPLICIT,
            start_tls=False,
            tls_context=self._tls_context,
            timeout=timeouts.greeting,
            local_hostname="localhost",
        )
        try:
            await self._connect(smtp)
            await self._greet(smtp)
            if options.tls is Tls.REQUIRED:
                await self._secure(smtp)
            if options.username is not None:
                await self._sign_in(smtp, options.username)
            return self._take_over(smtp)
        except BaseException:
            smtp.close()
            raise

    async def _connect(self, smtp: aiosmtplib.SMTP) -> None:
        """Connect and read the greeting. aiosmtplib has one patience for both; a greeting may take far longer."""
        connecting = asyncio.ensure_future(smtp.connect())
        try:
            await asyncio.wait({connecting}, timeout=self._options.timeouts.connect)
            if not connecting.done() and smtp.transport is None:
                raise self._fault(Answer(Phase.CONNECT, None, TIMEOUT))
            with self._reporting(Phase.CONNECT):
                await connecting
        finally:
            if not connecting.done():
                connecting.cancel()
                await asyncio.wait({connecting})

    async def _greet(self, smtp: aiosmtplib.SMTP) -> None:
        """Say EHLO, or HELO to a server that knows no other (RFC 5321 s. 3.2)."""
        patience = self._options.timeouts.ehlo
        with self._reporting(Phase.EHLO):
            name = self._options.hello or _our_name(smtp)
            try:
                await smtp.ehlo(hostname=name, timeout=patience)
            except aiosmtplib.SMTPHeloError as refusal:
                if refusal.code not in {500, 502} or not smtp.is_connected:
                    raise
                await smtp.helo(hostname=name, timeout=patience)

    async def _secure(self, smtp: aiosmtplib.SMTP) -> None:
        """Turn TLS on, and greet anew, because nothing said in the clear counts (RFC 3207 s. 4.2)."""
        if not smtp.supports_extension("starttls"):
            raise self._fault(Answer(Phase.TLS, None, f"{UNSUPPORTED}: STARTTLS is not offered"))
        with self._reporting(Phase.TLS):
            await smtp.starttls(timeout=self._options.timeouts.tls)
        await self._greet(smtp)

    async def _sign_in(self, smtp: aiosmtplib.SMTP, username: str) -> None:
        """Sign in the simplest way that is offered; try another one only where it was not the password that failed."""
        ways = {"plain": smtp.auth_plain, "login": smtp.auth_login, "cram-md5": smtp.auth_crammd5}
        order = ["cram-md5", "plain", "login"] if self._options.tls is Tls.NONE else list(ways)
        offered = [way for way in order if way in smtp.server_auth_methods]
        if not offered:
            raise self._fault(Answer(Phase.AUTH, None, f"{UNSUPPORTED}: no way to sign in is offered that we know"))
        with self._reporting(Phase.AUTH):
            for way in offered:
                try:
                    await ways[way](username, self._options.password or "", timeout=self._options.timeouts.auth)
                except aiosmtplib.SMTPAuthenticationError as refusal:
                    if refusal.code == _WRONG_CREDENTIALS or way == offered[-1] or not smtp.is_connected:
                        raise
                else:
                    return

    def _take_over(self, smtp: aiosmtplib.SMTP) -> SmtpConversation:
        """Put our protocol in aiosmtplib's place, with the bytes it may still hold."""
        extensions = Extensions.offered(smtp.esmtp_extensions)
        transport, protocol = smtp.transport, smtp.protocol
        if protocol is None or transport is None or transport.is_closing():
            raise self._fault(Answer(Phase.EHLO, None, DROP))
        leftover = bytes(protocol._buffer)  # noqa: SLF001 -- there is no public way; its version is pinned
        talk = SmtpConversation(
            Dialogue(cast(asyncio.Transport, transport), leftover), extensions, self._options.timeouts
        )
        secured = transport.get_extra_info("ssl_object")
        talk.welcome = extensions.welcome(
            tls=secured and secured.version(),
            cipher=secured and secured.cipher()[0],
            auth=tuple(sorted(smtp.server_auth_methods)),
            signed_in=self._options.username is not None,
        )
        return talk

    @contextmanager
    def _reporting(self, phase: Phase) -> Iterator[None]:
        """Turn what aiosmtplib, ssl and the system raise into one fault that names the phase."""
        try:
            yield
        except aiosmtplib.SMTPResponseException as error:
            phase = Phase.GREETING if phase is Phase.CONNECT else phase
            raise self._fault(_answer_of(phase, error)) from error
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise self._fault(Answer(_phase_of(phase, error), None, _fault_of(error))) from error

    def _fault(self, answer: Answer) -> TransportFault:
        where = f"{self.name} ({self._options.host}:{self._options.port})"
        said = answer.reply if answer.reply is not None else answer.fault
        msg = f"The relay {where} cannot be used, it failed at {answer.phase}: {said}."
        return TransportFault(msg, answer=answer, remedy=_REMEDIES.get(answer.phase, ""))


_REMEDIES: Final = {
    Phase.CONNECT: "Check host and port of the relay, and that this machine may connect to them.",
    Phase.GREETING: "The relay is there but takes no mail from here now; look at its log.",
    Phase.TLS: "Check the relay's host name and certificate (or cafile=), and whether tls is implicit or required.",
    Phase.AUTH: "Check user and password of the relay; write special characters as %40, %3A, %2F.",
}


def _our_name(smtp: aiosmtplib.SMTP) -> str:
    """Return this machine's full name, or its address where it has none (RFC 5321 s. 4.1.4); asks no DNS."""
    name = socket.gethostname()
    if "." in name.strip(".") and _fits_hello(name):
        return name
    address: str = smtp.get_transport_info("sockname")[0]
    return f"[IPv6:{address.partition('%')[0]}]" if ":" in address else f"[{address}]"


def _answer_of(phase: Phase, error: aiosmtplib.SMTPResponseException) -> Answer:
    """Give the reply that aiosmtplib read, or a fault for one that it could not read."""
    if not 200 <= error.code < 600:  # noqa: PLR2004 -- RFC 5321 s. 4.2
        return Answer(phase, None, GARBLED)
    return Answer(phase, Reply.parse(error.code, error.message.split("\n")))


def _phase_of(phase: Phase, error: Exception) -> Phase:
    """Tell connecting, TLS and the greeting apart, which aiosmtplib does in one go."""
    if phase is not Phase.CONNECT:
        return phase
    if isinstance(error.__cause__, (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError)):
        return Phase.GREETING
    return Phase.TLS if isinstance(error.__cause__, (ssl.SSLError, ConnectionAbortedError)) else phase


def _fault_of(error: Exception) -> str:
    """Name the fault in the words of `dialogue`, with the system's own words where they help."""
    cause = error.__cause__ or error
    if isinstance(error, TimeoutError):
        return TIMEOUT
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"certificate: {cause.verify_message}"
    if isinstance(error, aiosmtplib.SMTPServerDisconnected) or isinstance(cause, aiosmtplib.SMTPServerDisconnected):
        return DROP
    return f"{type(cause).__name__}: {getattr(cause, 'strerror', None) or cause}"
