"""Makes this checkout importable in the environment that runs it, and `campaign` a command there. It builds nothing."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_LAUNCHER = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import sys

from campaign.__main__ import run

sys.exit(run())
"""


def link() -> None:
    """Write one path file and one launcher; doing it again changes nothing.

    The launcher begins as a shell script, as pip's own do, because a #! line cannot hold a path with spaces.
    """
    paths = sysconfig.get_paths()
    Path(paths["purelib"], "campaign-checkout.pth").write_text(f"{_ROOT}\n", encoding="utf-8")
    launcher = Path(paths["scripts"], "campaign")
    launcher.write_text(_LAUNCHER.format(python=sys.executable), encoding="utf-8")
    launcher.chmod(0o755)


if __name__ == "__main__":
    if sys.prefix == sys.base_prefix:
        sys.exit("Run this with the Python of a virtual environment, as `make setup` does.")
    link()
