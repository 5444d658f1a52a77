"""What is known about people is corrected: a value, a topic, two mailboxes of one person. It puts nobody on a list."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from campaign.actions import auditing, journaling, merging
from campaign.actions.auditing import Deed
from campaign.actions.describing import SEALED
from campaign.actions.kit import Kit
from campaign.domain.addresses import Address
from campaign.domain.attributes import Attribute, is_name, parse_value
from campaign.domain.consent import Reason
from campaign.domain.errors import BadInput, Conflict, NotFound
from campaign.domain.journal import Line, What
from campaign.domain.localtime import parse_zone
from campaign.domain.people import clean_name, parse_country, parse_language
from campaign.store import attributes, couples, ledger, people, suppressions
from campaign.store.engine import Transaction, repeated
from campaign.store.people import Subscriber

_NEVER: Final = frozenset({Reason.COMPLAINED, Reason.BLOCKED, Reason.ERASED})


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to be different: None leaves a field as it is, "" takes it away; `values` are attributes by name."""

    name: str | None = None
    country: str | None = None
    language: str | None = None
    timezone: str | None = None
    topics: tuple[str, ...] | None = None
    values: Mapping[str, str] = field(default_factory=dict)


async def edit(kit: Kit, address: Address, wish: Edit) -> bool:
    """Correct what is known about somebody; return False when it was so. Raises BadInput for what cannot be read."""
    async with kit.store.begin() as tx:
        person = await require(kit, tx, address)
        known = (await people.changeable(tx, [person.id]))[person.id]
        changes = _changes(kit, known, wish, await attributes.every(tx))
        changes = {name: value for name, value in changes.items() if value != known[name]}
        if not changes:
            return False
        await people.change(tx, person.id, changes, kit.clock.now())
        told = {"fields": sorted({*changes, *wish.values} - {"attributes", "attributes_sealed"})}
        await auditing.note(kit, tx, Deed("subscriber.edit", address, after=told))
    return True


def _changes(kit: Kit, known: Mapping[str, Any], wish: Edit, declared: Mapping[str, Attribute]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for name, read in (("country", parse_country), ("language", parse_language), ("timezone", _zone)):
        if (value := getattr(wish, name)) is not None:
            changes[name] = read(value) if value.strip() else None
    if wish.name is not None:
        new = clean_name(wish.name)
        if new != merging.opened(kit, known["name_sealed"], "name"):
            changes["name_sealed"] = kit.keys.seal(new, purpose="name") if new else None
    if wish.topics is not None:
        changes["topics"] = list(wish.topics) or None
    if wish.values:
        changes |= _attributes(kit, known, wish.values, declared)
    return changes


def _attributes(
    kit: Kit, known: Mapping[str, Any], values: Mapping[str, str], declared: Mapping[str, Attribute]
) -> dict[str, Any]:
    facts = dict(known["attributes"] or {})
    before = json.loads(merging.opened(kit, known["attributes_sealed"], SEALED) or "{}")
    notes = dict(before)
    for name, text in values.items():
        if not is_name(name):
            raise BadInput(f"{name} cannot be the name of an attribute.", remedy="campaign attributes list shows them.")
        attribute = declared.get(name) or Attribute(name)
        kept: dict[str, Any] = notes if attribute.sealed else facts
        kept.pop(name, None)
        if text.strip():
            kept[name] = parse_value(attribute, text)
    changes: dict[str, Any] = {"attributes": facts or None}
    if notes != before:
        words = json.dumps(notes, ensure_ascii=False)
        changes["attributes_sealed"] = kit.keys.seal(words, purpose=SEALED) if notes else None
    return changes


def _zone(text: str) -> str:
    return parse_zone(text).key


@dataclass(frozen=True, slots=True)
class Merged:
    """How many lists the other mailbox was active on alone, and how many letters that waited for it were taken out."""

    lists: int
    letters: int


@repeated
async def merge(kit: Kit, kept: Address, other: Address) -> Merged:
    """Make one person of two mailboxes: letters go to `kept` from now on, and nothing to `other`.

    Where both are on a list, the kept one's standing counts: who left with it has left. What is known of the other only
    fills gaps. The other mailbox is suppressed as one that left, so that no import brings it back; its own confirmation
    may. Raises Conflict where one of them complained, was blocked or erased: nobody is mailed around that.
    """
    if kept.canonical == other.canonical:
        raise BadInput("These are one mailbox.", remedy="Name two.")
    async with kit.store.begin() as tx:
        mine, theirs = await require(kit, tx, kept), await require(kit, tx, other)
        await _refuse_suppressed(tx, (mine, kept), (theirs, other))
        merged = await unite(kit, tx, (mine, theirs))
        after = {"other": other.wire, "lists": merged.lists}
        await auditing.note(kit, tx, Deed("subscriber.merge", kept, after=after))
    return merged


async def unite(kit: Kit, tx: Transaction, both: tuple[Subscriber, Subscriber]) -> Merged:
    """Make the second one part of the first, and let nothing go to the second's mailbox any more.

    Where that one had asked to get nothing more, its lists come along as left.
    """
    now, (kept, other) = kit.clock.now(), both
    known = await people.changeable(tx, [kept.id, other.id])
    changes = _gaps(kit, known[kept.id], known[other.id])
    if changes:
        await people.change(tx, kept.id, changes, now)
    suppressed = await suppressions.find(tx, other.address_key)
    if suppressed is not None and suppressed.reason is Reason.LEFT:
        await people.leave(tx, other.id, None, now)
    await suppressions.add(tx, other.address_key, Reason.LEFT, now=now, recorded_by=f"{kit.operator}, merging")
    await journaling.write(kit, [Line(now, What.SUPPRESSED, other.address_key, reason=Reason.LEFT)])
    await couples.drop_pending(tx, other.id)
    letters = await ledger.suppress_person(tx, other.address_key, now=now, reason="merged")
    return Merged(await couples.join(tx, kept.id, other.id, now), letters)


def _gaps(kit: Kit, known: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the other one adds where nothing is known."""
    both = {name: known[name] or other[name] for name in known}
    both["attributes"] = {**(other["attributes"] or {}), **(known["attributes"] or {})} or None
    both["topics"] = sorted({*(known["topics"] or ()), *(other["topics"] or ())}) or None
    notes = [json.loads(merging.opened(kit, one["attributes_sealed"], SEALED) or "{}") for one in (other, known)]
    if notes[0] and (words := {**notes[0], **notes[1]}) != notes[1]:
        both["attributes_sealed"] = kit.keys.seal(json.dumps(words, ensure_ascii=False), purpose=SEALED)
    return {name: value for name, value in both.items() if value != known[name]}


async def _refuse_suppressed(tx: Transaction, *found: tuple[Subscriber, Address]) -> None:
    for person, address in found:
        why = await suppressions.find(tx, person.address_key, address.domain)
        if why is not None and why.reason in _NEVER:
            remedy = "Leave them as they are: merging would mail around it."
            raise Conflict(f"{address} is suppressed ({why.reason}).", remedy=remedy)


async def require(kit: Kit, tx: Transaction, address: Address) -> Subscriber:
    """Return the person with this address; raise NotFound for nobody."""
    person = await people.find(tx, kit.keys.address_key(address))
    if person is None:
        raise NotFound(f"Nobody has the address {address}.", remedy="campaign subscribers find looks for parts.")
    return person
