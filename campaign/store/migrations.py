"""Brings a database to the present schema with Alembic, from code. It never changes rows that people wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, inspect, text

from campaign.domain.errors import CampaignError
from campaign.store.engine import Store
from campaign.store.schema import METADATA, alerts, content, ledger, operators, people

if TYPE_CHECKING:
    from alembic.config import Config

HEAD: Final = "0007"
"""The newest revision in alembic/versions; it stands here, too, so that commands which only look need no Alembic."""

_ROOMS: Final = (people, content, ledger, operators, alerts)
_OURS_BY_HAND: Final = "article_search"
_VERSIONS: Final = "alembic_version"
"""Where Alembic writes down the revision (its default name)."""


class SchemaBehind(CampaignError):
    """The database is older than this version of Campaign, or was never set up."""

    code = "schema_behind"


async def upgrade(store: Store, scripts: Path) -> tuple[str | None, str]:
    """Bring the database to the newest revision, in one transaction; return the revision before and after."""
    from alembic import command

    before = await current(store)
    async with store.begin() as tx:
        await tx.run_sync(lambda connection: command.upgrade(_config(scripts, connection), "head"))
    return before, newest(scripts)


async def current(store: Store) -> str | None:
    """Return the revision the database is at, or None when it was never set up."""
    async with store.read() as tx:
        if not await tx.run_sync(lambda connection: inspect(connection).has_table(_VERSIONS)):
            return None
        found: str | None = (await tx.execute(text(f"SELECT version_num FROM {_VERSIONS}"))).scalar_one_or_none()  # noqa: S608 -- our constant
        return found


def newest(scripts: Path) -> str:
    """Return the newest revision that this version of Campaign knows."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config(scripts)).get_current_head() or ""


async def require_current(store: Store) -> None:
    """Raise SchemaBehind unless the database is at the newest revision."""
    if await current(store) != HEAD:
        raise SchemaBehind(remedy="Run: campaign db upgrade (or campaign init for a new folder).")


async def differences(store: Store, scripts: Path) -> list[str]:
    """Compare the tables with what the code expects; return the differences in words (none is good)."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    del scripts

    def compare(connection: Connection) -> list[str]:
        context = MigrationContext.configure(connection, opts={"include_name": _include_name})
        return [repr(difference) for difference in compare_metadata(context, METADATA)]

    async with store.read() as tx:
        return await tx.run_sync(compare)


def run_environment(context: Any) -> None:
    """Do what alembic/env.py is for, on the connection in the configuration's attributes."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        render_as_batch=True,
        include_name=_include_name,
        transaction_per_migration=False,
    )
    context.run_migrations()


def _include_name(name: str | None, kind: str, _parents: object) -> bool:
    """Leave the search tables alone, which are made by hand for each database."""
    return not (kind == "table" and (name or "").startswith(_OURS_BY_HAND))


def _config(scripts: Path, connection: Connection | None = None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
