"""Which column of a table of people means what, and how one row becomes a person. It never looks anybody up."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import Final

from campaign.domain.addresses import Address, parse_address, printable
from campaign.domain.attributes import Attribute, Value, is_name, name_from, parse_value
from campaign.domain.errors import BadInput
from campaign.domain.localtime import zone_name
from campaign.domain.people import NOTHING, Person, PersonRefused, clean_name, parse_country, parse_language
from campaign.domain.shapes import MAX_SLUG, is_line

FIELDS: Final = ("address", "name", "country", "language", "timezone")
TOPICS: Final = "topics"
UNREAD: Final = "-"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet program would run."""

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
        TOPICS: "topics topic interests temas themes thèmes themen",
        "timezone": "timezone tz zonahoraria fuseauhoraire fuseau zeitzone fusohorario",
    }
)
_STREETS: Final = "address adresse direccion endereco"
"""Names that mean the mailbox only where no better one is there: many tables keep streets under them."""

_NO_WORD: Final = re.compile(r"[^a-z0-9]+")


class ColumnsRefused(BadInput):
    """The first line of the file does not name its columns."""

    code = "columns_refused"


_Known = tuple[Address, str | None, str | None, str | None, str | None]


class Columns:
    """Where each field stands in a row, which columns are attributes, and which nobody will read."""

    def __init__(
        self, places: Mapping[str, int], header: Sequence[str], extra: Mapping[int, Attribute] | None = None
    ) -> None:
        """Take the place (from 0) of each field that the table has, and the attribute of each other place."""
        self._width = len(header)
        self.place: Final = places.get("address", self._width)
        """Where the mailbox stands."""
        self._pick = itemgetter(*(places.get(field, self._width) for field in FIELDS))
        self._topics = places.get(TOPICS)
        extra = extra or {}
        self._extra = tuple(extra.items())
        used = {*places.values(), *extra}
        self.ignored: Final = tuple(name.strip() for at, name in enumerate(header) if at not in used and name.strip())
        self.undeclared: Final = tuple(one.name for one in extra.values() if one.sealed)
        """Attributes that are kept as sealed free text."""

    def read(self, cells: Sequence[str]) -> Person:
        """Return the person of one row, where missing cells are empty; raise BadInput saying what is wrong with it."""
        if len(cells) != self._width:
            cells = self._fitted(cells)
        address, name, country, language, timezone = self._pick((*cells, ""))
        if not address.strip():
            msg = "There is no address."
            raise PersonRefused(msg)
        known = (
            parse_address(address),
            clean_name(_bare(name)) if name else None,
            _country(country),
            _language(language),
            _zone(timezone),
        )
        return self._whole(known, cells) if self._extra or self._topics is not None else Person(*known)

    def _whole(self, known: _Known, cells: Sequence[str]) -> Person:
        """Return a person with attributes and topics; an empty cell says nothing."""
        facts: dict[str, Value] = {}
        notes: dict[str, str] = {}
        for at, attribute in self._extra:
            if text := cells[at].strip():
                value = parse_value(attribute, _bare(text))
                if attribute.sealed:
                    notes[attribute.name] = str(value)
                else:
                    facts[attribute.name] = value
        topics = parse_topics(cells[self._topics]) if self._topics is not None else ()
        return Person(*known, facts, notes, topics)

    def _fitted(self, cells: Sequence[str]) -> Sequence[str]:
        """Give a row as many cells as there are columns; refuse to guess what more of them mean."""
        if any(cells[self._width :]):
            msg = f"There are {len(cells)} cells under {self._width} column names."
            raise PersonRefused(msg, remedy="Put cells that hold a comma into quotation marks.")
        return (*cells, *("",) * (self._width - len(cells)))[: self._width]


def _bare(text: str) -> str:
    """Take off the apostrophe by which an export keeps a spreadsheet from running a cell."""
    return text[1:] if text[:1] == "'" and text[1:2] in _FORMULA else text


