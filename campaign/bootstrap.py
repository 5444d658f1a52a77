"""The only joiner: turns settings into the tools that verbs are handed, and into the pages. It does no verb's work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from campaign.actions.kit import Doorbell, Kit, Relay, SilentDoorbell
from campaign.assets import asset
from campaign.clock import Clock, SystemClock
from campaign.domain.errors import BadInput, NotReady
from campaign.domain.findings import Finding
from campaign.domain.records.dkim import Selector
from campaign.keys import Keyring
from campaign.logs import set_up_logs
from campaign.mail.dkim import NamedKey, Signer
from campaign.mail.renderer import Renderer
from campaign.mail.transport import Transport
from campaign.settings import Mistake, Settings, load_settings, usable_settings
from campaign.store import migrations
from campaign.store.engine import Store

if TYPE_CHECKING:
    from fastapi import FastAPI

_KEYS: Final = ("secret_keys", "suppression_key", "seal_keys")


@dataclass(frozen=True, slots=True)
class Parts:
    """What may stand in for the usual tools: a travelled clock, a daemon's doorbell, one relay instead of all."""

    clock: Clock | None = None
    doorbell: Doorbell | None = None
    transport: Transport | None = None


@asynccontextmanager
async def kit(settings: Settings, *, operator: str, parts: Parts | None = None) -> AsyncIterator[Kit]:
    """Open a kit on a database that is up to date, and close it at the end of the block.

    Raises SettingsMissing without keys, NotReady where `campaign init` never ran, SchemaBehind after an update of ours.
    """
    tools = assemble(settings, operator=operator, parts=parts)
    async with closing(tools):
        yield tools


def assemble(settings: Settings, *, operator: str, parts: Parts | None = None) -> Kit:
    """Join the tools. Nothing is opened yet; use them within `closing`."""
    settings.require(*_KEYS)
    parts = parts or Parts()
    clock = parts.clock or SystemClock()
    keys = Keyring(
        clock,
        secrets=settings.secret_keys,
        suppression=settings.suppression_key or b"",
        seals=settings.seal_keys,
    )
    return Kit(
        settings=settings,
        store=Store(settings.database_url),
        clock=clock,
        keys=keys,
        renderer=Renderer([settings.home / "templates", asset("templates")]),
        doorbell=parts.doorbell or SilentDoorbell(),
        operator=operator,
        relays=(Relay(parts.transport),) if parts.transport else relays(settings),
        signer=signer(settings),
    )


@asynccontextmanager
async def closing(tools: Kit) -> AsyncIterator[None]:
    """Look at the database first, and close everything at the end of the block."""
    try:
        await _require_database(tools.store, tools.settings)
        yield
    finally:
        await tools.renderer.aclose()
        await tools.store.close()


def relays(settings: Settings) -> tuple[Relay, ...]:
    """Return the relays that the settings name."""
    if not settings.relays:
        return ()
    from campaign.mail.smtp import SmtpOptions, SmtpTransport  # noqa: PLC0415 -- most commands send nothing

    return tuple(
        Relay(
            SmtpTransport(SmtpOptions.from_url(one.url, name=one.name)),
            weight=one.weight,
            connections=one.connections,
            limits=one.limits,
        )
        for one in settings.relays
    )


def signer(settings: Settings) -> Signer | None:
    """Return what signs letters in the name of the sender's domain, if there is a key for that."""
    if not settings.dkim_keys or settings.sender is None:
        return None
    named = zip(settings.dkim_selectors, settings.dkim_keys, strict=True)
    return Signer(settings.sender.address.domain, [NamedKey(selector, key) for selector, key in named])


async def examine(home: Path | None, *, selector: str = "", offline: bool = False) -> list[Finding]:
    """Look at an installation, however little of it is there, and say what to mend; see `actions.examining`."""
    from campaign.actions import examining  # noqa: PLC0415 -- one command needs it, and it loads the wire and the DNS
    from campaign.mail.smtp import SmtpOptions  # noqa: PLC0415 -- most commands send nothing

    settings, mistakes = usable_settings(home)
    ways = []
    for one in settings.relays:
        where = "CAMPAIGN_SMTP_URL" if settings.smtp_url else f"config/relays.toml, [relays.{one.name}]: url"
        try:
            ways.append(examining.Way(SmtpOptions.from_url(one.url, name=one.name), where))
        except BadInput as error:
            mistakes.append(Mistake(where, "as it is set", error.message, error.remedy))
    patient = examining.Patient(settings, tuple(mistakes), SystemClock(), tuple(ways), _selectors(settings, selector))
    return await examining.examine(patient, offline=offline)


def _selectors(settings: Settings, named: str) -> tuple[Selector, ...]:
    """Return where receivers find the keys of signatures in the sender's name: ours, and the relay's if named."""
    if settings.sender is None:
        return ()
    domain = settings.sender.address.domain
    public = (key.record.rpartition("p=")[2] for key in settings.dkim_keys)
    ours = {name: Selector(name, domain, key) for name, key in zip(settings.dkim_selectors, public, strict=True)}
    relays = {named: Selector(named, domain)} if named else {}
    return tuple((relays | ours).values())


async def upgrade_database(settings: Settings) -> tuple[str | None, str]:
    """Bring the database to the newest revision, making it where there is none; return revisions before and after."""
    async with _store(settings) as store:
        return await migrations.upgrade(store, asset("alembic"))


async def database_revision(settings: Settings) -> tuple[str | None, str]:
    """Return the revision the database is at (None: never set up) and the newest one."""
    async with _store(settings) as store:
        there = store.file is None or store.file.exists()
        return (await migrations.current(store) if there else None), migrations.HEAD


async def database_differences(settings: Settings) -> list[str]:
    """Compare the tables with what this version expects; none is good."""
    async with _store(settings) as store:
        await _require_database(store, settings)
        return await migrations.differences(store, asset("alembic"))


def web() -> FastAPI:
    """Make the pages by themselves, for an ASGI server: `uvicorn --factory campaign.bootstrap:web`."""
    from campaign.web.app import create_app  # noqa: PLC0415 -- FastAPI is slow to load, and commands need no pages

    settings = load_settings()
    set_up_logs(settings.log_format, settings.log_level)
    tools = assemble(settings, operator="web")
    return create_app(tools, lifespan=lambda _: closing(tools))


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    store = Store(settings.database_url)
    try:
        yield store
    finally:
        await store.close()


async def _require_database(store: Store, settings: Settings) -> None:
    """Say what is missing instead of making an empty database in a folder that happened to be the current one."""
    if store.file and not store.file.exists():
        msg = f"There is no Campaign database at {store.file}."
        raise NotReady(
            msg, remedy=f"Run campaign init, or name the right folder: campaign --home DIR. (Home is {settings.home}.)"
        )
    await migrations.require_current(store)
