"""Writes people down for other programs: as CSV that no spreadsheet runs and our own import reads, or as JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from campaign.actions import auditing, finding, merging
from campaign.actions.auditing import Deed
from campaign.actions.filing import whole_file
from campaign.actions.kit import Kit
from campaign.domain.rows import guarded
from campaign.store.roster import Entry

_FIELDS: Final = ("email", "name", "list", "state", "country", "language", "timezone", "topics")
_BOM: Final = "\ufeff"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """Whom to write down, and where: of one list and one state, or of all."""

    path: Path
    list: str | None = None
    state: str | None = None
    json: bool = False


async def export(kit: Kit, order: Order) -> int:
    """Write a file that only its owner can read, whole or not at all; return how many rows it has.

    A file that is there is replaced. In CSV each attribute has a column.
    """
    names = () if order.json else await _names(kit, order)
    with whole_file(order.path) as file:
        count = 0
        sheet = csv.writer(file)
        if not order.json:
            file.write(_BOM)
            sheet.writerow([*_FIELDS, *names])
        async for row in _rows(kit, order):
            if order.json:
                file.write(f"{',' if count else '['}\n  {json.dumps(row, ensure_ascii=False)}")
            else:
                sheet.writerow(map(guarded, _cells(row, names)))
            count += 1
        if order.json:
            file.write("\n]\n" if count else "[]\n")
    async with kit.store.begin() as tx:
        after = {"rows": count, "list": order.list, "state": order.state}
        await auditing.note(kit, tx, Deed("subscriber.export", order.path.name, after=after))
    return count


async def _entries(kit: Kit, order: Order) -> AsyncIterator[Entry]:
    async for entry in finding.entries(kit, order.list):
        if order.state is None or finding.state_of(entry) == order.state:
            yield entry


async def _names(kit: Kit, order: Order) -> tuple[str, ...]:
    """Return the attributes that these people have, by a look at each of them."""
    found: set[str] = set()
    async for entry in _entries(kit, order):
        found.update(_attributes(kit, entry))
    return tuple(sorted(found))


async def _rows(kit: Kit, order: Order) -> AsyncIterator[Row]:
    async for entry in _entries(kit, order):
        known = finding.row_of(kit, entry)
        yield {
            "email": known.address,
            "name": known.name,
            "list": known.list,
            "state": known.state,
            "country": known.country,
            "language": known.language,
            "timezone": known.timezone,
            "topics": list(entry.topics or ()),
            "attributes": _attributes(kit, entry),
        }


def _attributes(kit: Kit, entry: Entry) -> dict[str, Any]:
    known = {"attributes": entry.attributes, "attributes_sealed": entry.attributes_sealed}
    return merging.readable(kit, known)[0]


def _cells(row: Row, names: Iterable[str]) -> list[str]:
    plain = [row[field] for field in _FIELDS[:-1]]
    values = [row["attributes"].get(name) for name in names]
    return [_cell(value) for value in (*plain, ", ".join(row["topics"]), *values)]


def _cell(value: object) -> str:
    if value is None:
        return ""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
