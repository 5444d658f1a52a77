"""Runs a verb for a command: home, settings, database, kit, event loop. It never decides anything about the verb."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from campaign.cli.output import warn

if TYPE_CHECKING:
    from campaign.actions.kit import Kit
    from campaign.settings import Settings

T = TypeVar("T")

_HOME: Final[ContextVar[Path | None]] = ContextVar("campaign_home", default=None)
_COMMAND: Final[ContextVar[tuple[str, str]]] = ContextVar("campaign_command", default=("", ""))
_KEYS: Final = ("secret_keys", "suppression_key", "seal_keys")


def use_home(home: Path | None) -> None:
    """Remember what `--home` said, for this command."""
    _HOME.set(home)


def use_command(group: str, command: str) -> None:
    """Remember which command this is, because an operator may do some and not others."""
    _COMMAND.set((group, command))


def home_asked() -> Path | None:
    """Return what `--home` said, if it was there."""
    return _HOME.get()


def settings_here() -> Settings:
    """Read the settings of the home that `--home`, CAMPAIGN_HOME or the current folder names."""
    from campaign.settings import load_settings

    return load_settings(_HOME.get())


def operator() -> str:
    """Name who types: whom CAMPAIGN_OPERATOR names, else the system user, as `local:<user>`."""
    if named := os.environ.get("CAMPAIGN_OPERATOR", "").strip():
        return f"local:{named}"
    try:
        return f"local:{getpass.getuser()}"
    except (KeyError, OSError):  # a container may run under a number that has no name
        return f"local:{os.getuid()}"


def with_kit(verb: Callable[[Kit], Awaitable[T]], *needs: str) -> T:
    """Run `verb` with a kit for this home and return its answer.

    `needs` are attributes of Settings that this verb cannot do without; they are named all at once when missing, and
    what the settings warn about is only said to a verb that needs some.
    """
    settings = settings_here()
    settings.require(*_KEYS, *needs)
    if needs:
        for warning in settings.warnings:
            warn(warning)

    from campaign.logs import set_up_logs

    set_up_logs(settings.log_format, "debug" if settings.log_level == "debug" else "warning")

    async def run() -> T:
        from campaign import bootstrap
        from campaign.actions import staffing
        from campaign.domain.operators import right_for

        async with bootstrap.kit(settings, operator=operator()) as kit:
            await staffing.require(kit, right_for(*_COMMAND.get()))
            return await verb(kit)

    return asyncio.run(run())
