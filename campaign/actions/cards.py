"""Reads a file of vCards (RFC 6350, and the older 2.1 and 3.0) as a table of people: one record for each card.

It holds one card at a time, without its pictures, and never knows what a list is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import vobject

from campaign.domain.errors import BadInput
from campaign.domain.people import parse_country
from campaign.domain.sheets import MAX_RECORD, Record

HEADER: Final = ["email", "name", "country", "language", "timezone"]
BEGIN: Final = "BEGIN:VCARD"
_END: Final = "END:VCARD"
_LARGE: Final = ("PHOTO", "LOGO", "SOUND", "KEY")
_NO_ADDRESS: Final = "This card has no e-mail address."
_OPEN: Final = "This card does not end: a line END:VCARD is missing."
_TOO_LONG: Final = f"This card has more than {MAX_RECORD:,} characters."
_STRAY: Final = "This stands outside of a card."


class Cards:
    """The cards of one file as records, after a header of the columns that a card fills."""

    def __init__(self, readline: Callable[[int], str]) -> None:
        """Take a text file's `readline`; nothing is read yet."""
        self._readline = readline
        self._line = 0

    def __iter__(self) -> Iterator[Record]:
        """Give the header, and then a record for each card, with what is wrong with it."""
        yield Record(1, HEADER)
        card: list[str] = []
        began = size = 0
        large = False
        while line := self._readline(MAX_RECORD):
            self._line += line.endswith(("\n", "\r"))
            word = line.strip().upper()
            if word == BEGIN:
                if card:
                    yield _broken(began, card, _OPEN)
                card, size, began, large = [line], 0, self._line, False
            elif not card:
                if word:
                    yield Record(self._line, [line.strip()[:200]], _STRAY)
            elif word == _END:
                yield _record(began, [*card, line]) if size <= MAX_RECORD else _broken(began, card, _TOO_LONG)
                card = []
            else:
                large = large if line[0] in " \t" else word.startswith(_LARGE)
                size += 0 if large else len(line)
                if not large and size <= MAX_RECORD:
                    card.append(line)
        if card:
            yield _broken(began, card, _OPEN)


def _broken(line: int, card: list[str], why: str) -> Record:
    """Give a card that cannot be read, with the first thing in it that looks like its address."""
    found = next((one.partition(":")[2].strip() for one in card if one.upper().startswith("EMAIL")), "")
    return Record(line, [found[:200]], why)


def _record(line: int, card: list[str]) -> Record:
    try:
        read = vobject.readOne("".join(card))
    except Exception as error:  # noqa: BLE001 -- the library does not say which kinds it raises
        return _broken(line, card, f"This card cannot be read: {' '.join(str(error).split())[:200]}.")
    fields = read.contents
    address = _address(fields.get("email", []))
    if not address:
        return Record(line, ["", _name(fields)], _NO_ADDRESS)
    return Record(line, [address, _name(fields), _country(fields), _text(fields, "lang"), _text(fields, "tz")])


def _address(found: list[Any]) -> str:
    """Choose the preferred mailbox: a person gets one letter, however many a card has."""
    ranked = sorted(found, key=lambda one: not _preferred(one))
    return str(ranked[0].value).strip().removeprefix("mailto:") if ranked else ""


def _preferred(one: Any) -> bool:
    kinds = {*map(str.upper, one.params.get("TYPE", [])), *map(str.upper, one.singletonparams)}
    return "PREF" in kinds or one.params.get("PREF", [""])[0] == "1"


def _name(fields: dict[str, list[Any]]) -> str:
    shown = _text(fields, "fn")
    if shown or "n" not in fields:
        return shown
    parts = fields["n"][0].value
    return " ".join(f"{parts.given} {parts.family}".split())


def _country(fields: dict[str, list[Any]]) -> str:
    """Take the country where a card has its code; most have a word in some language, which is no code."""
    for one in fields.get("adr", []):
        with suppress(BadInput):
            return parse_country(str(one.value.country))
    return ""


def _text(fields: dict[str, list[Any]], name: str) -> str:
    return " ".join(str(fields[name][0].value).split()) if name in fields else ""
