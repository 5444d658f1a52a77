"""Which column of a table of people means what, and how one row becomes a person. It never looks anybody up."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from campaign.domain.addresses import parse_address, printable
from campaign.domain.errors import BadInput
from campaign.domain.localtime import zone_name
from campaign.domain.people import Person, PersonRefused, clean_name, parse_country, parse_language

FIELDS: Final = ("address", "name", "country", "language", "timezone")

_MAILBOX: Final = (
    "email mail emailaddress mailaddress emailid "
    "correo correoelectronico direcciondecorreo "
    "courriel adressemail adresseemail adressecourriel "
    "emailadresse mailadresse enderecodeemail"
)
_NAMES: Final = MappingProxyType(
    {
        "name": "name fullname nombre nombrecompleto nom nomcomplet nome nomecompleto vollername",
        "country": "country countrycode pais codigopais pays codepays land landercode landcode",
        "language": "language lang locale idioma langue sprache",
        "timezone": "timezone tz zonahoraria fuseauhoraire fuseau zeitzone fusohorario",
    }
)
_STREETS: Final = "address adresse direccion endereco"
"""Names that mean the mailbox only where no better one is there: many tables keep streets under them."""

_NO_WORD: Final = re.compile(r"[^a-z0-9]+")


class ColumnsRefused(BadInput):
    """The first line of the file does not name its columns."""

    code = "columns_refused"


@dataclass(frozen=True, slots=True)
class Columns:
    """Where each field stands in a row (from 0), and the names of the columns that nobody will read."""

    places: tuple[int | None, ...]
    width: int
    ignored: tuple[str, ...] = ()

    def read(self, cells: Sequence[str]) -> Person:
        """Return the person of one row, where missing cells are empty; raise BadInput saying what is wrong with it."""
        if len(cells) > self.width and any(map(str.strip, cells[self.width :])):
            msg = f"There are {len(cells)} cells under {self.width} column names."
            raise PersonRefused(msg, remedy="Put cells that hold a comma into quotation marks.")
        address, name, country, language, timezone = (
            cells[place] if place is not None and place < len(cells) else "" for place in self.places
        )
        if not address.strip():
            msg = "There is no address."
            raise PersonRefused(msg)
        return Person(
            parse_address(address),
            clean_name(name) if name else None,
            parse_country(country) if country.strip() else None,
            parse_language(language) if language.strip() else None,
            _zone(timezone) if timezone.strip() else None,
        )


def find_columns(header: Sequence[str]) -> Columns:
    """Recognise columns by their names, in any case and with any punctuation, in five languages.

    Raises ColumnsRefused where no column holds addresses, or where two claim to hold the same.
    """
    plain = [_plain(cell) for cell in header]
    found = {field: [at for at, name in enumerate(plain) if name in names.split()] for field, names in _NAMES.items()}
    boxes = [at for at, name in enumerate(plain) if name in _MAILBOX.split()]
    found["address"] = boxes or [at for at, name in enumerate(plain) if name in _STREETS.split()]
    if not found["address"]:
        msg = f"No column is called address or e-mail; the first line reads: {printable(' | '.join(header), limit=200)}"
        raise ColumnsRefused(msg, remedy="Write the names of the columns into the first line: address,name,country")
    for field, places in found.items():
        if len(places) > 1:
            names = " and ".join(printable(header[at]) for at in places)
            msg = f"The columns {names} both mean the {field}."
            raise ColumnsRefused(msg, remedy="Keep one of them, and give the other one another name.")
    used = {places[0] for places in found.values() if places}
    return Columns(
        tuple(found[field][0] if found[field] else None for field in FIELDS),
        len(header),
        tuple(cell.strip() for at, cell in enumerate(header) if at not in used and cell.strip()),
    )


def _plain(name: str) -> str:
    """Give a column's name in small letters without accents, spaces and punctuation."""
    return _NO_WORD.sub("", unicodedata.normalize("NFKD", name).casefold())


def _zone(text: str) -> str:
    zone = zone_name(text)
    if zone is None:
        msg = f"{printable(text.strip())} is not a time zone."
        raise PersonRefused(msg, remedy="Write a name such as Europe/Berlin or America/New_York.")
    return zone
