"""Mailboxes worth a second look before an import: of a role, on a reserved domain, or thrown away after a day.

None of them is refused: a small association may well read its letters at info@. It never looks anything up.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from campaign.domain.addresses import Address


class Oddity(StrEnum):
    """Why a mailbox is worth a second look."""

    ROLE = "role"
    RESERVED = "reserved"
    DISPOSABLE = "disposable"


# fmt: off
_ROLES: Final = frozenset(
    {
        "abuse", "admin", "billing", "bounce", "bounces", "contact", "hostmaster", "hr", "info", "jobs", "legal",
        "mailer-daemon", "marketing", "news", "no-reply", "noc", "noreply", "office", "postmaster", "press",
        "privacy", "root", "sales", "security", "support", "sysadmin", "usenet", "webmaster", "www",
    }
)
"""Names of RFC 2142, and what offices use beside them."""

_RESERVED: Final = frozenset(
    {
        "example", "invalid", "localhost", "test", "local", "internal", "onion",
    }
)
"""Top-level domains of RFC 2606, RFC 6761, RFC 6762 and RFC 7686 that no mail reaches."""

_EXAMPLES: Final = frozenset({"example.com", "example.net", "example.org"})

_DISPOSABLE: Final = frozenset(
    {
        "10minutemail.com", "dispostable.com", "fakeinbox.com", "getnada.com", "guerrillamail.com",
        "guerrillamail.info", "grr.la", "mailcatch.com", "maildrop.cc", "mailinator.com", "mailnesia.com",
        "mintemail.com", "mohmal.com", "sharklasers.com", "spamgourmet.com", "temp-mail.org", "tempail.com",
        "tempmail.com", "throwawaymail.com", "trashmail.com", "trashmail.de", "yopmail.com", "yopmail.fr",
    }
)
"""The best-known services of mailboxes for a day; there are thousands, and no list of them is ever whole."""
# fmt: on


def oddity(address: Address) -> Oddity | None:
    """Return why a mailbox is worth a second look, or None."""
    domain = address.domain
    if domain.rpartition(".")[2] in _RESERVED or ".".join(domain.split(".")[-2:]) in _EXAMPLES:
        return Oddity.RESERVED
    if domain in _DISPOSABLE:
        return Oddity.DISPOSABLE
    return Oddity.ROLE if address.local.casefold() in _ROLES else None
