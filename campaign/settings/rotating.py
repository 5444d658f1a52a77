"""Puts a fresh seal key before the others in `.env`, or takes all but the newest out. It touches nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from campaign.domain.errors import Conflict

SEAL_KEY: Final = "CAMPAIGN_SEAL_KEY"
_LINE: Final = re.compile(
    rf"^(?P<name>\s*(?:export\s+)?{SEAL_KEY}\s*=\s*)(?P<quote>['\"]?)(?P<keys>[^'\"#\s]*)(?P=quote)", re.MULTILINE
)


def add_seal_key(env: Path, key: str) -> None:
    """Put a key before those in `.env`, in one step: the file is whole at every moment, and stays private.

    Raises Conflict where the keys do not stand in this file, with what to do instead.
    """
    _rewrite(env, lambda keys: [key, *keys])


def keep_newest_seal_key(env: Path) -> int:
    """Take all seal keys but the newest out of `.env`; return how many those were."""
    dropped = 0

    def newest(keys: list[str]) -> list[str]:
        nonlocal dropped
        dropped = len(keys) - 1
        return keys[:1]

    _rewrite(env, newest)
    return dropped


def _rewrite(env: Path, change: Callable[[list[str]], list[str]]) -> None:
    if os.environ.get(SEAL_KEY) or os.environ.get(f"{SEAL_KEY}_FILE"):
        msg = f"{SEAL_KEY} comes from the environment, not from {env}."
        raise Conflict(msg, remedy="Put the new key before the old one there, with a comma, and run it again.")
    text = env.read_text(encoding="utf-8") if env.exists() else ""
    found = list(_LINE.finditer(text))
    if len(found) != 1 or not found[0]["keys"]:
        msg = f"{env} has no line {SEAL_KEY}=… with the keys in it."
        raise Conflict(msg, remedy="Put the new key before the old one where it is kept, with a comma.")
    keys = change([key for key in found[0]["keys"].split(",") if key])
    line = f"{found[0]['name']}{found[0]['quote']}{','.join(keys)}{found[0]['quote']}"
    new = f"{text[: found[0].start()]}{line}{text[found[0].end() :]}"
    aside = env.with_name(f"{env.name}.new")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 -- by handle, private from its first byte
        file.write(new)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(env)
