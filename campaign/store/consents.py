"""Statements about consents: the exact wording, and who recorded it when. It adds rows, and changes none but once.

The one change is the person's own confirmation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import exists, func, insert, literal, select, update

from campaign.domain.consent import Source
from campaign.store.dialects import insert_into
from campaign.store.engine import Transaction
from campaign.store.schema.people import consents, imports, lists, subscriptions, wordings

_C: Final = consents.c
_W: Final = wordings.c


@dataclass(frozen=True, slots=True)
class Given:
    """How consents come to be recorded: the wording, the source, the instant, by whom, and by which import."""

    wording_id: int
    source: Source
    at: datetime
    recorded_by: str
    import_id: int | None = None


async def wording(tx: Transaction, text: str, locale: str) -> int:
    """Return the id of an exact wording, storing it when it is new."""
    digest = hashlib.sha256(f"{locale}\n{text}".encode()).digest()
    statement = insert_into(tx, wordings).values(digest=digest, text=text, locale=locale)
    added = await tx.execute(statement.on_conflict_do_nothing(index_elements=["digest"]).returning(_W.id))
    known = added.scalar_one_or_none()
    return int(known or (await tx.execute(select(_W.id).where(_W.digest == digest))).scalar_one())


async def find_wording(tx: Transaction, text: str, locale: str) -> int | None:
    """Return the id of an exact wording, or None when nobody ever consented in these words."""
    digest = hashlib.sha256(f"{locale}\n{text}".encode()).digest()
    found: int | None = (await tx.execute(select(_W.id).where(_W.digest == digest))).scalar_one_or_none()
    return found


async def record(
    tx: Transaction, subscription_ids: Sequence[int], given: Given, *, since: datetime | None = None
) -> int:
    """Record a consent for each subscription that has none in these words since it was last joined; return how many.

    Or since a later moment, where they were asked anew.
    """
    s = subscriptions.c
    from_then = s.joined_at if since is None else literal(since, _C.given_at.type)
    known = exists().where(_C.subscription_id == s.id, _C.wording_id == given.wording_id, _C.given_at >= from_then)
    values = (literal(given.source.value), literal(given.at, _C.given_at.type), literal(given.recorded_by))
    made = 0
    for start in range(0, len(subscription_ids), _SLICE):
        some = s.id.in_(subscription_ids[start : start + _SLICE])
        source = select(s.id, literal(given.wording_id), *values, literal(given.import_id)).where(some, ~known)
        added = insert(consents).from_select(_COLUMNS, source).inline()
        made += (await tx.execute(added, execution_options={"preserve_rowcount": True})).rowcount
    return made


_SLICE: Final = 5_000
_COLUMNS: Final = ("subscription_id", "wording_id", "source", "given_at", "recorded_by", "import_id")


async def confirm(tx: Transaction, subscription_id: int, now: datetime, *, wording_id: int | None = None) -> None:
    """Write down that the person confirmed what was asked since they last joined, or of it these words alone."""
    joined = select(subscriptions.c.joined_at).where(subscriptions.c.id == subscription_id).scalar_subquery()
    asked = update(consents).where(_C.subscription_id == subscription_id, _C.confirmed_at.is_(None))
    if wording_id is not None:
        asked = asked.where(_C.wording_id == wording_id)
    await tx.execute(asked.where(_C.given_at >= joined).values(confirmed_at=now))


@dataclass(frozen=True, slots=True)
class Evidence:
    """One consent with all that proves it: the words, the way, who recorded it, from which file."""

    list: str
    state: str
    wording: str
    locale: str
    source: Source
    given_at: datetime
    confirmed_at: datetime | None
    recorded_by: str
    import_id: int | None
    file: str | None
    file_sha256: bytes | None


async def evidence(tx: Transaction, subscriber_id: int) -> list[Evidence]:
    """Return every consent of a person with what proves it, oldest first."""
    s, i = subscriptions.c, imports.c
    how = (_W.text, _W.locale, _C.source, _C.given_at, _C.confirmed_at, _C.recorded_by, _C.import_id)
    mine = select(lists.c.slug, s.state, *how, i.file, i.digest).select_from(consents)
    mine = mine.join(subscriptions, s.id == _C.subscription_id).join(lists, lists.c.id == s.list_id)
    mine = mine.join(wordings, _W.id == _C.wording_id).outerjoin(imports, i.id == _C.import_id)
    rows = await tx.execute(mine.where(s.subscriber_id == subscriber_id).order_by(_C.given_at, _C.id))
    return [Evidence(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Words:
    """One wording as it was used for one list: in which way, how often, confirmed by how many, from when to when."""

    list: str
    wording: str
    locale: str
    source: Source
    count: int
    confirmed: int
    first: datetime
    last: datetime


async def overview(tx: Transaction, list_id: int | None = None) -> list[Words]:
    """Return every wording that is on record for one list, or for all of them, by list and age."""
    s, at = subscriptions.c, _C.given_at
    sums = (func.count(), func.count(_C.confirmed_at), func.min(at), func.max(at))
    used = select(s.list_id, _C.wording_id, _C.source, *sums).select_from(consents).join(subscriptions)
    used = used if list_id is None else used.where(s.list_id == list_id)
    found = used.group_by(s.list_id, _C.wording_id, _C.source).subquery().c
    columns = (lists.c.slug, _W.text, _W.locale, found.source, *found[3:])
    named = select(*columns).where(lists.c.id == found.list_id, _W.id == found.wording_id)
    return [Words(*row) for row in await tx.execute(named.order_by(lists.c.slug, found[5], _W.id))]
