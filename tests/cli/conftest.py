"""Homes for the command line: set up once, copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.programs import campaign


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home right after `campaign init`, to be copied and never used."""
    folder = tmp_path_factory.mktemp("pristine")
    done = campaign("init", home=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def made(pristine: Path, tmp_path: Path) -> Path:
    """A home of this test's own that was set up."""
    return shutil.copytree(pristine, tmp_path / "made")
