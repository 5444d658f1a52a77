"""What users install: a wheel, built without a network, that works in a fresh environment, far from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from campaign import __version__
from tests.house.source import ROOT

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]


def _run(*command: str | Path, cwd: Path, **environ: str) -> str:
    """Run a program with nothing of ours in its environment; return what it said."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={"PATH": os.defpath, "LANG": "C.UTF-8", **environ},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _build(kind: str, root: Path, target: Path) -> Path:
    _run(sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", target, cwd=root)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def campaign(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in a fresh environment that has the wheel, and borrows only the libraries from this one."""
    venv = tmp_path_factory.mktemp("fresh") / "venv"
    _run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=Path("/"))
    python = venv / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    _run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=Path("/"))
    (libraries,) = (venv / "lib").glob("python*/site-packages")
    (libraries / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return venv / "bin" / "campaign"


def test_it_runs_from_anywhere_and_is_not_the_checkout(campaign: Path) -> None:
    assert __version__ in _run(campaign, "--version", cwd=Path("/"))
    where = _run(campaign.with_name("python"), "-c", "import campaign; print(campaign.__file__)", cwd=Path("/"))
    assert Path(where.strip()).is_relative_to(campaign.parents[1])


def test_it_sets_up_a_home(campaign: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    for _ in range(2):
        _run(campaign, "init", "--home", home, cwd=Path("/"), HOME=str(tmp_path))
    assert (home / ".env").stat().st_mode & 0o077 == 0
    assert (home / "campaign.db").is_file()
    assert "CAMPAIGN_SENDER" in (home / ".env").read_text()


def test_it_brings_every_folder_that_travels_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for name in ("config/default.toml", "config/key_dates.toml", "alembic/env.py", "templates/", ".env.example"):
        assert any(found.startswith(f"campaign/_assets/{name}") for found in names), name
    tops = {name.split("/")[0] for name in names}
    assert tops == {"campaign", f"campaign-{__version__}.dist-info"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_source_archive_is_enough_to_build_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    sdist = _build("sdist", ROOT, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    for name in ("Makefile", "requirements/run.txt", "tests/conftest.py", "LICENSE", ".env.example"):
        assert (unpacked / name).is_file(), name
    again = _build("wheel", unpacked, tmp_path / "again")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())
