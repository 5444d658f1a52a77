"""What the people who run Campaign decided: one frozen `Settings`. It names all mistakes at once, and no secret."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, PlainValidator, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from campaign.domain.addresses import Address
from campaign.domain.errors import BadInput, SettingsMissing
from campaign.settings import following, signing, values
from campaign.settings.layers import HOME, PREFIX, Mistake, Reading
from campaign.settings.relays import FILE, Domains, RelaySettings, read_relays
from campaign.settings.signing import Algorithm, SigningKey
from campaign.settings.values import HostPort, Mailbox

__all__ = [
    "Domains",
    "HostPort",
    "Mailbox",
    "Mistake",
    "RelaySettings",
    "Settings",
    "SettingsWrong",
    "load_settings",
    "usable_settings",
]

SECRETS: Final = frozenset({"secret_key", "suppression_key", "seal_key", "database_url", "smtp_url", "dkim_key"})
"""Settings that are shown without their secret, and that may be given as a file (`CAMPAIGN_SMTP_URL_FILE`)."""

IN_TABLES: Final = frozenset({"relays", "domains"})
"""Settings that are tables of `config/relays.toml`, and no variables."""

_TOGETHER: Final = {"dkim_selector": "dkim_key", "dkim_key": "dkim_selector"}
"""What means nothing without another setting: where one is wrong, who only looks leaves both out."""

_KEY: Final = "32 random bytes as URL-safe base64, made by campaign init"
_FOLLOWS: Final = "default_factory_not_called"
"""Pydantic's word for a default that waits for a setting which is wrong itself: nothing to report twice."""


class SettingsWrong(BadInput):
    """Some settings cannot be used."""

    code = "settings_wrong"

    def __init__(self, mistakes: list[Mistake]) -> None:
        """Name all of them, one a line, each with its remedy."""
        self.mistakes: Final = tuple(mistakes)
        count = f"{len(mistakes)} settings are" if len(mistakes) != 1 else "One setting is"
        super().__init__("\n".join([f"{count} wrong.", *(f"  {mistake}" for mistake in mistakes)]))


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _like(*examples: str, default: Any = None, **more: Any) -> Any:
    """Declare a setting with an example that can be copied into `.env` as it stands."""
    return Field(default, examples=list(examples), **more)


_Keys = Annotated[tuple[bytes, ...], PlainValidator(values.read_keys)]
_Key = Annotated[bytes, PlainValidator(values.read_key)]
_Line = Annotated[str, PlainValidator(values.read_line)]
_Text = Annotated[str, PlainValidator(values.read_text)]
_Mailbox = Annotated[Mailbox, PlainValidator(values.read_mailbox)]
_Address = Annotated[Address, PlainValidator(values.read_address)]
_Addresses = Annotated[tuple[Address, ...], PlainValidator(values.read_addresses)]


