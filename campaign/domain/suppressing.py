"""Whom a line of somebody's suppression file means, and why: other systems' words read as ours. It never stores it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from campaign.domain.addresses import Address, AddressRefused, parse_address, printable
from campaign.domain.consent import Reason
from campaign.domain.errors import BadInput
from campaign.domain.rows import ColumnsRefused, find_columns

_WORDS: Final = (
    (Reason.COMPLAINED, ("complain", "spam", "abuse", "feedback", "junk")),
    (Reason.ERASED, ("erase", "gdpr", "forgotten", "deleted", "removed permanently")),
    (Reason.BOUNCED, ("bounce", "hard", "cleaned", "invalid", "undeliver", "permanent", "nonexist", "unknown user")),
    (Reason.LEFT, ("unsub", "opt-out", "optout", "opted out", "opt out", "left", "baja", "abgemeldet", "désinscri")),
    (Reason.BLOCKED, ("block", "manual", "blacklist", "denylist", "banned", "admin")),
)
"""Parts of words in exports of other systems, the gravest reason first."""

_REASONS: Final = ("reason", "status", "type", "event", "state", "motivo", "grund")
"""Parts of the names of columns that say why, the most telling first."""
_NO_LETTER: Final = re.compile(r"[^a-z]+")


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be suppressed: one mailbox, or (without one) every mailbox of exactly this domain."""

    domain: str
    mailbox: Address | None = None

    def __str__(self) -> str:
        return str(self.mailbox) if self.mailbox else f"@{self.domain}"


def parse_target(text: str) -> Target:
    """Read `name@example.org`, or `@example.org` for a whole domain (without its subdomains)."""
    words = text.strip()
    if words.startswith("@"):
        try:
            return Target(parse_address(f"postmaster{words}").domain)
        except AddressRefused as error:
            msg = f"{printable(words)} is not a domain."
            raise BadInput(msg, remedy="Write @example.org for every address of a domain.") from error
    address = parse_address(words)
    return Target(address.domain, address)


def reason_of(text: str) -> Reason | None:
    """Read what another system says about an address; None where it says nothing that we know."""
    words = text.casefold()
    return next((reason for reason, parts in _WORDS if any(part in words for part in parts)), None)


class Layout:
    """Where a suppression file keeps addresses and reasons; a file may also be nothing but addresses."""

    def __init__(self, header: Sequence[str]) -> None:
        """Recognise the columns; raise ColumnsRefused where neither a name nor the first line is an address."""
        self.titled: Final = not any(_is_target(cell) for cell in header)
        self._place = 0
        self._reasons: list[int] = []
        if not self.titled:
            self._place = next(at for at, cell in enumerate(header) if _is_target(cell))
            return
        plain = [_NO_LETTER.sub("", cell.casefold()) for cell in header]
        found = [at for at, name in enumerate(plain) if name in {"recipient", "emailaddresses", "subscriber", "domain"}]
        self._place = found[0] if found else find_columns(header).place
        self._reasons = [at for name in _REASONS for at, cell in enumerate(plain) if name in cell]

    def read(self, cells: Sequence[str], default: Reason) -> tuple[Target, Reason]:
        """Return whom a row means, and why; raise BadInput saying what is wrong with it."""
        text = cells[self._place] if self._place < len(cells) else ""
        if not text.strip():
            raise BadInput("There is no address.", remedy="Write one, or take the line out.")
        said = (reason_of(cells[at]) for at in self._reasons if at < len(cells))
        return parse_target(text), next((reason for reason in said if reason), default)


def _is_target(text: str) -> bool:
    try:
        parse_target(text)
    except (BadInput, ColumnsRefused):
        return False
    return True
