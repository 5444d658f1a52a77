"""What `config/relays.toml` says: the mail servers that take our letters, and how fast. It never shows a password.

docs/relays.md explains the file. Every mistake in it is kept in `Reading`, with its place and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from types import MappingProxyType
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator
from pydantic_core import ErrorDetails

from campaign.domain.addresses import parse_address
from campaign.domain.errors import BadInput
from campaign.domain.pace import DomainLimits, Limits, WarmUp
from campaign.settings import values
from campaign.settings.layers import Mistake, Reading

FILE: Final = "relays.toml"
MAIN: Final = "main"
"""What the relay is called that CAMPAIGN_SMTP_URL names."""

_WHERE: Final = f"config/{FILE}"
_NAME: Final = re.compile(r"[a-z0-9-]{1,40}")
_URL_FILE: Final = "url_file"
_TABLES: Final = ("relays", "domains")
_EXAMPLES: Final[Mapping[str, str]] = {
    "url": 'url = "smtp://user:password@mail.example.org:587?tls=required"',
    "warm_up": "warm_up = { from = 2027-01-04, first_day = 500, growth = 1.5 }",
    "weight": "weight = 3",
    "connections": "connections = 10",
}
_STRICT: Final = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Warming(BaseModel):
    """How the day's limit grows, as it is written."""

    model_config = _STRICT

    start: date = Field(alias="from")
    first_day: int = Field(ge=1, le=10_000_000)
    growth: float = Field(gt=1, le=10)


class RelaySettings(BaseModel):
    """One relay: where it is (TLS and AUTH are each one's own), its share of the letters, and how fast it may go."""

    model_config = _STRICT

    name: str = MAIN
    url: Annotated[str, PlainValidator(values.read_smtp_url)] = Field(repr=False)
    weight: int = Field(1, ge=1, le=1000)
    connections: int | None = Field(None, ge=1, le=200)
    per_second: int | None = Field(None, ge=1, le=100_000)
    per_minute: int | None = Field(None, ge=1, le=1_000_000)
    per_hour: int | None = Field(None, ge=1, le=10_000_000)
    per_day: int | None = Field(None, ge=1, le=100_000_000)
    warm_up: Warming | None = None

    @property
    def limits(self) -> Limits:
        """How fast letters may go to it."""
        warm = self.warm_up
        curve = WarmUp(warm.start, warm.first_day, warm.growth) if warm else None
        return Limits(self.per_second, self.per_minute, self.per_hour, self.per_day, curve)

    @property
    def in_the_open(self) -> bool:
        """Whether letters and the password travel readable for others."""
        parts = urlsplit(self.url)
        return "tls=none" in parts.query and not values.is_loopback(parts.hostname)

    def shown(self) -> str:
        """Give it in one line, without whom it signs in."""
        limits = {name: getattr(self, name) for name in ("per_second", "per_minute", "per_hour", "per_day")}
        words = [f"{name} {limit}" for name, limit in limits.items() if limit is not None]
        words += ["warm-up"] if self.warm_up else []
        return ", ".join([values.without_password(self.url), f"weight {self.weight}", *words])


class DomainTable(BaseModel):
    """How fast letters may go to one domain or to all, as it is written."""

    model_config = _STRICT

    parallel: int | None = Field(None, ge=1, le=200)
    per_second: int | None = Field(None, ge=1, le=100_000)

    @model_validator(mode="after")
    def _says_something(self) -> DomainTable:
        if self.parallel is None and self.per_second is None:
            msg = "it says nothing"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, slots=True)
class Domains:
    """How fast letters may go to recipient domains: one rule for all, and some domains' own."""

    default: DomainLimits = field(default_factory=DomainLimits)
    own: Mapping[str, DomainLimits] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, domain: str) -> DomainLimits:
        """Return the limits of one domain, as the ledger writes it."""
        return self.own.get(domain, self.default)

    def __bool__(self) -> bool:
        """Whether any domain has a limit."""
        return bool(self.default) or bool(self.own)


