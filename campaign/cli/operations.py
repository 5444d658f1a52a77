"""Commands that set up a home and look after its database. They never touch what people wrote."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Annotated, Final

import typer

from campaign.cli.output import as_json, hint, record, say, warn
from campaign.cli.running import settings_here, with_kit
from campaign.domain.errors import CampaignError, Conflict

if TYPE_CHECKING:
    from campaign.settings import Settings

operations_app = typer.Typer()
db_app = typer.Typer(help="Upgrade and check the database.", no_args_is_help=True)

_KEYS: Final = {
    "secret_keys": "CAMPAIGN_SECRET_KEY",
    "suppression_key": "CAMPAIGN_SUPPRESSION_KEY",
    "seal_keys": "CAMPAIGN_SEAL_KEY",
}

_PRIVATE: Final = 0o077
"""The umask of a home: what is made in it belongs to its owner alone."""

Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]


@operations_app.callback()
def _operations() -> None:
    """Commands that stand at the top."""


@operations_app.command("init")
def init() -> None:
    """Make a home in the folder that --home names (default: the current one): settings, keys, database, articles.

    Safe to repeat: keys, settings and articles that are there stay as they are.
    """
    os.umask(_PRIVATE)
    _make_settings()
    settings = settings_here()
    _make_database(settings)
    _bring_content()
    _say_next(settings)


@db_app.command("upgrade")
def upgrade() -> None:
    """Bring the database to the schema of this version."""
    _make_database(settings_here())


@db_app.command("current")
def current(*, json: Json = False) -> None:
    """Show which schema the database has, and which this version needs."""
    from campaign import bootstrap

    found, newest = asyncio.run(bootstrap.database_revision(settings_here()))
    if json:
        as_json({"current": found, "newest": newest, "up_to_date": found == newest})
        return
    record([("database", found or "never set up"), ("this version", newest)])
    if found != newest:
        hint("Run: campaign db upgrade")


@db_app.command("replay")
def replay() -> None:
    """After restoring a backup: tell the database who left or was erased since. The daemon's start does it, too."""
    from campaign.actions import journaling

    told = with_kit(journaling.replay)
    say(
        f"{told:,} wishes from the journal are in force again."
        if told
        else "The database knows all that the journal says."
    )


@db_app.command("check")
def check() -> None:
    """Compare the tables with what this version expects; exit status 1 when they differ."""
    from campaign import bootstrap

    differences = asyncio.run(bootstrap.database_differences(settings_here()))
    for difference in differences:
        say(difference)
    if differences:
        msg = f"The database differs from what this version expects in {len(differences)} places."
        raise CampaignError(msg, remedy="Restore a backup, or undo what was changed by hand.")
    say("The database is up to date and has the tables that this version expects.")


def _make_settings() -> None:
    """Write `.env`, or the keys that are missing in it."""
    from campaign.assets import asset
    from campaign.clock import SystemClock
    from campaign.keys import fresh_key
    from campaign.settings import fresh

    settings = settings_here()
    path = settings.home / ".env"
    missing = [variable for attribute, variable in _KEYS.items() if not getattr(settings, attribute)]
    if missing and _is_in_use(settings):
        msg = f"The database was made with keys that are not in {path}: {', '.join(missing)}."
        raise Conflict(msg, remedy="Put the keys back from your backup. Without them its addresses cannot be opened.")
    if missing or not path.exists():
        template = asset(".env.example").read_text(encoding="utf-8")
        clock = SystemClock()
        new = fresh.write_env(path, template, {variable: fresh_key(clock) for variable in missing})
        say(f"{'Wrote' if new else 'Added to'} {path}: {_count(len(missing), 'fresh key')}.")
        if missing:
            hint("Keep a copy of its keys in a safe place: without them nobody can open the addresses again.")
    else:
        say(f"Kept {path} and its keys.")
        if fresh.readable_by_others(path):
            warn(f"Other people on this machine can read {path}. Run: chmod 600 {path}")


def _is_in_use(settings: Settings) -> bool:
    """Whether there is a database that was set up before."""
    from campaign import bootstrap

    found, _ = asyncio.run(bootstrap.database_revision(settings))
    return found is not None


def _make_database(settings: Settings) -> None:
    from campaign import bootstrap

    before, after = asyncio.run(bootstrap.upgrade_database(settings))
    if before == after:
        say(f"The database is up to date ({after}).")
    else:
        say(f"{'Upgraded' if before else 'Made'} the database ({before + ' -> ' if before else ''}{after}).")


def _bring_content() -> None:
    """Check the key dates and add the starter articles that are not there."""
    from campaign.actions import publishing

    dates = with_kit(publishing.key_dates)
    say(f"Found {_count(len(dates), 'key date')}.")
    brought = with_kit(publishing.import_starters)
    kept = f", kept {len(brought.unchanged)}" if brought.unchanged else ""
    say(f"Added {_count(len(brought.added), 'starter article')}{kept}.")


def _say_next(settings: Settings) -> None:
    """Name what sending still needs, and the first steps."""
    missing = [
        variable
        for name, variable in (
            ("sender", "CAMPAIGN_SENDER"),
            ("smtp_url", "CAMPAIGN_SMTP_URL"),
            ("base_url", "CAMPAIGN_BASE_URL"),
            ("postal_address", "CAMPAIGN_POSTAL_ADDRESS"),
        )
        if not getattr(settings, name)
    ]
    if missing:
        hint(f"\nBefore you send, set in {settings.home / '.env'}: {', '.join(missing)}.")
        hint("Then see whether all is well: campaign doctor")
    hint(
        "\nNext:\n"
        "  campaign lists add supporters\n"
        '  campaign subscribers import people.csv --list supporters --consent "wording, where, when"\n'
        "  campaign new world-day --key-date world-day-against-trafficking --list supporters --remind 7d --on-the-day\n"
        "  campaign preview world-day"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
