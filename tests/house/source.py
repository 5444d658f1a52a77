"""The code as the house's own tests see it: files, syntax trees, comments. It judges nothing."""

from __future__ import annotations

import ast
import subprocess
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
_CODE: Final = ("campaign", "tests", "benchmarks", "alembic")


@cache
def tracked() -> tuple[Path, ...]:
    """Everything that is, or is about to be, in the repository; outside one (an unpacked sdist), everything there is."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        return tuple(path for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts)
    names = listed.stdout.decode().rstrip("\0").split("\0")
    return tuple(path for path in (ROOT / name for name in names) if path.is_file())


def modules(*folders: str) -> list[Path]:
    """Python files below these folders (default: all our code)."""
    wanted = tuple(ROOT / folder for folder in folders or _CODE)
    return sorted(
        path for path in tracked() if path.suffix == ".py" and any(path.is_relative_to(top) for top in wanted)
    )


def name(path: Path) -> str:
    """A path as people write it."""
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Each comment of a module with its line."""
    with path.open("rb") as stream:
        for token in tokenize.tokenize(stream.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
