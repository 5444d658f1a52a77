"""Imports only go downstairs and each machine has one room. The contracts stand in pyproject.toml; this proves they bite."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import ROOT

LINT = [sys.executable, str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]


def _lint(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(LINT, cwd=root, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(root)})


def test_the_house_stands() -> None:
    linted = _lint(ROOT)
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "campaign", root / "campaign", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", root / "pyproject.toml")
    return root


def test_every_contract_breaks_when_it_is_broken(copy: Path) -> None:
    """One planted module per contract, all in one run, because each run reads the whole house."""
    planted = {
        "domain/planted.py": "import campaign.settings\nimport sqlalchemy\n",
        "mail/planted.py": "import campaign.store\nimport sqlalchemy\nimport apscheduler\nimport jinja2\nimport aiosmtplib\n",
        "actions/planted.py": "import fastapi\nimport typer\nimport dotenv\nimport vobject\nimport procrastinate\nimport dns\n",
        "homeless.py": "",
    }
    for name, text in planted.items():
        (copy / "campaign" / name).write_text(text)
    linted = _lint(copy)
    assert linted.returncode != 0
    assert "homeless" in linted.stdout + linted.stderr, "a room without a floor goes unnoticed"
    (copy / "campaign" / "homeless.py").unlink()
    broken = {line.rpartition(" BROKEN")[0] for line in _lint(copy).stdout.splitlines() if " BROKEN" in line}
    kept = {line for line in _lint(copy).stdout.splitlines() if " KEPT" in line}
    assert broken
    assert not kept
