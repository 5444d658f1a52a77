"""The tour in README.md works as it is written: its commands run, and print what it shows."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from campaign.runtime.catcher import Catcher
from tests.house.source import ROOT
from tests.house.tour import Command, Written, steps

README = (ROOT / "README.md").read_text(encoding="utf-8")
TOUR = steps(README)
_TOLD_BY_THE_DAY = re.compile(r"[0-9]|\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b|…")
_TOLD_BY_REVIEWS = re.compile(r"^Warning:|^Articles in it:|no room|other language|past its review")
"""Which shipped articles and helplines are still good depends on the day, too."""


@pytest.mark.timeout(300)
async def test_the_tour_runs_as_it_is_written(tmp_path: Path) -> None:
    caught = Catcher(tmp_path / "caught")
    await caught.start()
    home = tmp_path / "letters"
    home.mkdir()
    try:
        for step in TOUR:
            if isinstance(step, Written):
                text = step.text.replace("127.0.0.1:2525", f"127.0.0.1:{caught.port}")
                with (home / step.name).open("a", encoding="utf-8") as file:
                    file.write(text)
            else:
                printed = await _run(step, home)
                for line in _steady(step.shown):
                    assert line in _spaced(printed), f"$ {step.line}\n{printed}"
    finally:
        await caught.stop()
    assert caught.letters


async def _run(step: Command, home: Path) -> str:
    words = shlex.split(step.line)
    assert words[0] == "campaign", step.line
    program = [sys.executable, "-m", "campaign", *words[1:]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        *program, cwd=home, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, f"$ {step.line}\n{printed.decode()}"
    return printed.decode().replace(f"{home}/", "").replace(str(home), ".")


def _steady(shown: str) -> list[str]:
    """The lines that are the same on every day and machine: those without figures, weekdays and dots of omission."""
    told = (_TOLD_BY_THE_DAY, _TOLD_BY_REVIEWS)
    return [_spaced(line) for line in shown.splitlines() if line.strip() and not any(one.search(line) for one in told)]


def _spaced(text: str) -> str:
    return " ".join(text.split())


def test_the_tour_is_a_whole_one() -> None:
    lines = " ".join(step.line for step in TOUR if isinstance(step, Command))
    for verb in (
        "init",
        "subscribers import",
        "articles import",
        "new",
        "preview",
        "approve",
        "run",
        "status",
        "subscribers leave",
    ):
        assert f"campaign {verb}" in lines


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_every_file_the_readme_links_to_is_there(target: str) -> None:
    assert (ROOT / target).exists()
