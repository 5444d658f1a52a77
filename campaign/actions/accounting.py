"""Writes down what became of every letter of an edition or a campaign, for other programs. It never moves a letter."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from campaign.actions import auditing, reporting
from campaign.actions.auditing import Deed
from campaign.actions.filing import whole_file
from campaign.actions.kit import Kit
from campaign.domain.delivery import State
from campaign.domain.rows import guarded

_BOM: Final = "\ufeff"
_LINES: Final = frozenset({".jsonl", ".ndjson"})


async def export(kit: Kit, target: str, path: Path, state: State | None = None) -> int:
    """Write one line for each letter into a file that only its owner can read, whole or not at all; return how many.

    JSON lines where the name ends in .jsonl or .ndjson, else CSV that no spreadsheet runs. A file that is there is
    replaced.
    """
    lines, count = path.suffix.lower() in _LINES, 0
    with whole_file(path) as file:
        sheet = csv.writer(file)
        if not lines:
            file.write(_BOM)
            sheet.writerow(reporting.COLUMNS)
        async for row in reporting.deliveries(kit, target, state):
            if lines:
                file.write(json.dumps(_plain(row), ensure_ascii=False) + "\n")
            else:
                sheet.writerow(guarded("" if value is None else str(value)) for value in _plain(row).values())
            count += 1
    async with kit.store.begin() as tx:
        after = {"rows": count, "state": state and state.value}
        await auditing.note(kit, tx, Deed("delivery.export", target, after=after))
    return count


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give a row's columns in their order, instants in ISO 8601."""
    values = {name: row[name] for name in reporting.COLUMNS}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}
