"""Reads finished letters back, as a mail program would, and compares them with what was meant. It never mends them."""

from __future__ import annotations

import email.policy
import re
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Final

from campaign.domain.message import LetterRefused

_LONGEST_LINE: Final = 998
_POLICY: Final = email.policy.default.clone(utf8=True)
_BARE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a mail program sees: the names of the header fields in order, the subject, and both parts."""

    names: tuple[str, ...]
    subject: str
    text: str
    html: str


def read_letter(letter: bytes) -> Reading:
    """Return what a mail program makes of the bytes of a letter."""
    message = email.message_from_bytes(letter, EmailMessage, policy=_POLICY)
    return Reading(tuple(message.keys()), str(message["Subject"]), _part(message, "plain"), _part(message, "html"))


def check_letter(letter: bytes, meant: Reading) -> None:
    """Raise LetterRefused unless the letter reads as meant and is fit for SMTP (RFC 5321 s. 2.3.8, 4.5.3.1.6)."""
    if _BARE.search(letter):
        raise LetterRefused("The finished letter contains a bare line end.")
    if max(map(len, letter.split(b"\r\n"))) > _LONGEST_LINE:
        raise LetterRefused(f"The finished letter contains a line of more than {_LONGEST_LINE} characters.")
    read = read_letter(letter)
    if read.names != meant.names:
        odd = sorted(set(read.names) ^ set(meant.names)) or ["their order"]
        raise LetterRefused(
            f"The headers are not the ones that were meant: {', '.join(odd)}.", remedy="Look for odd characters."
        )
    for part in ("subject", "text", "html"):
        if getattr(read, part) != getattr(meant, part):
            raise LetterRefused(f"The {part} does not read as it was meant.", remedy="Look for odd characters in it.")


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    if part is None:
        return ""
    payload = part.get_payload(decode=True)
    return payload.decode().replace("\r\n", "\n") if isinstance(payload, bytes) else ""
