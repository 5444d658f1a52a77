"""What tests use to run programs: one that hangs must fail its test, and say where it hangs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.programs import Started, environment

HANGS = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(flush=True)\ntime.sleep(600)"


def a_block_that_fails() -> None:
    words = [sys.executable, "-c", HANGS]
    with Started(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        running.stdout.readline()
        raise ZeroDivisionError


@pytest.mark.timeout(20)
def test_a_program_does_not_outlive_a_block_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        a_block_that_fails()
    assert 'File "<string>", line ' in capsys.readouterr().out
