"""Which column of a table of people means what, and how one row becomes a person. It never looks anybody up."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from operator import itemgetter
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


class Columns:
    """Where each field stands in a row, and the names of the columns that nobody will read."""

    def __init__(self, places: Mapping[str, int], header: Sequence[str]) -> None:
        """Take the place (from 0) of each field that the table has."""
        self._width = len(header)
        self.place: Final = places.get("address", self._width)
        """Where the mailbox stands."""
        self._pick = itemgetter(*(places.get(field, self._width) for field in FIELDS))
        used = set(places.values())
        self.ignored: Final = tuple(name.strip() for at, name in enumerate(header) if at not in used and name.strip())

    def read(self, cells: Sequence[str]) -> Person:
        """Return the person of one row, where missing cells are empty; raise BadInput saying what is wrong with it."""
        if len(cells) != self._width:
            cells = self._fitted(cells)
        address, name, country, language, timezone = self._pick((*cells, ""))
        if not address.strip():
            msg = "There is no address."
            raise PersonRefused(msg)
        return Person(
            parse_address(address),
            clean_name(name) if name else None,
            _country(country),
            _language(language),
            _zone(timezone),
        )

    def _fitted(self, cells: Sequence[str]) -> Sequence[str]:
        """Give a row as many cells as there are columns; refuse to guess what more of them mean."""
        if any(cells[self._width :]):
            msg = f"There are {len(cells)} cells under {self._width} column names."
            raise PersonRefused(msg, remedy="Put cells that hold a comma into quotation marks.")
        return (*cells, *("",) * (self._width - len(cells)))[: self._width]


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
    return Columns({field: places[0] for field, places in found.items() if places}, header)


def _plain(name: str) -> str:
    """Give a column's name in small letters without accents, spaces and punctuation."""
    return _NO_WORD.sub("", unicodedata.normalize("NFKD", name).casefold())


_remembered = functools.lru_cache(maxsize=1_000)
"""A million people live in few countries, and speak few languages."""


@_remembered
def _country(text: str) -> str | None:
    return parse_country(text) if text.strip() else None


@_remembered
def _language(text: str) -> str | None:
    return parse_language(text) if text.strip() else None


@_remembered
def _zone(text: str) -> str | None:
    if not text.strip():
        return None
    zone = zone_name(text)
    if zone is None:  # unlike for one person, nobody searches a list of zones for what was meant in a million rows
        msg = f"{printable(text.strip())} is not a time zone."
        raise PersonRefused(msg, remedy="Write a name such as Europe/Berlin or America/New_York.")
    return zone
