"""The repository names no place that only one of us has: no folder of somebody's machine, no host that packages come from."""

from __future__ import annotations

import re
from typing import Final

from tests.house import source

_HOSTS: Final = (
    ("py", "pi.org"), ("python", "hosted.org"), ("npm", "js.org"), ("npm", "js.com"), ("deb.", "debian.org"),
    ("crates", ".io"), ("proxy.", "golang.org"), ("repo1.", "maven.org"),
)  # fmt: skip
_FOLDERS: Final = ("work", "farm", "home/[a-z_]+", "root", "Users")

HOST: Final = re.compile("|".join(re.escape("".join(parts)) for parts in _HOSTS), re.IGNORECASE)
FOLDER: Final = re.compile(rf"(?<![\w./~{{}}$-])/(?:{'|'.join(_FOLDERS)})/")
"""Written in pieces, so that these patterns do not find themselves."""


def _texts() -> dict[str, list[str]]:
    found = {}
    for path in source.tracked():
        try:
            found[source.name(path)] = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture names nobody
    return found


def test_no_package_index_is_named() -> None:
    wrong = [
        f"{name}:{n}: {line[:120]}"
        for name, lines in _texts().items()
        for n, line in enumerate(lines, 1)
        if HOST.search(line)
    ]
    assert not wrong, "\n".join(["", *wrong])


def test_no_folder_of_a_machine_is_named() -> None:
    wrong = [
        f"{name}:{n}: {line[:120]}"
        for name, lines in _texts().items()
        for n, line in enumerate(lines, 1)
        if FOLDER.search(line)
    ]
    assert not wrong, "\n".join(["", *wrong])


def test_no_lock_with_addresses_is_kept() -> None:
    assert not [name for name in _texts() if name.endswith(("uv.lock", "pylock.toml"))]


def test_the_patterns_find_what_they_are_for() -> None:
    assert HOST.search("https://files.python" + "hosted.org/packages")
    for folder in ("work", "root", "home/somebody", "Users"):
        assert FOLDER.search(f'path = "/{folder}/project"')
    assert not FOLDER.search("https://example.org/work/x")
    assert not FOLDER.search("docs/work/x")