class Settings(BaseSettings):
    """Every setting, read and checked. An attribute is None (or empty) where nothing was set; see `require`.

    `.env.example` explains each of them. Written as a variable, a name is CAMPAIGN_ and the name in capitals; what is
    a list here is written in the singular: CAMPAIGN_SECRET_KEY, CAMPAIGN_SEAL_KEY, CAMPAIGN_DKIM_KEY.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True)

    home: Path

    secret_keys: _Keys = _like(_KEY, default=(), alias="secret_key")
    suppression_key: _Key | None = _like(_KEY)
    seal_keys: _Keys = _like(_KEY, default=(), alias="seal_key")
    database_url: Annotated[str, PlainValidator(following.database)] = Field(
        default_factory=lambda data: f"sqlite:///{data['home'] / 'campaign.db'}",
        examples=["sqlite:///campaign.db", "postgresql://campaign:password@localhost/campaign"],
    )

    base_url: Annotated[str, PlainValidator(values.read_base_url)] | None = _like("https://letters.example.org")
    listen: Annotated[HostPort, PlainValidator(values.read_listen)] = _like(
        "127.0.0.1:8000", default=HostPort("127.0.0.1", 8000)
    )

    smtp_url: Annotated[str, PlainValidator(values.read_smtp_url)] | None = _like(
        "smtp://user:password@mail.example.org:587?tls=required"
    )
    connections: int = _like("10", default=10, ge=1, le=200)
    relays: tuple[RelaySettings, ...] = Field(default_factory=following.main_relay)
    domains: Annotated[Domains, PlainValidator(lambda value: value)] = Field(default_factory=Domains)
    max_attempts: int = _like("20", default=20, ge=1, le=1000)
    valid_hours: int = _like("48", default=48, ge=1, le=24 * 30)
    letters_a_week: int = _like("2", default=2, ge=0, le=1000)
    grace_seconds: int = _like("30", default=30, ge=0, le=3600)

    sender: _Mailbox | None = _like("Example Campaign <letters@example.org>")
    contact: _Address | None = Field(default_factory=following.contact, examples=["help@example.org"])
    return_path: _Address | None = _like("bounces@example.org")
    alerts: _Addresses = _like("office@example.org,post@example.org", default=())
    organisation: _Line = Field(default_factory=following.organisation, examples=["Example Organisation"])
    postal_address: _Text | None = _like("Example Organisation, 1 Example Street, 12345 Example Town")

    dkim_keys: Annotated[tuple[SigningKey, ...], PlainValidator(signing.read_signing_keys)] = _like(
        "-----BEGIN PRIVATE KEY-----…", default=(), alias="dkim_key"
    )
    dkim_selectors: Annotated[tuple[str, ...], PlainValidator(following.selectors)] = _like(
        "campaign-2027-01", default=(), alias="dkim_selector", validate_default=True
    )

    timezone: Annotated[ZoneInfo, PlainValidator(values.read_timezone)] = _like("UTC", default=ZoneInfo("UTC"))
    language: Annotated[str, PlainValidator(values.read_language)] = _like("en", default="en")

    log_format: Annotated[Literal["console", "json"], BeforeValidator(_lower)] = _like("console", default="console")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = _like(
        "info", default="info"
    )
    dns: Annotated[HostPort, PlainValidator(values.read_nameserver)] | None = _like("127.0.0.1:53")
    instance_id: _Line | None = _like("letters-1")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what is handed over: `load_settings` names the places, and `Settings(home=…)` reads none."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What works but is seldom meant, in sentences to show to whoever starts Campaign."""
        found = []
        if self.base_url and urlsplit(self.base_url).scheme == "http":
            found.append("CAMPAIGN_BASE_URL is http://, so the links in letters only work on this machine.")
        for relay in self.relays:
            if relay.in_the_open:
                where = "CAMPAIGN_SMTP_URL" if self.smtp_url else f"The relay {relay.name}"
                found.append(f"{where} says tls=none, so letters and the password travel in the open.")
        if any(key.algorithm is Algorithm.RSA and key.bits < signing.GOOD_BITS for key in self.dkim_keys):
            found.append(
                f"CAMPAIGN_DKIM_KEY has an rsa key of less than {signing.GOOD_BITS} bits, which can be forged."
            )
        if self.dkim_keys and all(key.algorithm is Algorithm.ED25519 for key in self.dkim_keys):
            found.append(
                "CAMPAIGN_DKIM_KEY has no rsa key, and several large receivers cannot read ed25519 signatures."
            )
        return tuple(found)

    def require(self, *names: str) -> None:
        """Raise SettingsMissing: it names all of `names` (attributes) that are not set, and the lines that set them.

        A relay that `config/relays.toml` names is as good as `smtp_url`.
        """
        missing = [name for name in names if not getattr(self, "relays" if name == "smtp_url" else name)]
        if not missing:
            return
        keys = [name for name in missing if name.endswith(("_key", "_keys"))]
        lines = [f'  {_variable(name)}="{_example(name)}"' for name in missing if name not in keys]
        remedies = [f"Add to {self.home / '.env'}:\n" + "\n".join(lines)] if lines else []
        if keys:
            remedies.append("Run `campaign init`, which makes keys; or put back the keys this database was made with.")
        msg = f"Not set: {', '.join(map(_variable, missing))}."
        raise SettingsMissing(msg, remedy="\n".join(remedies))

    def shown(self) -> dict[str, str]:
        """Give every setting as text by the name of its variable, without secrets."""
        fields = type(self).model_fields.keys() - IN_TABLES
        shown = {_variable(name): _redacted(getattr(self, name)) for name in type(self).model_fields if name in fields}
        relays = () if self.smtp_url else self.relays
        return shown | {f"relays.{relay.name} (config/{FILE})": relay.shown() for relay in relays}

    def __repr__(self) -> str:
        """Show no secret, wherever this ends up."""
        return f"Settings({', '.join(f'{name}={text}' for name, text in self.shown().items())})"

    __str__ = __repr__


