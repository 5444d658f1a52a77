"""Assets are found beside a checkout and inside a wheel, and a stranger's folder is not taken for ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.assets import AssetMissing, asset


def test_a_checkout_keeps_them_beside_the_package() -> None:
    assert (asset("alembic") / "env.py").is_file()
    assert asset("config/default.toml").is_file()


def test_a_wheel_brings_them_inside_even_when_a_stranger_lies_beside_it(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "campaign"
    (package / "_assets" / "config").mkdir(parents=True)
    (tmp_path / "site-packages" / "config").mkdir()
    assert asset("config", package) == package / "_assets" / "config"


def test_a_checkout_does_not_use_stale_copies_of_an_editable_install(tmp_path: Path) -> None:
    package = tmp_path / "campaign"
    (package / "_assets" / "config").mkdir(parents=True)
    (tmp_path / "config").mkdir()
    (tmp_path / "pyproject.toml").touch()
    assert asset("config", package) == tmp_path / "config"


def test_a_broken_installation_says_so(tmp_path: Path) -> None:
    with pytest.raises(AssetMissing, match=r"'config'.*Install Campaign again"):
        asset("config", tmp_path / "campaign")
