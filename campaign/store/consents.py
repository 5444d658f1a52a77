"""Statements about consents: the exact wording, and who recorded it when. It adds rows, and changes none but once.

The one change is the person's own confirmation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import exists, insert, literal, select, update

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


@dataclass(frozen=True, slots=True)
class Consent:
    """One consent as it is shown: for which list, in which words, how and when."""

    list: str
    wording: str
    locale: str
    source: Source
    given_at: datetime
    confirmed_at: datetime | None
    recorded_by: str


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


async def record(tx: Transaction, subscription_ids: Sequence[int], given: Given) -> int:
    """Record a consent for each subscription that has none in these words since it was last joined; return how many."""
    s = subscriptions.c
    known = exists().where(_C.subscription_id == s.id, _C.wording_id == given.wording_id, _C.given_at >= s.joined_at)
    values = (literal(given.source.value), literal(given.at, _C.given_at.type), literal(given.recorded_by))
    made = 0
    for start in range(0, len(subscription_ids), _SLICE):
        some = s.id.in_(subscription_ids[start : start + _SLICE])
        source = select(s.id, literal(given.wording_id), *values, literal(given.import_id)).where(some, ~known)
        made += (await tx.execute(insert(consents).from_select(_COLUMNS, source))).rowcount
    return made


_SLICE: Final = 5_000
_COLUMNS: Final = ("subscription_id", "wording_id", "source", "given_at", "recorded_by", "import_id")


async def confirm(tx: Transaction, subscription_id: int, now: datetime) -> None:
    """Write down that the person confirmed what was asked since they last joined."""
    joined = select(subscriptions.c.joined_at).where(subscriptions.c.id == subscription_id).scalar_subquery()
    asked = (_C.subscription_id == subscription_id, _C.confirmed_at.is_(None), _C.given_at >= joined)
    await tx.execute(update(consents).where(*asked).values(confirmed_at=now))


async def of_person(tx: Transaction, subscriber_id: int) -> list[Consent]:
    """Return every consent of a person with its exact wording, oldest first."""
    columns = (lists.c.slug, _W.text, _W.locale, _C.source, _C.given_at, _C.confirmed_at, _C.recorded_by)
    mine = select(*columns).join(subscriptions, subscriptions.c.id == _C.subscription_id)
    mine = mine.join(lists, lists.c.id == subscriptions.c.list_id).join(wordings, _W.id == _C.wording_id)
    rows = await tx.execute(mine.where(subscriptions.c.subscriber_id == subscriber_id).order_by(_C.id))
    return [Consent(*row) for row in rows]


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
