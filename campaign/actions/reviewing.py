"""Says in plain words what an import would do with one row, field by field. It decides nothing and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from campaign.actions import merging
from campaign.actions.kit import Kit
from campaign.actions.rejecting import Refused
from campaign.actions.unpacking import Row
from campaign.store.people import CHANGEABLE
from campaign.store.staging import Known


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What would become of one row: its line, what happens (added, changed, refused), the mailbox, and why.

    `fields` are values before and after, by the name of the field or attribute.
    """

    line: int
    what: str
    address: str
    fields: Mapping[str, tuple[Any, Any]]
    reason: str = ""


def new(row: Row) -> Reviewed:
    """Say what is written down about somebody whom nobody knew."""
    person = row.person
    values: dict[str, Any] = {"name": person.name, **person.attributes, **person.facts, **person.notes}
    values["topics"] = list(person.topics)
    fields = {name: (None, value) for name, value in values.items() if value not in (None, "", [])}
    return Reviewed(row.line, "added", person.address.wire, fields)


def known(
    kit: Kit, row: Row, found: Known, changes: Mapping[str, Any], became: Mapping[str, tuple[Any, Any]]
) -> Reviewed:
    """Say what changes for somebody who is known: in their values (none, or all columns), and in what they became."""
    before = {name: getattr(found, name) for name in CHANGEABLE}
    fields = merging.differences(kit, before, changes) if changes else {}
    what = "added" if found.subscription_id is None else "changed"
    return Reviewed(row.line, what, row.person.address.wire, {**fields, **became})


def refused(one: Refused, place: int) -> Reviewed:
    """Say why a row is refused; `place` is where its mailbox stands, if it has one."""
    return Reviewed(one.line, "refused", one.cells[place] if place < len(one.cells) else "", {}, one.reason)
