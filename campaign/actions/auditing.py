"""Writes into the audit log who did what, with addresses masked, in the transaction of the deed. It never decides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from campaign.actions.kit import Kit
from campaign.domain.addresses import Address, mask
from campaign.logs import masked
from campaign.store import audit
from campaign.store.audit import Asked, Entry
from campaign.store.engine import Transaction

_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done (`list.edit`, `subscriber.erase`) to what, and what was different before and after it."""

    action: str
    subject: str | Address
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


async def note(kit: Kit, tx: Transaction, deed: Deed) -> None:
    """Write a deed down: addresses in its values are masked, and a person is known by their keyed hash."""
    person = deed.subject if isinstance(deed.subject, Address) else None
    entry = Entry(
        at=kit.clock.now(),
        operator=kit.operator,
        action=deed.action,
        subject=mask(person.wire) if person else masked(str(deed.subject)),
        subject_key=kit.keys.address_key(person) if person else None,
        before=_masked(deed.before),
        after=_masked(deed.after),
    )
    await audit.add(tx, entry)


async def entries(kit: Kit, asked: Asked, most: int | None = None) -> AsyncIterator[tuple[int, Entry]]:
    """Give what was done, newest first, page by page."""
    before: int | None = None
    left = most
    while left is None or left > 0:
        async with kit.store.read() as tx:
            page = await audit.entries(tx, asked, before, _PAGE if left is None else min(left, _PAGE))
        for one in page:
            yield one
        if not page:
            return
        before, left = page[-1][0], None if left is None else left - len(page)


def _masked(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Give values as plain data without anybody's address."""
    return None if values is None else {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return masked(str(value))