def load_settings(home: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings of one home: the environment, then `.env`, then TOML files, then defaults.

    `home` is what was asked for, else CAMPAIGN_HOME, else the current folder; it need not exist yet. An empty variable
    counts as not set. Raises SettingsWrong with every mistake in every place.
    """
    settings, mistakes = usable_settings(home, environ)
    if mistakes:
        raise SettingsWrong(mistakes)
    return settings


def usable_settings(
    home: Path | None = None, environ: Mapping[str, str] = os.environ
) -> tuple[Settings, list[Mistake]]:
    """Read the settings as `load_settings` does; what is wrong counts as not set, and is named in the mistakes.

    Only for looking: with a setting left out, Campaign could do what nobody asked for.
    """
    home = (home or Path(environ.get(HOME) or ".")).expanduser().absolute()
    reading = Reading(home, frozenset(map(_setting, Settings.model_fields)) - {"home"} - IN_TABLES, SECRETS)
    reading.environment(environ)
    reading.dotenv()
    reading.toml()
    tables = read_relays(reading, any("smtp_url" in layer.values for layer in reading.layers))
    wrong: dict[str, Mistake] = {}
    left_out: set[str] = set()
    while True:
        kept = ({name: v for name, v in layer.values.items() if name not in left_out} for layer in reading.layers)
        sources = (InitSettingsSource(Settings, values) for values in kept)
        try:
            settings = Settings(_build_sources=((InitSettingsSource(Settings, {"home": home, **tables}), *sources), {}))
        except ValidationError as error:  # pydantic's own text could repeat a secret
            details = [detail for detail in error.errors() if detail["type"] != _FOLLOWS]
            named = {_setting_at(str(detail["loc"][0])): _mistake(detail, reading) for detail in details}
            if named.keys() <= wrong.keys():  # nothing is left to leave out
                raise SettingsWrong([*reading.mistakes, *wrong.values()]) from None
            wrong |= named
            left_out |= {_TOGETHER.get(name, name) for name in named} | named.keys()
        else:
            return settings, [*reading.mistakes, *wrong.values()]


def _mistake(detail: ErrorDetails, reading: Reading) -> Mistake:
    """Say in our words what pydantic found."""
    setting = _setting_at(str(detail["loc"][0]))
    name = next(name for name in Settings.model_fields if _setting(name) == setting)
    problem = str(detail.get("ctx", {}).get("error") or detail["msg"])
    remedy = f'Write it like {_variable(name)}="{_example(name)}".'
    if setting == "dkim_key":
        remedy = "`campaign relays dkim` makes a key, and the lines that name it."
    elif setting in {"secret_key", "suppression_key", "seal_key"}:
        remedy = "`campaign init` in an empty folder shows what keys look like; a key in use must stay as it was."
    return Mistake(_variable(name), reading.where(setting), problem[:1].lower() + problem[1:], remedy)


def _setting_at(place: str) -> str:
    """Give the setting that pydantic names; a default is found under its attribute."""
    return next(_setting(name) for name in Settings.model_fields if place in {name, _setting(name)})


def _setting(name: str) -> str:
    """Give the name under which an attribute is written."""
    return Settings.model_fields[name].alias or name


def _variable(name: str) -> str:
    """Give the variable of an attribute."""
    return f"{PREFIX}{_setting(name).upper()}"


def _example(name: str) -> str:
    """Give a value that can be copied."""
    return str((Settings.model_fields[name].examples or [""])[0])


def _redacted(value: Any) -> str:
    """Write a value down for a reader who may see everything but keys and passwords."""
    if isinstance(value, tuple) and value and all(isinstance(part, str | Address) for part in value):
        return ", ".join(map(str, value))
    if isinstance(value, bytes) or (isinstance(value, tuple) and value):
        return f"<{'1 key' if isinstance(value, bytes) or len(value) == 1 else f'{len(value)} keys'}>"
    if value is None or value == ():
        return "<not set>"
    return values.without_password(str(value))
