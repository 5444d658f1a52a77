"""The drawn lives in docs/lifecycle.md are those of the transition tables."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_lifecycle_page_is_what_the_tables_draw() -> None:
    spec = importlib.util.spec_from_file_location("draw", ROOT / "docs" / "draw.py")
    assert spec is not None
    assert spec.loader is not None
    draw = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw)
    assert draw.PAGE.read_text(encoding="utf-8") == draw.page(), "run: python docs/draw.py"
