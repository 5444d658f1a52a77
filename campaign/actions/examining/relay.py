"""Looks at one relay: connects, greets, secures the line and signs in, and reads what is offered. It never sends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from campaign.domain.findings import Finding, Subject
from campaign.domain.replies import Phase
from campaign.logs import masked
from campaign.mail.smtp import SmtpOptions, SmtpTransport, Tls
from campaign.mail.terms import Extensions, PhaseTimeouts, Security
from campaign.mail.transport import TransportFault
from campaign.outside.dns import machine_addresses
from campaign.settings import HostPort
from campaign.settings.values import is_loopback

PATIENCE: Final = 10.0
"""Seconds for one relay, from its name to QUIT."""
_PHASE: Final = 8.0
_NAME: Final = 4.0
_LETTER: Final = 100_000
"""Bytes: a letter with six articles, as text and HTML in quoted-printable, has about half of it."""
_SOON: Final = timedelta(days=14)
_OLD_TLS: Final = frozenset(("SSLv3", "TLSv1", "TLSv1.1"))

_EVERY: Final = PhaseTimeouts(
    connect=_PHASE, greeting=_PHASE, ehlo=_PHASE, tls=_PHASE, auth=_PHASE, mail=_PHASE, rcpt=_PHASE, data=_PHASE, quit=1
)


@dataclass(frozen=True, slots=True)
class Way:
    """Where a relay is, and where that is written: CAMPAIGN_SMTP_URL, or a line of `config/relays.toml`."""

    options: SmtpOptions
    where: str = "CAMPAIGN_SMTP_URL"

    @property
    def subject(self) -> Subject:
        """What findings about it are called."""
        return Subject(f"relay {self.options.name}")

    def written(self, **changed: Any) -> str:
        """Write the line for it, with something changed, and without its secret."""
        options = replace(self.options, **changed)
        who = "user:password@" if options.username else ""
        return f'{self.where}="smtp://{who}{_at(options)}?tls={options.tls}"'


async def examine(way: Way, now: datetime) -> list[Finding]:
    """Go as far with one relay as it lets us, and say what is wrong with it or with our settings for it."""
    subject, at = way.subject, _at(way.options)
    findings = _of_settings(way)
    try:
        async with asyncio.timeout(PATIENCE):
            return findings + await _look(way, now)
    except TransportFault as fault:
        return [*findings, subject.error(masked(fault.message), _mend(fault, way))]
    except TimeoutError:
        found = f"{at} did not let us in within {PATIENCE:g} s."
        return [*findings, subject.error(found, f"See what it says: openssl s_client -connect {at}")]


async def _look(way: Way, now: datetime) -> list[Finding]:
    """Look its name up first: the system's own lookup cannot be interrupted, so it runs where nobody waits for it."""
    options = way.options
    if not is_loopback(options.host):
        lookup = await machine_addresses(options.host, options.port, patience=_NAME)
        if not lookup.values:
            found = f"The host {options.host} has no address: {lookup.trouble}."
            return [way.subject.error(found, f"Mend the host in {way.written()}, or the DNS of this machine.")]
    return await _meet(way.subject, options, now)


def _mend(fault: TransportFault, way: Way) -> str:
    """Propose the line that mends what stood in the way, where our settings may be what is wrong."""
    match fault.answer.phase:
        case Phase.TLS if "certificate" in (fault.answer.fault or ""):
            return f"Write a host that stands in its certificate, or have that renewed: {way.written()}"
        case Phase.TLS if way.options.tls is Tls.IMPLICIT:
            return f"If it begins in the open: {way.written(tls=Tls.REQUIRED, port=587)}"
        case Phase.TLS:
            return f"If it speaks TLS from the start: {way.written(tls=Tls.IMPLICIT, port=465)}"
        case Phase.AUTH:
            return f"Write user and password anew, with %40 for @, %3A for :, %2F for /: {way.written()}"
        case Phase.CONNECT:
            return f"Is that the host and the port, and may this machine connect? {way.written()}"
    return fault.remedy or "Ask whoever runs the relay, or look at its log."


def _at(options: SmtpOptions) -> str:
    return str(HostPort(options.host, options.port))


def _of_settings(way: Way) -> list[Finding]:
    options = way.options
    if options.tls is not Tls.NONE or is_loopback(options.host):
        return []
    found = f"tls=none to {options.host}: letters and the password travel in the open."
    return [way.subject.warning(found, f"Write: {way.written(tls=Tls.REQUIRED, port=587)}")]


async def _meet(subject: Subject, options: SmtpOptions, now: datetime) -> list[Finding]:
    met = await SmtpTransport(replace(options, timeouts=_EVERY)).open()
    try:
        offers, security, auth = met.offers, met.security, met.welcome.auth
    finally:
        await met.close()
    way = "lets us sign in" if options.username else "lets us in without a password"
    findings = [subject.ok(f"{_at(options)} {way}, {_line(security)}; it {_words(offers)}.")]
    findings += [] if security is None else _of_certificate(subject, security, now)
    findings += _of_offers(subject, offers)
    if auth and not options.username:
        mend = "If it refuses letters, write user and password into its URL: smtp://user:password@…"
        findings.append(subject.note("It offers signing in, and no user is set.", mend))
    return findings


def _line(security: Security | None) -> str:
    if security is None:
        return "in the open"
    until = f" with a certificate until {security.ends:%Y-%m-%d}" if security.ends else ""
    return f"{security.version}{until}"


def _words(offers: Extensions) -> str:
    """Name what is offered and what is not, of what matters to us."""
    known = {
        "PIPELINING": offers.pipelining,
        "SIZE": offers.size,
        "8BITMIME": offers.eight_bit,
        "SMTPUTF8": offers.smtputf8,
    }
    there = " ".join(name for name, is_there in known.items() if is_there) or "nothing of what we use"
    missing = " ".join(name for name, is_there in known.items() if not is_there)
    return f"offers {there}" + (f", not {missing}" if missing else "")


def _of_certificate(subject: Subject, security: Security, now: datetime) -> list[Finding]:
    findings = []
    if security.version in _OLD_TLS:
        findings.append(
            subject.warning(f"It speaks {security.version}, which is broken.", "Have the relay speak TLS 1.2.")
        )
    if security.ends is not None and security.ends - now < _SOON:
        found = f"Its certificate ends on {security.ends:%Y-%m-%d %H:%M} UTC; after that nothing is sent."
        findings.append(subject.warning(found, "Have the relay's certificate renewed."))
    return findings


def _of_offers(subject: Subject, offers: Extensions) -> list[Finding]:
    findings = []
    if offers.size_limit is not None and offers.size_limit < _LETTER:
        found = (
            f"It takes letters of {offers.size_limit:,} bytes at most; one with a few articles can have {_LETTER:,}."
        )
        findings.append(subject.error(found, "Have the relay's limit raised (Postfix: message_size_limit)."))
    if not offers.pipelining:
        findings.append(subject.note("Without PIPELINING each letter takes three more round trips: sending is slower."))
    if not offers.smtputf8:
        findings.append(subject.note("Without SMTPUTF8 it takes no letters to mailboxes with letters beyond ASCII."))
    return findings
