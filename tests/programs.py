"""Programs that tests borrow from the machine. What is missing skips a test, loudly; where CI is set it fails the test."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final, NoReturn

import pytest

CI: Final = bool(os.environ.get("CI"))
_MORE_PLACES: Final = ("/usr/sbin", "/usr/local/sbin", "/sbin")


def program(*names: str) -> Path:
    """Find the first of these programs, or give the test up."""
    places = os.pathsep.join([os.environ.get("PATH", ""), *_MORE_PLACES])
    for name in names:
        if found := shutil.which(name, path=places):
            return Path(found)
    return missing(f"{' or '.join(names)} is not installed")


def missing(what: str) -> NoReturn:
    """Skip here, fail in CI."""
    if CI:
        pytest.fail(f"{what}, and CI must have it (.ci/run installs it)")
    pytest.skip(what)