def read_relays(reading: Reading, smtp_url: bool) -> dict[str, Any]:  # noqa: FBT001 -- whether the other place is used
    """Read the file, if there is one: `relays` and `domains` for `Settings`, each only where the file says something.

    With `smtp_url` the one relay is named elsewhere, and a second word about it here is a mistake.
    """
    table = reading.own_table(FILE)
    for name in sorted(table.keys() - set(_TABLES)):
        _unknown(reading, name, _TABLES)
    found: dict[str, Any] = {}
    for name in _TABLES:
        if not isinstance(table.get(name, {}), dict):
            _wrong(reading, name, "it must be a table", f"Write [{name}] above its lines.")
            table[name] = {}
    if relays := table.get("relays"):
        found["relays"] = tuple(one for one in (_relay(reading, *pair) for pair in relays.items()) if one)
        if smtp_url:
            remedy = f"Keep one of the two: remove CAMPAIGN_SMTP_URL, or the tables [relays.…] in {_WHERE}."
            _wrong(reading, "relays", "CAMPAIGN_SMTP_URL is set as well", remedy)
    if domains := table.get("domains"):
        found["domains"] = _domains(reading, domains)
    return found


def _relay(reading: Reading, name: str, table: Any) -> RelaySettings | None:
    place = f"relays.{name}"
    if not _NAME.fullmatch(name):
        _wrong(reading, place, "a relay's name has 1 to 40 of a-z, 0-9 and -", "Write it like [relays.main].")
        return None
    if not isinstance(table, dict):
        _wrong(reading, place, "it must be a table", f"Write [{place}] above its lines.")
        return None
    if "name" in table:
        _unknown(reading, f"{place}.name", ())
    given = {key: value for key, value in table.items() if key not in {"name", _URL_FILE}}
    if _URL_FILE in table and not _from_file(reading, place, table[_URL_FILE], given):
        return None
    try:
        return RelaySettings.model_validate({**given, "name": name})
    except ValidationError as error:
        for detail in error.errors():
            _tell(reading, place, detail, (*RelaySettings.model_fields.keys() - {"name"}, _URL_FILE))
        return None


def _from_file(reading: Reading, place: str, path: Any, given: dict[str, Any]) -> bool:
    """Put the URL that a file holds among what was given; say whether that could be done."""
    where = f"{place}.{_URL_FILE}"
    if "url" in given:
        _wrong(reading, where, f"{place}.url is set as well", "Keep one of the two.")
    elif not isinstance(path, str) or not path:
        _wrong(reading, where, "it must be the name of a file", f'Write {_URL_FILE} = "relay.url".')
    elif text := reading.text(reading.home / path, where, _WHERE).strip():
        given["url"] = text
        return True
    elif not any(mistake.setting == where for mistake in reading.mistakes):
        _wrong(reading, where, f"{path} is empty", "Write the relay's URL into it.")
    return False


def _domains(reading: Reading, table: dict[str, Any]) -> Domains:
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    default = (_limits(reading, "domains", plain) if plain else None) or DomainLimits()
    own: dict[str, DomainLimits] = {}
    for name, limits in table.items():
        if not isinstance(limits, dict):
            continue
        place = f'domains."{name}"'
        try:
            domain = parse_address(f"reader@{name}").domain
        except BadInput:
            _wrong(reading, place, "it is not a domain", 'Write it like [domains."example.net"].')
            continue
        if (found := _limits(reading, place, limits)) is not None:
            own[domain] = DomainLimits(found.parallel or default.parallel, found.per_second or default.per_second)
    return Domains(default, MappingProxyType(own))


def _limits(reading: Reading, place: str, table: dict[str, Any]) -> DomainLimits | None:
    try:
        found = DomainTable.model_validate(table)
    except ValidationError as error:
        for detail in error.errors():
            _tell(reading, place, detail, DomainTable.model_fields)
        return None
    return DomainLimits(found.parallel, found.per_second)


def _tell(reading: Reading, place: str, detail: ErrorDetails, choices: Iterable[str]) -> None:
    """Say in our words what pydantic found; never what was written there, which may be a password."""
    path = [str(part) for part in detail["loc"]]
    setting = ".".join([place, *path])
    if detail["type"] == "extra_forbidden":
        inner = ("from", "first_day", "growth")
        _unknown(reading, setting, inner if len(path) > 1 else choices)
        return
    problem = str(detail.get("ctx", {}).get("error") or detail["msg"])
    if detail["type"] == "missing":
        problem = "it is missing"
    example = _EXAMPLES.get(path[0] if path else "", f"{path[0]} = 10" if path else "parallel = 5")
    _wrong(reading, setting, problem[:1].lower() + problem[1:], f"Write it like {example}")


def _unknown(reading: Reading, setting: str, choices: Iterable[str]) -> None:
    close = get_close_matches(setting.rpartition(".")[2], list(choices), n=1)
    _wrong(reading, setting, "there is no such setting", f"Did you mean {close[0]}?" if close else "Remove it.")


def _wrong(reading: Reading, setting: str, problem: str, remedy: str) -> None:
    reading.mistakes.append(Mistake(setting, _WHERE, problem, remedy))
