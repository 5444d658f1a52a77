"""What is known about one person, and how each field of it is read. It never looks anybody up."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from campaign.domain.addresses import Address, parse_address, printable
from campaign.domain.attributes import Value
from campaign.domain.errors import BadInput
from campaign.domain.localtime import parse_zone

MAX_NAME: Final = 200
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

_CODES: Final = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO
FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE
JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO
MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW
PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM
TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW
"""
_COUNTRIES: Final = frozenset(_CODES.split())
"""ISO 3166-1 alpha-2, and XK, which everybody writes for Kosovo."""

_MEANT: Final = {"UK": "GB", "EL": "GR"}
_LANGUAGE: Final = re.compile(
    r"(?P<language>[A-Za-z]{2,3})(?:[-_](?P<script>[A-Za-z]{4}))?(?:[-_](?P<region>[A-Za-z]{2}|[0-9]{3}))?"
)
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufffd]")
"""Control characters that are no white space, and those that turn the direction of what stands after them."""
_FORMULA: Final = ("=", "+", "@")
_DATE: Final = re.compile(r"[0-9]{1,4}[-./][0-9]{1,2}[-./][0-9]{1,4}\.?")


class PersonRefused(BadInput):
    """Something about this person cannot be read."""

    code = "person_refused"


@dataclass(frozen=True, slots=True)
class Person:
    """One person: the mailbox, and what is known besides. Nothing known is None."""

    address: Address
    name: str | None = None
    country: str | None = None
    language: str | None = None
    timezone: str | None = None
    facts: Mapping[str, Value] = field(default_factory=lambda: NOTHING)
    """Values of declared attributes by name, which segments can ask for; days as ISO text."""
    notes: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Free text by attribute, sealed at rest."""
    topics: tuple[str, ...] = ()

    @property
    def attributes(self) -> dict[str, str]:
        """What is known besides the mailbox and the name."""
        found = {"country": self.country, "language": self.language, "timezone": self.timezone}
        return {field: value for field, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One person on one list, as lists of people show it; `state` says "suppressed" whatever the subscription says."""

    address: str
    name: str
    list: str
    state: str
    country: str | None
    language: str | None
    timezone: str | None


SUPPRESSED: Final = "suppressed"
"""The state that a person shows whose address must not be mailed."""


def parse_person(address: str, name: str = "", country: str = "", language: str = "", timezone: str = "") -> Person:
    """Read one person from texts as people type them (empty: not known); raise BadInput for what cannot be read."""
    return Person(
        parse_address(address),
        clean_name(name),
        parse_country(country) if country.strip() else None,
        parse_language(language) if language.strip() else None,
        parse_zone(timezone).key if timezone.strip() else None,
    )


def clean_name(text: str) -> str | None:
    """Return a name on one line with single spaces, in NFC, or None for an empty one; refuse what hides something."""
    plain = text.isascii() and text.isprintable()
    if not plain and _FORBIDDEN.search(text):
        msg = f"The name {printable(text)} holds control characters."
        raise PersonRefused(msg, remedy="Type the name again.")
    name = " ".join(text.split())
    if name[:1] in _FORMULA:
        msg = f"The name {printable(text)} begins like a formula of a spreadsheet."
        raise PersonRefused(msg, remedy=f"Take the {name[0]} away.")
    if _DATE.fullmatch(name):
        msg = f"The name {printable(text)} is a date."
        raise PersonRefused(msg, remedy="Is a date of birth in the column of names? Take it out, or name it by --map.")
    if len(name) > MAX_NAME:
        msg = f"A name of {len(name)} characters is too long."
        raise PersonRefused(msg, remedy=f"Names have {MAX_NAME} characters at most.")
    return (name if plain else unicodedata.normalize("NFC", name)) or None


def folded(text: str) -> str:
    """Give a text as it is compared in a search: without capitals and accents."""
    if text.isascii():
        return text.casefold()
    letters = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def parse_country(text: str) -> str:
    """Read a country code (ISO 3166-1 alpha-2) in any case."""
    code = text.strip().upper()
    if code in _COUNTRIES:
        return code
    msg = f"{printable(text.strip())} is not a country code."
    meant = _MEANT.get(code)
    raise PersonRefused(msg, remedy=f"Write {meant}." if meant else "Write two letters of ISO 3166, such as US or GB.")


def parse_language(text: str) -> str:
    """Read a language tag (BCP 47: language, script, region) and give it the usual capitals: `pt-BR`, `zh-Hant`."""
    found = _LANGUAGE.fullmatch(text.strip())
    if found is None:
        msg = f"{printable(text.strip())} is not a language tag."
        raise PersonRefused(msg, remedy="Write en, es or pt-BR.")
    script, region = found["script"], found["region"]
    parts = (found["language"].lower(), script and script.title(), region and region.upper())
    return "-".join(part for part in parts if part)
