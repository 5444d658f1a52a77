"""Where the folders are that travel with the code: templates, migrations, configuration. It never reads a file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from campaign.domain.errors import CampaignError

_PACKAGE: Final = Path(__file__).resolve().parent


class AssetMissing(CampaignError):
    """A folder that belongs to Campaign is not there: the installation is broken."""

    code = "asset_missing"


def asset(name: str, package: Path = _PACKAGE) -> Path:
    """Return the folder (or file) `name`: "templates", "alembic", "config" or a path below one of them.

    A checkout keeps them beside the package. A wheel brings them inside as `_assets`; an editable install may hold
    stale copies there, but then the package is the checkout and its own folders win.
    """
    for root in (package.parent, package / "_assets"):
        if _is_ours(root, package) and (root / name).exists():
            return root / name
    msg = f"The folder '{name}' that belongs to Campaign is missing beside {package}."
    raise AssetMissing(msg, remedy="Install Campaign again.")


def _is_ours(root: Path, package: Path) -> bool:
    """Keep a stray `config` in site-packages from being taken for ours: a checkout has a pyproject.toml."""
    return root != package.parent or (root / "pyproject.toml").is_file()
