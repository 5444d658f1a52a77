"""What may go onto the wire at all, checked before its first byte. It never mends anything: it lets pass or refuses."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from campaign.domain.replies import Answer, Phase, Reply
from campaign.mail.transport import Envelope

LINE_LIMIT: Final = 998
"""Bytes of one line of a letter, without its CRLF (RFC 5322 s. 2.1.1)."""
_UNFIT_IN_PATH: Final = re.compile(r"[\x00-\x20\x7f-\xa0<>\u2028\u2029\ud800-\udfff]")


class Vetted(bytes):
    """A letter whose pieces each passed `fits_anywhere`: it is ASCII, and nothing in it is unfit for the wire."""


_FIT_LINE: Final = rb"(?!\.)[\x0e-\x7f\x01-\x09\x0b\x0c]{0,%d}+" % (LINE_LIMIT // 3)
"""All of ASCII but NUL, CR and LF. What is frequent stands first, because that is how they are looked up."""
_FIT: Final = re.compile(rb"(?:%b\r\n)*+%b" % (_FIT_LINE, _FIT_LINE))


def fits_anywhere(piece: bytes) -> bool:
    """Whether a piece of a letter has no fault, and makes none beside any other such piece.

    It is ASCII without a lone CR, LF or NUL, not even at its ends, without a line that begins with a dot, and without
    one so long that three of that length would be too long together.
    """
    return _FIT.fullmatch(piece) is not None


def is_plain(body: bytes) -> bool:
    """Whether a letter is all ASCII (RFC 6152 s. 2 asks for more where it is not)."""
    return isinstance(body, Vetted) or body.isascii()


def misfit(envelope: Envelope, body: bytes) -> Answer | None:
    """Return the answer for a letter that must not be sent to any server, None for one that may be.

    It reads like a server's refusal, so that it is judged like one: a sender stops the lane, an address its person's
    letter, a body that letter.
    """
    if envelope.sender and not _fits_path_as_sender(envelope.sender):
        return Answer(Phase.MAIL, Reply(553, "5.1.7", "The sender's address cannot be written into MAIL."))
    if not _fits_path(envelope.recipient.wire):
        return Answer(Phase.RCPT, Reply(553, "5.1.3", "The address cannot be written into RCPT."))
    fault = None if isinstance(body, Vetted) else _fault_in(body)
    return Answer(Phase.BODY, Reply(554, "5.6.0", fault)) if fault else None


def _fits_path(address: str) -> bool:
    """Whether an address can stand between angle brackets as it is: nothing that ends it early, an ASCII domain."""
    local, at, domain = address.rpartition("@")
    return bool(local and at and domain) and domain.isascii() and not _UNFIT_IN_PATH.search(address)


@lru_cache
def _fits_path_as_sender(address: str) -> bool:
    """The same for a sender; there are few of them."""
    return _fits_path(address)


def _fault_in(body: bytes) -> str | None:
    """Say why a body cannot be sent: a bare CR or LF smuggles letters, and long lines get cut (RFC 5321 s. 2.3.8)."""
    if not body.endswith(b"\r\n"):
        return "The letter does not end with CRLF."
    ends = body.count(b"\r\n")
    if body.count(b"\n") != ends or body.count(b"\r") != ends:
        return "The letter has a CR or LF that stands alone."
    if b"\0" in body:
        return "The letter has a NUL byte."
    return _long_line_in(body)


def _long_line_in(body: bytes) -> str | None:
    """Say where a line is too long; looks at one line end in each thousand bytes, because every letter passes here."""
    start = 0
    while start < len(body):
        end = body.rfind(b"\n", start, start + LINE_LIMIT + 2)
        if end < 0:
            number, length = body.count(b"\n", 0, start) + 1, body.index(b"\r", start) - start
            return f"Line {number} of the letter has {length} bytes, {LINE_LIMIT} are allowed."
        start = end + 1
    return None
