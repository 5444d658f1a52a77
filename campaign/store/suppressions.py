"""Statements about suppressions: mailboxes, known by their keyed hash alone, and whole domains. It mails nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, select, update

from campaign.domain.addresses import CANONICAL_VERSION
from campaign.domain.consent import LIFTED_BY_CONFIRMING, Reason
from campaign.domain.joining import weaker_than
from campaign.store.dialects import insert_into
from campaign.store.engine import Transaction
from campaign.store.schema.people import suppressed_domains, suppressions

_S: Final = suppressions.c
_D: Final = suppressed_domains.c


@dataclass(frozen=True, slots=True)
class Suppression:
    """Why a mailbox must not be mailed, since when, and who recorded it."""

    reason: Reason
    since: datetime
    recorded_by: str
    domain: str | None = None
    """The domain, where not the mailbox but all of its domain is meant."""


async def add(tx: Transaction, address_key: bytes, reason: Reason, *, now: datetime, recorded_by: str) -> bool:
    """Suppress a mailbox; return False when nothing changed. A weaker reason gives way, a stronger one stays."""
    values = {"reason": reason, "since": now, "recorded_by": recorded_by}
    statement = insert_into(tx, suppressions).values(address_key=address_key, key_version=CANONICAL_VERSION, **values)
    added = await tx.execute(statement.on_conflict_do_nothing(index_elements=["address_key"]).returning(_S.id))
    if added.scalar_one_or_none() is not None:
        return True
    weaker = _S.reason.in_(weaker_than(reason))
    made = await tx.execute(update(suppressions).where(_S.address_key == address_key, weaker).values(**values))
    return bool(made.rowcount == 1)


async def add_all(tx: Transaction, found: Sequence[tuple[bytes, Reason]], now: datetime, recorded_by: str) -> int:
    """Suppress many mailboxes, each named once; return how many changed. A weaker reason gives way."""
    fixed = {"key_version": CANONICAL_VERSION, "since": now, "recorded_by": recorded_by}
    before = {row.address_key: row.reason for row in await _known(tx, [key for key, _ in found])}
    new = [{"address_key": key, "reason": reason, **fixed} for key, reason in found if key not in before]
    if new:
        await tx.execute(insert_into(tx, suppressions).on_conflict_do_nothing(index_elements=["address_key"]), new)
    graver = [(key, reason) for key, reason in found if before.get(key) in weaker_than(reason)]
    for key, reason in graver:
        await add(tx, key, reason, now=now, recorded_by=recorded_by)
    return len(new) + len(graver)


async def _known(tx: Transaction, keys: Sequence[bytes]) -> Sequence[Any]:
    return (await tx.execute(select(_S.address_key, _S.reason).where(_S.address_key.in_(keys)))).all()


async def add_domain(tx: Transaction, domain: str, *, now: datetime, recorded_by: str) -> bool:
    """Suppress every mailbox of a domain; return False when it was."""
    values = {"domain": domain, "reason": Reason.BLOCKED, "since": now, "recorded_by": recorded_by}
    statement = insert_into(tx, suppressed_domains).values(**values)
    added = await tx.execute(statement.on_conflict_do_nothing(index_elements=["domain"]).returning(_D.id))
    return added.scalar_one_or_none() is not None


async def find(tx: Transaction, address_key: bytes, domain: str | None = None) -> Suppression | None:
    """Return why a mailbox is suppressed, or None; with its domain also for the whole domain's sake.

    A domain's block counts before what the person's own confirmation would lift.
    """
    found = await tx.execute(select(_S.reason, _S.since, _S.recorded_by).where(_S.address_key == address_key))
    row = found.one_or_none()
    own = None if row is None else Suppression(row.reason, row.since, row.recorded_by)
    if domain is None or (own is not None and own.reason not in LIFTED_BY_CONFIRMING):
        return own
    wide = await tx.execute(select(_D.reason, _D.since, _D.recorded_by).where(_D.domain == domain))
    row = wide.one_or_none()
    return own if row is None else Suppression(row.reason, row.since, row.recorded_by, domain)


async def domains(tx: Transaction) -> set[str]:
    """Return the domains whose mailboxes are all suppressed."""
    return set((await tx.execute(select(_D.domain))).scalars())


@dataclass(frozen=True, slots=True)
class Entry:
    """One suppression as a list shows it: of a mailbox the beginning of its keyed hash, all that is kept."""

    id: int
    kind: str
    what: str
    reason: Reason
    since: datetime
    recorded_by: str


async def every_domain(tx: Transaction) -> list[Entry]:
    """Return the suppressed domains by name."""
    columns = (_D.id, _D.domain, _D.reason, _D.since, _D.recorded_by)
    rows = await tx.execute(select(*columns).order_by(_D.domain))
    return [Entry(row[0], "domain", f"@{row[1]}", *row[2:]) for row in rows]


async def mailboxes(tx: Transaction, after: int, most: int) -> list[Entry]:
    """Return the next suppressed mailboxes, beyond an id."""
    columns = (_S.id, _S.address_key, _S.reason, _S.since, _S.recorded_by)
    rows = await tx.execute(select(*columns).where(_S.id > after).order_by(_S.id).limit(most))
    return [Entry(row[0], "mailbox", row[1].hex()[:16], *row[2:]) for row in rows]


async def remove(tx: Transaction, address_key: bytes) -> bool:
    """Take a mailbox's own suppression away; return whether there was one."""
    return bool((await tx.execute(delete(suppressions).where(_S.address_key == address_key))).rowcount)


async def remove_domain(tx: Transaction, domain: str) -> bool:
    """Take a domain's suppression away; return whether there was one."""
    return bool((await tx.execute(delete(suppressed_domains).where(_D.domain == domain))).rowcount)


async def lift(tx: Transaction, address_key: bytes) -> bool:
    """Take a suppression away that the person's own confirmation lifts; return whether there was one."""
    mine = (_S.address_key == address_key, _S.reason.in_(sorted(LIFTED_BY_CONFIRMING)))
    lifted = await tx.execute(delete(suppressions).where(*mine))
    return bool(lifted.rowcount == 1)
