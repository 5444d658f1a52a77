"""`campaign --help` answers at once, because nothing heavy is imported before a command is chosen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = [
    "aiosmtplib",
    "alembic",
    "apscheduler",
    "cryptography",
    "fastapi",
    "jinja2",
    "pydantic_settings",
    "sqlalchemy",
    "structlog",
]
SCRIPT = f"""
import sys
from campaign.__main__ import run
sys.argv = ["campaign", "--help"]
try:
    run()
finally:
    print("LOADED", *sorted(set({HEAVY!r}) & sys.modules.keys()))
"""


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Usage" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1].strip() == "LOADED"
