"""How text is written into mail: quoted-printable, encoded words and folded lines. It never decides what is written.

Everything returned is ASCII (but for the local parts of SMTPUTF8 addresses), ends lines with CRLF, and has no line of
more than 76 characters unless one word, link or address is longer by itself (RFC 5322 s. 2.1.1 allows 998).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from typing import Final

from campaign.domain.addresses import Address
from campaign.domain.message import LetterRefused

WIDTH: Final = 76
_WORD_FRAME: Final = len("=?utf-8?b??=")
_PLAIN_TEXT: Final = re.compile(r"[ -~]*")
_PLAIN_VALUE: Final = re.compile(r"(?![. ])[A-Za-z0-9,;:!?'()/@&<>+_. -]{1,70}+(?<![. ])")
_PLAIN_LINK: Final = re.compile(r"https?://[A-Za-z0-9,;:!?'()/@&<>+_.-]{1,500}")
"""A link of nothing but characters that stand for themselves: the most frequent value, so it has a short way."""
_LINK_PIECE: Final = 72
_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_SHORT_PHRASE: Final = 60
_ONE_LINE: Final = WIDTH - len(":  <>")
"""So many characters of a header's name, a display name and an address need no folding."""
_TOO_LONG: Final = re.compile(rb"^(?:[^\n]{77,}$|[^\n]{76}\Z)", re.MULTILINE)
_TEMPTING: Final = re.compile(rb"^(?:\.|From )", re.MULTILINE)
_WITHIN_LINE: Final = rb"[\x0e-\xff\0-\t\x0b\x0c]"
"""Any byte but CR and LF. What is frequent stands first, because that is how they are looked up."""
_FIELD: Final = re.compile(rb"[A-Za-z][A-Za-z-]*+: %b++\r\n(?:[ \t][^\r\n]*[^\r\n \t][^\r\n]*\r\n)*" % _WITHIN_LINE)


def quoted_printable(text: str) -> bytes:
    r"""Encode `text` (lines ended by \n) so that each piece can follow a line break (RFC 2045 s. 6.7).

    No line starts with a dot or with `From `, so that a careless relay cannot harm it.
    """
    if _PLAIN_VALUE.fullmatch(text) and not text.startswith("From "):
        return text.encode("ascii")
    if _PLAIN_LINK.fullmatch(text):
        written = "=\r\n".join([text[at : at + _LINK_PIECE] for at in range(0, len(text), _LINK_PIECE)])
        if "\n." not in written:
            return written.encode("ascii")
    encoded = binascii.b2a_qp(text.encode(), istext=True).replace(b"\r\n", b"\n")
    encoded = _TOO_LONG.sub(_broken, encoded)
    while _TEMPTING.search(encoded):
        encoded = _TEMPTING.sub(lambda found: b"=%02X=\n" % found[0][0] + found[0][1:], encoded)
    return encoded.replace(b"\n", b"\r\n")


def _broken(line: re.Match[bytes]) -> bytes:
    """Break a line of 77 or 78 characters, as `b2a_qp` makes them now and then, but not within an escape.

    The last line gets room for the soft break that may follow it.
    """
    cut = WIDTH - 4
    cut -= 2 if line[0][cut - 2 : cut - 1] == b"=" else 1 if line[0][cut - 1 : cut] == b"=" else 0
    return line[0][:cut] + b"=\n" + line[0][cut:]


def unstructured(name: str, text: str) -> bytes:
    """Return the whole header field `name` with free text, as it is or as encoded words (RFC 2047)."""
    if _PLAIN_TEXT.fullmatch(text) and "=?" not in text:
        words = text.split(" ")
        if max(map(len, words)) < WIDTH - len(name) - 2:
            return folded(name, words)
    return folded(name, encoded_words(text, len(name) + 2))


def mailbox(name: str, display: str, address: Address) -> bytes:
    """Return the header field `name` with one mailbox: a display name, if any, and an address (RFC 5322 s. 3.4)."""
    if not display:
        return folded(name, [address.wire])
    wire = address.wire
    if len(name) + len(display) + len(wire) <= _ONE_LINE and _is_plain(display):  # nearly all of them
        return f"{name}: {display} <{wire}>\r\n".encode()
    return folded(name, [*phrase(display, len(name) + 2), f"<{address.wire}>"])


def _is_plain(display: str) -> bool:
    """Whether a display name can stand as it is. An encoded word is made of atoms, but readers would decode it."""
    return _ATOMS.fullmatch(display) is not None and "=?" not in display


def phrase(display: str, column: int) -> list[str]:
    """Return a display name as atoms, one quoted string, or encoded words, ready to be folded between them."""
    if len(display) <= _SHORT_PHRASE and _PLAIN_TEXT.fullmatch(display) and "=?" not in display:
        if _ATOMS.fullmatch(display):
            return [display]
        quoted = display.replace("\\", "\\\\").replace('"', '\\"')
        return [f'"{quoted}"']
    return list(encoded_words(display, column))


def encoded_words(text: str, column: int) -> Iterator[str]:
    """Cut `text` into encoded words of whole characters; the first leaves room for `column` characters before it."""
    room = max((WIDTH - column - _WORD_FRAME) // 4 * 3, 6)
    if len(whole := text.encode()) <= room:  # most names
        yield _word(whole)
        return
    piece = b""
    for character in text:
        octets = character.encode()
        if len(piece) + len(octets) > room:
            yield _word(piece)
            piece, room = b"", 45
        piece += octets
    yield _word(piece)


def _word(octets: bytes) -> str:
    return f"=?utf-8?b?{base64.b64encode(octets).decode()}?="


def folded(name: str, words: Iterable[str]) -> bytes:
    """Return the header field `name` with `words` between single spaces, broken before a word that would go too far."""
    lines, line = [], f"{name}:"
    for word in words:
        if len(line) + 1 + len(word) > WIDTH and not line.endswith(":"):
            lines.append(line)
            line = ""
        line = f"{line} {word}"
    return ("\r\n".join([*lines, line]) + "\r\n").encode()


def one_field(field: bytes) -> bytes:
    """Return `field` if it is exactly one header field, whatever went into it; raise LetterRefused otherwise."""
    if not _FIELD.fullmatch(field):
        raise LetterRefused(
            f"A header would not have been one field: {field[:60]!r}.", remedy="Mend the name or address."
        )
    return field
