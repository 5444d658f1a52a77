"""What a mailbox address is: how it goes on the wire and when two of them are one mailbox. It never asks the DNS."""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Final

from campaign.domain.errors import BadInput

CANONICAL_VERSION: Final = 1
"""The rule by which `Address.canonical` is made; stored beside every key so that a later rule can tell them apart."""

_MAX_TEXT: Final = 320
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_DOMAIN: Final = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}")
_DOUBLE_HYPHEN: Final = re.compile(r"(?:^|\.)..--")


class AddressRefused(BadInput):
    """That is not an e-mail address."""

    code = "address_refused"


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox: the local part as its owner wrote it, and the domain as A-labels in lower case (RFC 5891)."""

    local: str
    domain: str

    @property
    def wire(self) -> str:
        """The form that RCPT carries, byte for byte."""
        return f"{self.local}@{self.domain}"

    @property
    def canonical(self) -> str:
        """The form that decides whether two addresses are one mailbox: NFC, lower case, no folding of dots or plus."""
        return f"{unicodedata.normalize('NFC', self.local).lower()}@{self.domain}"

    @property
    def needs_smtputf8(self) -> bool:
        """Whether the local part can only travel over a relay that offers SMTPUTF8 (RFC 6531)."""
        return not self.local.isascii()

    def __str__(self) -> str:
        """Give the wire form."""
        return self.wire


def parse_address(text: str) -> Address:
    """Read one bare address; raise AddressRefused with the reason in plain words.

    Plain ASCII addresses, nearly all of them, take a short way that a property test holds equal to the full validator.
    """
    text = text.strip()
    return _plain(text) or _full(text)


def _plain(text: str) -> Address | None:
    """The short way, or None where the full validator must decide."""
    local, at, domain = text.rpartition("@")
    if not at or len(local) > 64 or len(text) > 254 or not _LOCAL.fullmatch(local):  # noqa: PLR2004 -- RFC 5321 s. 4.5.3.1
        return None
    known = _plain_domain(domain)
    return Address(local, known) if known else None


@functools.lru_cache(maxsize=10_000)
def _plain_domain(text: str) -> str | None:
    """A domain of plain ASCII in lower case, or None. Remembered, because a list of people has few domains."""
    if not _DOMAIN.fullmatch(text):
        return None
    domain = text.lower()
    labels = domain.split(".")
    if any(len(label) > 63 for label in labels) or _DOUBLE_HYPHEN.search(domain):  # noqa: PLR2004 -- RFC 1035 s. 2.3.4
        return None
    return None if labels[-1] in _special() or domain in _special() else domain


@cache
def _special() -> frozenset[str]:
    from email_validator import SPECIAL_USE_DOMAIN_NAMES  # noqa: PLC0415 -- most commands read no new address

    return frozenset(SPECIAL_USE_DOMAIN_NAMES)


def _full(text: str) -> Address:
    """The long way: email-validator with IDNA 2008, without asking the DNS."""
    if len(text) > _MAX_TEXT:
        msg = f"An address of {len(text)} characters is too long."
        raise AddressRefused(msg, remedy="Addresses have 254 characters at most.")
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 -- it is slow to load

    try:
        valid = validate_email(text, check_deliverability=False)
    except (EmailNotValidError, ValueError) as error:
        msg = f"{printable(text)} is not an e-mail address: {error}"
        raise AddressRefused(msg, remedy="Write it like name@example.org.") from error
    return Address(text.rpartition("@")[0], (valid.ascii_domain or valid.domain).lower())


def printable(text: str, *, limit: int = 80) -> str:
    """Show hostile text safely in a message: control and bidirectional characters escaped, and shortened."""
    shown = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[:limit])
    return f"'{shown}{'…' if len(text) > limit else ''}'"


def mask(text: str) -> str:
    """Show an address without naming anybody: `r…@example.org`."""
    local, at, domain = text.rpartition("@")
    return f"{local[:1]}…{at}{domain}" if at else "…"
