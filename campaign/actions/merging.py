"""What a new word about somebody changes in what is known, and how that is taken back. It stores nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from campaign.actions.describing import SEALED
from campaign.actions.kit import Kit
from campaign.domain.people import Person

CHANGE: Final = "import change"
"""The purpose under which the values before and after an import are sealed."""

_NAME: Final = "name_sealed"
_NOTES: Final = "attributes_sealed"
_PLAIN: Final = ("country", "language", "timezone", "topics")


def merged(kit: Kit, known: Mapping[str, Any], person: Person) -> dict[str, Any]:
    """Return all that is known afterwards, by column, or nothing where that is no different.

    What a person's row does not say stays; of attributes each is its own word. `known` has the columns as they are.
    """
    found = {name: known[name] for name in _PLAIN} | person.attributes
    if person.topics:
        found["topics"] = list(person.topics)
    found["attributes"] = {**(known["attributes"] or {}), **person.facts} or None
    name = opened(kit, known[_NAME], "name") if person.name else None
    notes = json.loads(opened(kit, known[_NOTES], SEALED) or "{}") if person.notes else {}
    renamed, noted = bool(person.name) and person.name != name, {**notes, **person.notes} != notes
    same = all(found[column] == known[column] for column in (*_PLAIN, "attributes"))
    if same and not renamed and not noted:
        return {}
    found[_NAME] = kit.keys.seal(person.name or "", purpose="name") if renamed else known[_NAME]
    words = json.dumps({**notes, **person.notes}, ensure_ascii=False)
    found[_NOTES] = kit.keys.seal(words, purpose=SEALED) if noted else known[_NOTES]
    return found


def sealed_change(kit: Kit, before: Mapping[str, Any], after: Mapping[str, Any]) -> bytes:
    """Return what a change changes, before and after, as one sealed text."""
    old, new = _readable(kit, before), _readable(kit, after)
    differ = [name for name in new if new[name] != old[name]]
    values = {"before": {name: old[name] for name in differ}, "after": {name: new[name] for name in differ}}
    return kit.keys.seal(json.dumps(values, ensure_ascii=False), purpose=CHANGE)


def differences(kit: Kit, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what is different, to be read: by the name of the field or attribute, its value before and after."""
    old, new = _flat(_readable(kit, before)), _flat(_readable(kit, after))
    names = sorted({*old, *new})
    return {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: values[name] for name in _PLAIN}
    return {"name": values[_NAME], **plain, **(values["attributes"] or {}), **(values[_NOTES] or {})}


def taken_back(kit: Kit, sealed: bytes, present: Mapping[str, Any]) -> dict[str, Any]:
    """Return, by column, what is to be again as it was before a change; what somebody changed since stays."""
    change = json.loads(kit.keys.open(sealed, purpose=CHANGE))
    now = _readable(kit, present)
    back: dict[str, Any] = {}
    for name, before in change["before"].items():
        after = change["after"][name]
        if name in {"attributes", _NOTES}:
            back[name] = _each_back(now[name] or {}, before or {}, after or {}) or None
        elif now[name] == after:
            back[name] = before
    if _NAME in back:
        back[_NAME] = kit.keys.seal(back[_NAME], purpose="name") if back[_NAME] else None
    if _NOTES in back:
        words = back[_NOTES] and json.dumps(back[_NOTES], ensure_ascii=False)
        back[_NOTES] = kit.keys.seal(words, purpose=SEALED) if words else None
    return back


def readable(kit: Kit, known: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return somebody's attributes, free text opened, and their topics."""
    notes = opened(kit, known.get(_NOTES), SEALED)
    values = {**(known.get("attributes") or {}), **(json.loads(notes) if notes else {})}
    return dict(sorted(values.items())), tuple(known.get("topics") or ())


def _each_back(now: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Take attributes back one by one."""
    kept = dict(now)
    for name in {*before, *after}:
        if now.get(name) == after.get(name):
            kept.pop(name, None)
            if name in before:
                kept[name] = before[name]
    return kept


def _readable(kit: Kit, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with the sealed ones opened, so that they can be compared."""
    notes = opened(kit, values[_NOTES], SEALED)
    return {**values, _NAME: opened(kit, values[_NAME], "name"), _NOTES: json.loads(notes) if notes else None}


def opened(kit: Kit, sealed: bytes | None, purpose: str) -> str | None:
    """Open what may be there."""
    return kit.keys.open(sealed, purpose=purpose) if sealed else None
