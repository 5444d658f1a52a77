"""How commands speak: sentences, tables, JSON, questions. It never lets foreign text steer the reader's terminal."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from campaign.domain.errors import BadInput, CampaignError

if TYPE_CHECKING:
    from rich.console import Console

_SEQUENCE: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, screen
    r"|(?:\x1b[\]P^_X]|[\x9d\x90\x9e\x9f\x98])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, PM, APC, SOS: titles
    r"|\x1b[ -/]*[0-~]?"  # every other escape
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_UNSAFE_IN_JSON: Final = re.compile(r"[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NARROW: Final = 12
"""A terminal with fewer characters for each column than this shows records one below the other."""


def harmless(text: object) -> str:
    """Give `text` without terminal sequences, control characters and turned reading direction; lines and tabs stay."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _SEQUENCE.sub("", str(text).replace("\r\n", "\n")))


def one_line(text: object) -> str:
    """Give `text` harmless and on one line."""
    return " ".join(harmless(text).split())


def say(text: object = "") -> None:
    """Write to the reader."""
    typer.echo(harmless(text))


def hint(text: object) -> None:
    """Write what is no part of the answer, such as what is next, to standard error: pipes stay clean."""
    typer.echo(harmless(text), err=True)


def colour() -> bool | None:
    """Say that nothing is coloured where NO_COLOR asks for it (no-color.org); else the terminal decides."""
    return False if os.environ.get("NO_COLOR") else None


def warn(text: object) -> None:
    """Write what works but should be looked at, to standard error."""
    typer.secho(f"Warning: {harmless(text)}", fg="yellow", err=True, color=colour())


def show_error(error: CampaignError) -> None:
    """Write what went wrong and what to do about it, to standard error."""
    typer.secho(f"Error: {harmless(error.message)}", fg="red", err=True, color=colour())
    if error.remedy:
        hint(error.remedy)


def as_json(rows: object) -> None:
    """Write values as JSON: times as RFC 3339 in UTC, dates as ISO 8601, bytes as hexadecimal digits."""
    typer.echo(json_text(rows, indent=2))


def json_text(value: object, *, indent: int | None = None) -> str:
    """Give a value as JSON that no terminal takes for a command."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=_plain)
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "Nothing yet.") -> None:
    """Write rows under column names: a table on a terminal, records on a narrow one, aligned whole lines in a pipe."""
    cells = [[one_line(_shown(value)) for value in row] for row in rows]
    if not cells:
        say(empty)
        return
    if not sys.stdout.isatty():
        _aligned(columns, cells)
        return
    screen = console()
    if screen.width < _NARROW * len(columns):
        for row in cells:
            record(zip(columns, row, strict=True))
            say()
        return
    _ruled(screen, columns, cells)


def record(pairs: Iterable[tuple[str, object]]) -> None:
    """Write one thing as `name: value` lines; what is not known is left out."""
    known = [(name, _shown(value)) for name, value in pairs if value not in (None, "", ())]
    width = max((len(name) for name, _ in known), default=0) + 1
    for name, value in known:
        lines = harmless(value).splitlines() or [""]
        say(f"{name + ':':<{width}} {lines[0]}")
        for line in lines[1:]:
            say(f"{'':<{width}} {line}")


def confirm(question: str, *, yes: bool) -> None:
    """Return when `--yes` was given or the reader agrees; end the command otherwise. Without a reader, BadInput."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInput(question, remedy="Nobody is here to answer. Add --yes if you mean it.")
    typer.echo(f"{harmless(question)} [y/N] ", err=True, nl=False)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        say("Nothing was changed.")
        raise typer.Exit(1)


def console() -> Console:
    """Give a Rich console for standard output; pass it `Text`, never foreign words as markup."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show how far something is, on a terminal's standard error; yields a function that takes what is done so far."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(one_line(label), total=total)
        yield lambda done: bar.update(task, completed=done)


def _aligned(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """Write whole cells in columns, without rules and colours: fit for grep and awk."""
    from rich.cells import cell_len

    lines = [list(columns), *cells]
    widths = [max(cell_len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        padded = (text + " " * (width - cell_len(text)) for text, width in zip(line, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def _ruled(screen: Console, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in columns:
        grid.add_column(Text(name), overflow="fold")
    for row in cells:
        grid.add_row(*(Text(cell) for cell in row))
    screen.print(grid)


def _shown(value: object) -> str:
    """Write a value for a reader: instants in UTC to the second, lists with commas, nothing as a dash."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(str(one) for one in value) or "-"
    return str(value)


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Path):
        return str(value)
    msg = f"{type(value).__name__} has no form in JSON."
    raise TypeError(msg)
