"""How commands write rows that may be millions: as they come, never all in memory. It never asks for any."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

import typer
from rich.cells import cell_len

from campaign.cli.output import json_text, one_line, say

Rows = AsyncGenerator[Mapping[str, Any], None]
"""Rows that are closed as soon as nobody reads any more, such as `head` after its tenth line."""

_FIRST: Final = 200
"""So many rows decide how wide the columns are."""


async def write_json(rows: Rows) -> None:
    """Write rows as one JSON array, a row on each line."""
    separator = "[\n"  # with the first row: where there can be none, an error stands alone
    async with aclosing(rows):
        async for row in rows:
            typer.echo(f"{separator}{json_text(row)}", nl=False)
            separator = ",\n"
    typer.echo("\n]" if separator == ",\n" else "[]")


async def write_table(columns: Sequence[str], rows: Rows, *, empty: str) -> None:
    """Write some columns of rows, aligned; a value that is wider than those before it moves the rest of its line."""
    lines: list[list[str]] = [list(columns)]
    widths: list[int] | None = None
    async with aclosing(rows):
        async for row in rows:
            lines.append([_cell(row[name]) for name in columns])
            if len(lines) > _FIRST:
                widths = widths or _widths(lines)
                _write(lines, widths)
                lines.clear()
    if widths is None and len(lines) == 1:
        say(empty)
        return
    _write(lines, widths or _widths(lines))


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else one_line(value)


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cell_len, cells)) for cells in zip(*lines, strict=True)]


def _write(lines: Sequence[Sequence[str]], widths: Sequence[int]) -> None:
    for line in lines:
        padded = (text + " " * max(width - cell_len(text), 0) for text, width in zip(line, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())
