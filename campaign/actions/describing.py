"""Attributes are declared, changed and taken away: what else may be known about people. It never guesses a kind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from campaign.actions import auditing
from campaign.actions.auditing import Deed
from campaign.actions.kit import Kit
from campaign.domain.attributes import Attribute, AttributeKind, checked
from campaign.domain.errors import Conflict, NotFound
from campaign.store import attributes, segments
from campaign.store.attributes import Held
from campaign.store.engine import Transaction

SEALED: Final = "attributes"
"""The purpose under which free text is sealed."""

_PAGE: Final = 5_000


@dataclass(frozen=True, slots=True)
class Counted:
    """An attribute, and of how many people its value is known (None where values are sealed)."""

    attribute: Attribute
    people: int | None


async def add(kit: Kit, attribute: Attribute) -> bool:
    """Declare an attribute; return False when it is there just so, raise Conflict when it is there otherwise."""
    checked(attribute)
    async with kit.store.begin() as tx:
        if await attributes.add(tx, attribute, kit.clock.now()):
            after = {"kind": attribute.kind, "choices": attribute.choices}
            await auditing.note(kit, tx, Deed("attribute.add", attribute.name, after=after))
            return True
        found = (await attributes.every(tx))[attribute.name]
    if found == attribute:
        return False
    remedy = f"Change it (campaign attributes edit {found.name}), or remove it first."
    raise Conflict(f"There is an attribute {found.name} already: {found.kind}.", remedy=remedy)


async def every(kit: Kit) -> list[Counted]:
    """Return the declared attributes by name, each with how many people have a value."""
    async with kit.store.read() as tx:
        found = (await attributes.every(tx)).values()
        return [Counted(one, None if one.sealed else await attributes.count_values(tx, one.name)) for one in found]


async def edit(kit: Kit, name: str, description: str | None = None, choices: Sequence[str] | None = None) -> bool:
    """Give an attribute another description, or more choices; return False when nothing is different.

    A choice cannot be taken away: somebody may have it.
    """
    async with kit.store.begin() as tx:
        found = await _require(tx, name)
        new = found if description is None else replace(found, description=" ".join(description.split()))
        if choices:
            if found.kind is AttributeKind.CHOICE and not found.choices:
                raise Conflict(f"{name} may be anything already.", remedy="Remove it and declare it anew with choices.")
            new = replace(new, choices=tuple(dict.fromkeys((*found.choices, *choices))))
        if checked(new) == found:
            return False
        await attributes.change(tx, new)
        before, after = {"choices": found.choices}, {"choices": new.choices}
        await auditing.note(kit, tx, Deed("attribute.edit", name, before=before, after=after))
    return True


async def remove(kit: Kit, name: str) -> int:
    """Take an attribute away, and its values from everybody; return how many people had one.

    Values go first, chunk by chunk, and the declaration last: what a crash interrupts, the same again goes on with.
    """
    async with kit.store.read() as tx:
        found = await _require(tx, name)
        await _refuse_asked_for(tx, name)
    cleared = after = 0
    while True:
        async with kit.store.begin() as tx:
            page = await attributes.held(tx, after, _PAGE)
            without = [new for one in page if (new := _without(kit, found, one)) is not None]
            await attributes.rewrite(tx, without)
        if not page:
            break
        cleared, after = cleared + len(without), page[-1].id
        await kit.store.give_way()
    async with kit.store.begin() as tx:
        await _refuse_asked_for(tx, name)
        await attributes.remove(tx, name)
        deed = Deed("attribute.remove", name, before={"kind": found.kind}, after={"people": cleared})
        await auditing.note(kit, tx, deed)
    return cleared


async def _refuse_asked_for(tx: Transaction, name: str) -> None:
    if asking := await segments.naming_field(tx, name):
        raise Conflict(f"The segment {asking[0]} asks for {name}.", remedy="Change or retire it first.")


def _without(kit: Kit, attribute: Attribute, held: Held) -> Held | None:
    """Return what a person has without an attribute, or None where they never had it."""
    if not attribute.sealed:
        if attribute.name not in (held.attributes or {}):
            return None
        left = {name: value for name, value in (held.attributes or {}).items() if name != attribute.name}
        return held._replace(attributes=left or None)
    notes = json.loads(kit.keys.open(held.attributes_sealed, purpose=SEALED)) if held.attributes_sealed else {}
    if notes.pop(attribute.name, None) is None:
        return None
    return held._replace(attributes_sealed=kit.keys.seal(json.dumps(notes), purpose=SEALED) if notes else None)


async def _require(tx: Transaction, name: str) -> Attribute:
    known = await attributes.every(tx)
    if name in known:
        return known[name]
    raise NotFound(f"There is no attribute {name!r}.", remedy=f"Known: {', '.join(known) or 'none yet'}.")
