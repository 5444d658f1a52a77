"""Writes the `.env` of a new home, with fresh keys in it. It never changes a line that is there."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_PRIVATE: Final = 0o600
_OTHERS: Final = 0o077


def write_env(path: Path, template: str, keys: Mapping[str, str]) -> bool:
    """Make the file from `template` with `keys` filled in, or add the keys to one that is there; for its owner only.

    Returns whether the file is new. Raises OSError where the folder cannot be written to. A file that appears in the
    meantime is kept: whoever was first wins, and FileExistsError is raised.
    """
    if path.exists():
        text = path.read_text(encoding="utf-8-sig")
        lines = "".join(f'{name}="{key}"\n' for name, key in keys.items())
        path.chmod(_PRIVATE)
        with path.open("a", encoding="utf-8") as file:
            file.write(("" if text.endswith("\n") or not text else "\n") + lines)
            _flush(file.fileno())
        return False
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".env.{os.getpid()}.new")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w", encoding="utf-8") as file:
            file.write(_filled(template, keys))
            _flush(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return True


def readable_by_others(path: Path) -> bool:
    """Whether somebody else on this machine may read the file."""
    return path.exists() and bool(path.stat().st_mode & _OTHERS)


def _filled(template: str, keys: Mapping[str, str]) -> str:
    """Put each key where the template has its variable, or at the end where it has none."""
    text, rest = template, []
    for name, key in keys.items():  # a key is URL-safe base64: no sign in it means anything to re.sub
        line = f'{name}="{key}"'
        text, count = re.subn(rf"^#?[ \t]*{re.escape(name)}=.*$", line, text, count=1, flags=re.MULTILINE)
        if not count:
            rest.append(line)
    return "\n".join([text.rstrip("\n"), *rest, ""])


def _flush(descriptor: int) -> None:
    """Let the keys survive a power cut: without them nothing sealed can be opened."""
    os.fsync(descriptor)
