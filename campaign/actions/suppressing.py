"""Mailboxes that must never be mailed: blocked by an operator, or erased as the person wished. It lifts neither."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from campaign.actions import auditing, journaling
from campaign.actions.auditing import Deed
from campaign.actions.kit import Kit
from campaign.actions.rejecting import IMPORTS, mentioning
from campaign.domain.addresses import Address
from campaign.domain.consent import Reason
from campaign.domain.journal import Line, What
from campaign.logs import get_log
from campaign.store import ledger, people, suppressions
from campaign.store.engine import repeated

_log = get_log()


@dataclass(frozen=True, slots=True)
class Erased:
    """Whether there was a person, whether the mailbox was not suppressed before, and files that still name it."""

    person: bool
    suppressed: bool
    receipt: str = ""
    """By which the audit log knows this erasure; it says nothing about the person."""
    files: tuple[Path, ...] = ()


@repeated
async def suppress(kit: Kit, address: Address, reason: Reason = Reason.BLOCKED) -> bool:
    """Never mail this mailbox again, whether it is known or not; return False when nothing changed.

    Letters that wait are taken out in the same transaction. Subscriptions stay as they are.
    """
    key, now = kit.keys.address_key(address), kit.clock.now()
    async with kit.store.begin() as tx:
        made = await suppressions.add(tx, key, reason, now=now, recorded_by=kit.operator)
        await ledger.suppress_person(tx, key, now=now, reason=reason.value)
        if made:
            await journaling.write(kit, [Line(now, What.SUPPRESSED, key, reason=reason)])
            await auditing.note(kit, tx, Deed("suppression.add", address, after={"reason": reason}))
    _log.info("address_suppressed", reason=reason.value, changed=made)
    return made


@repeated
async def erase(kit: Kit, address: Address) -> Erased:
    """Delete what is known about a person, and keep a keyed hash so that no import brings them back.

    Their letters stay in the ledger without address, name and the relays' words. Erasing somebody twice is fine, and so
    is erasing somebody unknown.
    """
    key, now = kit.keys.address_key(address), kit.clock.now()
    async with kit.store.begin() as tx:
        made = await suppressions.add(tx, key, Reason.ERASED, now=now, recorded_by=kit.operator)
        person = await people.find(tx, key)
        if person is not None:
            await people.leave(tx, person.id, None, now)
            await ledger.suppress_person(tx, key, now=now, reason=Reason.ERASED.value)
        await ledger.forget_person(tx, key)
        gone = await people.forget(tx, key)
        await journaling.write(kit, [Line(now, What.ERASED, key)])
        receipt = f"{now:%Y%m%d}-{kit.clock.token(6)}"
        await auditing.note(kit, tx, Deed("subscriber.erase", f"receipt {receipt}", after={"known": bool(gone)}))
    _log.info("person_erased", known=bool(gone))
    return Erased(bool(gone), made, receipt, await asyncio.to_thread(mentioning, kit.settings.home / IMPORTS, address))
