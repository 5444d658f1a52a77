"""Builds the MIME message of a rendered letter and cuts it where personal values go. It never knows a person.

multipart/alternative of text/plain and text/html (RFC 2046 s. 5.1.4), UTF-8, quoted-printable, CRLF.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from operator import itemgetter
from typing import Final, NamedTuple

from campaign.domain.headers import clean_header_text
from campaign.domain.message import LetterSpec, SenderIdentity, header_names
from campaign.mail.admission import Vetted, fits_anywhere
from campaign.mail.mime import folded, mailbox, one_field, quoted_printable, unstructured
from campaign.mail.renderer import Rendered

SLOT: Final = re.compile(r"\x02([a-z_]+\.[a-z_]+)\x03")
_NOT_IN_PHRASE: Final = str.maketrans("", "", '"\\<>()')
_LONGEST_LABEL: Final = 60
_SOFT_BREAK: Final = b"=\r\n"
_TEXT_TYPE: Final = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
_HTML_TYPE: Final = b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"


class Place(StrEnum):
    """Where a personal value goes, which decides how it is written."""

    HEADER = "header"
    TEXT = "text"
    HTML = "html"
    ATTRIBUTE = "attribute"


class Hole(NamedTuple):
    """A gap between two segments: where it is, and which field (or whole header) fills it."""

    place: str
    name: str


@dataclass(frozen=True)
class Plan:
    """A letter cut at its holes: there is one segment more than holes. `subject` is set when it has slots itself."""

    segments: tuple[bytes, ...]
    holes: tuple[Hole, ...]
    subject: str

    @cached_property
    def different(self) -> tuple[Hole, ...]:
        """The holes, each once, and whole headers first."""
        return tuple(sorted(dict.fromkeys(self.holes), key=lambda hole: hole.place != Place.HEADER))

    @cached_property
    def headers(self) -> tuple[str, ...]:
        """The names of the whole headers among them."""
        return tuple(name for place, name in self.different if place == Place.HEADER)

    @cached_property
    def fields(self) -> tuple[Hole, ...]:
        """The other ones, within the text and the HTML."""
        return self.different[len(self.headers) :]

    @cached_property
    def fits(self) -> bool:
        """Whether the segments may go onto the wire as they are, so that only values need a look each time.

        Each value ends its line, or what follows it does: so no more than three pieces meet in one.
        """
        ended = all(
            hole.place == Place.HEADER or b"\r\n" in following
            for hole, following in zip(self.holes, self.segments[1:], strict=True)
        )
        return ended and self.segments[-1].endswith(b"\r\n") and all(map(fits_anywhere, self.segments))

    def joined(self, values: Sequence[bytes]) -> bytes:
        """Return the letter with `values`, one for each of the different holes."""
        pieces = list(self._pieces)
        pieces[1::2] = self._placed(values)
        body = b"".join(pieces)
        return Vetted(body) if self.fits and fits_anywhere(b"\r\n".join(values)) else body

    @cached_property
    def _pieces(self) -> tuple[bytes, ...]:
        """Segments, and between them room for the values."""
        pairs = ((segment, b"") for segment in self.segments)
        return tuple(piece for pair in pairs for piece in pair)[:-1]

    @cached_property
    def _placed(self) -> Callable[[Sequence[bytes]], tuple[bytes, ...]]:
        """Hands each hole the value that goes there, of one for each of the different ones."""
        numbers = {hole: number for number, hole in enumerate(self.different)}
        places = [numbers[hole] for hole in self.holes]
        if len(places) > 1:
            return itemgetter(*places)
        return lambda values: tuple(values[place] for place in places)


def intended_headers(spec: LetterSpec) -> tuple[str, ...]:
    """Return the names of all header fields of the finished letter, in order."""
    names = (*header_names(spec.kind, spec.sender), "MIME-Version", "Content-Type")
    return (*names, "Content-Transfer-Encoding") if spec.text_only else names


def assemble(spec: LetterSpec, rendered: Rendered) -> Plan:
    """Return the message of `rendered` as a plan; values for its holes are found by `filling`."""
    personal_subject = rendered.subject if SLOT.search(rendered.subject) else ""
    head = (_header(name, spec.sender, rendered.subject) for name in header_names(spec.kind, spec.sender))
    return _cut([*head, b"MIME-Version: 1.0\r\n", *_body(spec, rendered)], personal_subject)


def _header(name: str, sender: SenderIdentity, subject: str) -> bytes | Hole:
    match name:
        case "To" | "Date" | "Message-ID" | "List-Unsubscribe":
            return Hole(Place.HEADER, name)
        case "Subject" if SLOT.search(subject):
            return Hole(Place.HEADER, name)
        case "Subject":
            return one_field(unstructured(name, clean_header_text(subject)))
        case "From":
            return one_field(mailbox(name, clean_header_text(sender.from_name), sender.from_address))
        case "Reply-To" if sender.reply_to:
            return one_field(mailbox(name, "", sender.reply_to))
        case _:
            return one_field(folded(name, _words(name, sender)))


def _words(name: str, sender: SenderIdentity) -> list[str]:
    """Return the value of a header that is the same in all letters of a list."""
    label = clean_header_text(sender.list_name).translate(_NOT_IN_PHRASE)[:_LONGEST_LABEL].strip()
    return {
        "List-Id": [*([f'"{label}"'] if label.isascii() and label else []), f"<{sender.list_id}>"],
        "List-Unsubscribe-Post": ["List-Unsubscribe=One-Click"],
        "List-Help": [f"<{sender.help}>"],
        "List-Owner": [f"<{sender.owner}>"],
        "List-Archive": [f"<{sender.archive}>"],
        "Feedback-ID": [":".join(sender.feedback)],
        "Auto-Submitted": ["auto-generated"],
        "Precedence": ["bulk"],
    }[name]


def _body(spec: LetterSpec, rendered: Rendered) -> Iterator[bytes | Hole]:
    if spec.text_only:
        yield _TEXT_TYPE + b"\r\n"
        yield from _encoded(rendered.text, [])
        return
    boundary = _boundary(rendered)
    yield b'Content-Type: multipart/alternative;\r\n boundary="' + boundary + b'"\r\n\r\n'
    yield b"--" + boundary + b"\r\n" + _TEXT_TYPE + b"\r\n"
    yield from _encoded(rendered.text, [])
    yield b"\r\n--" + boundary + b"\r\n" + _HTML_TYPE + b"\r\n"
    yield from _encoded(rendered.html, map(Place, rendered.html_slots))
    yield b"\r\n--" + boundary + b"--\r\n"


def _boundary(rendered: Rendered) -> bytes:
    """Return a boundary that no quoted-printable line can contain (`=_` is no escape), the same for the same letter."""
    digest = hashlib.sha256(f"{rendered.subject}\0{rendered.text}\0{rendered.html}".encode()).hexdigest()
    return f"=_{digest[:24]}".encode()


def _encoded(text: str, places: Iterable[Place]) -> Iterator[bytes | Hole]:
    """Encode what stands between the slots; soft line breaks let every piece begin in the first column."""
    literal, *rest = SLOT.split(text)
    where = iter(places)
    yield quoted_printable(literal)
    for name, following in zip(rest[::2], rest[1::2], strict=True):
        if literal and not literal.endswith("\n"):
            yield _SOFT_BREAK
        yield Hole(next(where, Place.TEXT), name)
        if not following.startswith("\n"):
            yield _SOFT_BREAK
        yield quoted_printable(following)
        literal = following


def _cut(pieces: Iterable[bytes | Hole], subject: str) -> Plan:
    segments: list[list[bytes]] = [[]]
    holes: list[Hole] = []
    for piece in pieces:
        if isinstance(piece, Hole):
            holes.append(piece)
            segments.append([])
        else:
            segments[-1].append(piece)
    return Plan(tuple(map(b"".join, segments)), tuple(holes), subject)
