"""The terms of a conversation: what the server offers, how long we wait for it, and the commands that follow from that.

It never talks.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from campaign.domain.replies import Answer, Phase, Reply
from campaign.mail.admission import is_plain
from campaign.mail.transport import Envelope, Welcome

DATA: Final = b"DATA\r\n"


class Proposal(NamedTuple):
    """A letter, and the commands by which it is proposed before DATA."""

    envelope: Envelope
    body: bytes
    mail: bytes
    rcpt: bytes

    @property
    def group(self) -> bytes:
        """All commands at once (RFC 2920)."""
        return self.mail + self.rcpt + DATA


@dataclass(frozen=True, slots=True)
class PhaseTimeouts:
    """Seconds to wait in each phase (RFC 5321 s. 4.5.3.2); `body` is for each block, `quit` also for the closing."""

    connect: float = 30
    greeting: float = 300
    ehlo: float = 300
    tls: float = 60
    auth: float = 120
    mail: float = 300
    rcpt: float = 300
    data: float = 120
    body: float = 180
    dot: float = 600
    quit: float = 5

    def of(self, phase: Phase) -> float:
        """Return the seconds for one phase."""
        seconds: float = getattr(self, phase.value)
        return seconds


@dataclass(frozen=True, slots=True)
class Security:
    """How a line is secured, its certificate found good: the version of TLS, and until when it is good."""

    version: str
    ends: datetime | None

    @classmethod
    def of(cls, tls: ssl.SSLObject) -> Security:
        """Read what was agreed on."""
        ends = (tls.getpeercert() or {}).get("notAfter")
        until = datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) if isinstance(ends, str) else None
        return cls(tls.version() or "TLS", until)


@dataclass(frozen=True, slots=True)
class Extensions:
    """What the server says it can do (RFC 5321 s. 2.2), as far as a transaction depends on it."""

    pipelining: bool = False
    smtputf8: bool = False
    eight_bit: bool = False
    size: bool = False
    size_limit: int | None = None

    @classmethod
    def offered(cls, keywords: Mapping[str, str]) -> Extensions:
        """Read the keywords of an EHLO reply (in lower case); a limit that is no number or 0 is no limit (RFC 1870)."""
        limit = keywords.get("size", "").strip()
        known = limit.isascii() and limit.isdigit() and len(limit) < 20  # noqa: PLR2004 -- RFC 1870 s. 4: 20 digits
        return cls(
            pipelining="pipelining" in keywords,
            smtputf8="smtputf8" in keywords,
            eight_bit="8bitmime" in keywords,
            size="size" in keywords,
            size_limit=(int(limit) or None) if known else None,
        )

    def welcome(self, **more: Any) -> Welcome:
        """Return what the server offered, with `more` that was learned on the way in."""
        plain = {"tls": None, "cipher": None, "auth": (), "signed_in": False}
        offered = {"size_limit": self.size_limit, "pipelining": self.pipelining, "smtputf8": self.smtputf8}
        return Welcome(**{**plain, **offered, **more})

    def refusal(self, envelope: Envelope, body: bytes) -> Answer | None:
        """Answer for the server where it has already said that it cannot do this."""
        if self.size_limit is not None and len(body) > self.size_limit:
            words = f"The letter has {len(body)} bytes, the relay takes {self.size_limit}."
            return Answer(Phase.MAIL, Reply(552, "5.3.4", words))
        if not self.smtputf8 and not (envelope.recipient.wire + envelope.sender).isascii():
            return Answer(
                Phase.RCPT, Reply(553, "5.6.7", "The address needs SMTPUTF8, which the relay does not offer.")
            )
        if not self.eight_bit and not is_plain(body):
            return Answer(Phase.MAIL, Reply(554, "5.6.3", "The letter has 8-bit text, which the relay does not take."))
        return None

    def proposal(self, envelope: Envelope, body: bytes) -> Proposal:
        """Return the commands by which a letter is proposed to this server."""
        recipient = envelope.recipient.wire.encode()
        mail = b"MAIL FROM:<%s>" % envelope.sender.encode()
        mail += b" SIZE=%d" % len(body) if self.size else b""
        mail += b"" if is_plain(body) else b" BODY=8BITMIME"
        mail += b"" if recipient.isascii() and envelope.sender.isascii() else b" SMTPUTF8"
        return Proposal(envelope, body, mail + b"\r\n", b"RCPT TO:<%s>\r\n" % recipient)
