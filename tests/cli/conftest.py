"""Homes for the command line: set up once, copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.runtime.catcher import Catcher
from tests.cli.homes import Typist, a_relay, invite, settle
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


@pytest.fixture(scope="session")
def peopled_once(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with settings that can send and 25 people on the list `supporters`, to be copied and never used."""
    folder = shutil.copytree(pristine, tmp_path_factory.mktemp("peopled") / "home")
    settle(folder)
    invite(folder)
    return folder


@pytest.fixture
def peopled(peopled_once: Path, tmp_path: Path) -> Path:
    """The same, of this test's own."""
    return shutil.copytree(peopled_once, tmp_path / "peopled")


@pytest.fixture
def relay(tmp_path: Path, peopled: Path) -> Iterator[Catcher]:
    """The relay of that home: what is sent to it can be counted."""
    with a_relay(tmp_path / "caught") as catcher:
        settle(peopled, CAMPAIGN_SMTP_URL=catcher.url)
        yield catcher


@pytest.fixture
def type_(peopled: Path, capsys: pytest.CaptureFixture[str]) -> Typist:
    """Somebody who types commands in that home."""
    return Typist(peopled, capsys)