def guarded(text: str) -> str:
    """Give a cell so that a spreadsheet shows it and never runs it; reading takes the apostrophe off again."""
    return f"'{text}" if text[:1] in _FORMULA else text


def find_columns(
    header: Sequence[str], attributes: Mapping[str, Attribute] = NOTHING, mapping: Mapping[str, str] = NOTHING
) -> Columns:
    """Recognise columns by their names, in any case and with any punctuation, in five languages.

    `mapping` says by a column's name what it is: a field, an attribute, or "-" for one to leave unread. What is left
    becomes an attribute: of its kind where `attributes` declares it, else free text. Raises ColumnsRefused where no
    column holds addresses, where two claim to hold the same, or where the mapping names what is not there.
    """
    wanted = _mapped(header, mapping)
    plain = ["" if at in wanted else _plain(cell) for at, cell in enumerate(header)]
    found = {field: [at for at, name in enumerate(plain) if name in names.split()] for field, names in _NAMES.items()}
    boxes = [at for at, name in enumerate(plain) if name in _MAILBOX.split()]
    found["address"] = boxes or [at for at, name in enumerate(plain) if name in _STREETS.split()]
    for field in {*found, TOPICS}:
        chosen = [at for at, name in wanted.items() if name == field]
        found[field] = chosen or found.get(field, [])
    if not found["address"]:
        msg = f"No column is called address or e-mail; the first line reads: {printable(' | '.join(header), limit=200)}"
        remedy = "Write the names of the columns into the first line (address,name,country), or --map COLUMN=address."
        raise ColumnsRefused(msg, remedy=remedy)
    for field, places in found.items():
        if len(places) > 1:
            names = " and ".join(printable(header[at]) for at in places)
            msg = f"The columns {names} both mean the {field}."
            raise ColumnsRefused(msg, remedy="Keep one of them: give the other another name, or --map COLUMN=- .")
    taken = {field: places[0] for field, places in found.items() if places}
    return Columns(taken, header, _extra(header, set(taken.values()), wanted, attributes))


def _mapped(header: Sequence[str], mapping: Mapping[str, str]) -> dict[int, str]:
    """Return what a mapping says about places; a column is named as it stands there, in any case."""
    found: dict[int, str] = {}
    titles = [cell.strip().casefold() for cell in header]
    for column, field in mapping.items():
        title = column.strip().casefold()
        if titles.count(title) != 1:
            many = "several columns are" if title in titles else "no column is"
            msg = f"--map names {printable(column)}, but {many} called so."
            raise ColumnsRefused(msg, remedy=f"The first line reads: {printable(' | '.join(header), limit=200)}")
        if field != UNREAD and field not in {*FIELDS, TOPICS} and not is_name(field):
            msg = f"{printable(field)} is neither a field nor the name of an attribute."
            raise ColumnsRefused(msg, remedy=f"Write one of {', '.join((*FIELDS, TOPICS))}, a name, or - for none.")
        found[titles.index(title)] = field
    return found


def _extra(
    header: Sequence[str], taken: set[int], wanted: Mapping[int, str], attributes: Mapping[str, Attribute]
) -> dict[int, Attribute]:
    """Return the attributes of the columns that no field claims."""
    found: dict[int, Attribute] = {}
    for at, title in enumerate(header):
        name = wanted.get(at) or name_from(title)
        if at in taken or name is None or name == UNREAD or _plain(title) in _STREETS.split():
            continue
        if any(one.name == name for one in found.values()):
            msg = f"Two columns are both called {printable(title)}."
            raise ColumnsRefused(msg, remedy="Give one of them another name, or --map COLUMN=- .")
        found[at] = attributes.get(name) or Attribute(name)
    return found


def parse_topics(text: str) -> tuple[str, ...]:
    """Read topics, divided by semicolons or commas, each once."""
    words = [word.strip().casefold() for word in text.replace(";", ",").split(",") if word.strip()]
    for word in words:
        if not is_line(word, MAX_SLUG):
            raise PersonRefused(f"{printable(word)} is no topic.", remedy="Divide topics by commas.")
    return tuple(dict.fromkeys(words))


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
