"""Reads the ten-minute tour out of README.md: files to write and commands to run, with the output that is shown there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_BLOCK: Final = re.compile(r"<!-- tour: (?P<name>\S+) -->\n+```\w*\n(?P<body>.*?)```", re.DOTALL)
COMMANDS: Final = "commands"


@dataclass(frozen=True, slots=True)
class Command:
    """One command line of the tour and what the README says it prints."""

    line: str
    shown: str


@dataclass(frozen=True, slots=True)
class Written:
    """A file that the tour asks the reader to write, or lines for one that is there."""

    name: str
    text: str


def steps(readme: str) -> list[Command | Written]:
    """Return what a reader of the tour does, in order."""
    found: list[Command | Written] = []
    for block in _BLOCK.finditer(readme):
        if block["name"] != COMMANDS:
            found.append(Written(block["name"], block["body"]))
            continue
        for part in re.split(r"^\$ ", block["body"], flags=re.MULTILINE)[1:]:
            line, _, shown = part.partition("\n")
            while line.endswith("\\"):
                more, _, shown = shown.partition("\n")
                line = line[:-1] + more.strip()
            found.append(Command(line, shown))
    return found
