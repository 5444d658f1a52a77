"""Statements that look for thousands of people and put them on a list at once. It never decides about a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    LargeBinary,
    MetaData,
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.schema import CreateTable

from campaign.domain.addresses import CANONICAL_VERSION
from campaign.domain.consent import Reason, SubscriptionState
from campaign.domain.delivery import Kind, State
from campaign.store.consents import Given
from campaign.store.dialects import insert_into, is_sqlite
from campaign.store.engine import Transaction
from campaign.store.ledger import Letter
from campaign.store.people import CHANGEABLE, Asked, Sealed
from campaign.store.schema.ledger import deliveries
from campaign.store.schema.people import consents, subscribers, subscriptions, suppressions

_P: Final = subscribers.c
_S: Final = subscriptions.c

staged: Final = Table(
    "staged_people",
    MetaData(),
    Column("address_key", LargeBinary(32), nullable=False),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DELETE ROWS",
)
_T: Final = staged.c


class Known(NamedTuple):
    """What is known about a mailbox: the person, where they stand with one list, a suppression, and their consent.

    What can be changed about a person stands in the order of `CHANGEABLE`.
    """

    subscriber_id: int | None
    name_sealed: bytes | None
    country: str | None
    language: str | None
    timezone: str | None
    attributes: dict[str, Any] | None
    attributes_sealed: bytes | None
    topics: list[str] | None
    subscription_id: int | None
    state: SubscriptionState | None
    left_at: datetime | None
    suppressed: Reason | None
    consented: bool


async def prepare(tx: Transaction) -> None:
    """Let nobody else add or delete people until this transaction ends: no erasure may fall between two statements.

    SQLite has one writer anyhow; there, half of the usual cache is as fast and keeps an import small. PostgreSQL is
    told to join tables as they are written, the staged people first, and to look each up in an index: it knows too
    little about tables that grow by thousands a second, and would read them whole for each chunk. Leaving and sending
    go on.
    """
    ready = _SQLITE if is_sqlite(tx) else _POSTGRESQL
    for statement in ready:
        await tx.execute(text(statement))


_SQLITE: Final = ("PRAGMA cache_size = -32768",)
_POSTGRESQL: Final = (
    "LOCK TABLE subscribers IN SHARE ROW EXCLUSIVE MODE",
    "SET LOCAL join_collapse_limit = 1",
    "SET LOCAL enable_seqscan = off",
    "SET LOCAL enable_hashjoin = off",
    "SET LOCAL enable_mergejoin = off",
)


async def known(tx: Transaction, list_id: int, wording_id: int, keys: Sequence[bytes]) -> dict[bytes, Known]:
    """Return what is known about those of the mailboxes that are known at all."""
    await _stage(tx, keys)
    agreed = select(consents.c.id).where(
        consents.c.subscription_id == _S.id,
        consents.c.wording_id == wording_id,
        consents.c.given_at >= _S.joined_at,
    )
    person = [_P[name] for name in CHANGEABLE]
    columns = (_P.id, *person, _S.id, _S.state, _S.left_at)
    found = select(_T.address_key, *columns, suppressions.c.reason, agreed.exists()).select_from(staged)
    found = found.outerjoin(suppressions, suppressions.c.address_key == _T.address_key)
    found = found.outerjoin(subscribers, _P.address_key == _T.address_key)
    found = found.outerjoin(subscriptions, and_(_S.subscriber_id == _P.id, _S.list_id == list_id))
    found = found.where(or_(_P.id.is_not(None), suppressions.c.reason.is_not(None)))
    return {key: Known(*rest) for key, *rest in await tx.execute(found)}


class Joining(NamedTuple):
    """How people come to a list: which one, in what state, with what consent."""

    list_id: int
    state: SubscriptionState
    given: Given


class Newcomers(NamedTuple):
    """Who came to a list in one transaction: people with greater ids than `after`, and some who were known."""

    after: int
    known: Sequence[int]

    def slices(self) -> Iterator[tuple[ColumnElement[bool], ColumnElement[bool]]]:
        """Give conditions for some of them at a time: on people, and on subscriptions."""
        yield _P.id > self.after, _S.subscriber_id > self.after
        for start in range(0, len(self.known), _SLICE):
            some = self.known[start : start + _SLICE]
            yield _P.id.in_(some), _S.subscriber_id.in_(some)


async def add(tx: Transaction, new: Sequence[Sealed], known: Sequence[int], now: datetime) -> Newcomers:
    """Add people whose mailboxes nobody has; return them, with known ones who come to the list, too.

    For that nobody else may add people: `prepare` comes before.
    """
    newest = (await tx.execute(select(func.coalesce(func.max(_P.id), 0)))).scalar_one()
    await _add(tx, new, now)
    return Newcomers(newest, known)


async def join(tx: Transaction, who: Newcomers, joining: Joining) -> None:
    """Put people on a list with their consents; the database does it alone, and Python has its hands free.

    Pending ones count as asked once: the letters are for the caller to make.
    """
    given = joining.given
    asked = literal(int(joining.state is SubscriptionState.PENDING))
    at, import_id = literal(given.at, _S.joined_at.type), literal(given.import_id)
    fixed = (literal(joining.list_id), literal(joining.state.value), at, asked, import_id)
    how = (literal(given.wording_id), literal(given.source.value), at, literal(given.recorded_by), import_id)
    for people, theirs in who.slices():
        rows = insert_into(tx, subscriptions).from_select(_SUBSCRIPTION, select(_P.id, *fixed).where(people))
        await tx.execute(rows.on_conflict_do_nothing())
        agreed = select(_S.id, *how).where(theirs, _S.list_id + 0 == joining.list_id)
        await tx.execute(insert(consents).from_select(_CONSENT, agreed))


async def _add(tx: Transaction, people: Sequence[Sealed], now: datetime) -> None:
    """Add people whom nobody knows, in the fastest way there is: past SQLAlchemy, which has no word for it."""
    columns = ", ".join((*Sealed._fields, "key_version", "created_at", "changed_at"))
    if not is_sqlite(tx):
        fixed = (CANONICAL_VERSION, now, now)
        await _copy(tx, f"COPY subscribers ({columns}) FROM STDIN", (one + fixed for one in people))
    elif people:
        keep = _P.created_at.type.dialect_impl(tx.dialect).bind_processor(tx.dialect)
        moment = keep(now) if keep else now
        marks = ", ".join("?" * (columns.count(",") + 1))
        rows = [(*one, CANONICAL_VERSION, moment, moment) for one in people]
        await tx.exec_driver_sql(f"INSERT INTO subscribers ({columns}) VALUES ({marks})", rows)  # noqa: S608 -- our own column names


_SLICE: Final = 5_000
_SUBSCRIPTION: Final = ("subscriber_id", "list_id", "state", "joined_at", "asked", "import_id")
_CONSENT: Final = ("subscription_id", "wording_id", "source", "given_at", "recorded_by", "import_id")


async def to_ask(tx: Transaction, list_id: int, who: Newcomers) -> list[Asked]:
    """Return those who came to the list, with what a letter to them needs.

    Adding nothing to the list's id keeps SQLite from walking the whole list, by its index, to find some of its people.
    """
    d = deliveries.c
    before = select(func.max(d.due_at)).where(d.subscriber_id == _P.id, d.kind == Kind.CONFIRM).scalar_subquery()
    columns = (_P.id, _S.id, _P.address_key, _P.address_sealed, _P.domain, _P.language, before)
    found = select(*columns).join_from(subscribers, subscriptions, _S.subscriber_id == _P.id)
    asked: list[Asked] = []
    for people, _ in who.slices():
        asked += [Asked(*row) for row in await tx.execute(found.where(people, _S.list_id + 0 == list_id))]
    return asked


async def enqueue(tx: Transaction, letters: Sequence[Letter], now: datetime) -> None:
    """Put many letters into the ledger, but for those whose purpose key is there already."""
    fixed = {"state": State.QUEUED, "moved_at": now}
    rows = [{name: getattr(one, name) for name in Letter.__dataclass_fields__} | fixed for one in letters]
    if rows:
        await tx.execute(insert_into(tx, deliveries).on_conflict_do_nothing(index_elements=["purpose_key"]), rows)


async def change(tx: Transaction, changes: Mapping[int, Mapping[str, Any]], now: datetime) -> None:
    """Change what is known about many people: values by the id of the subscriber, all with the same columns."""
    if not changes:
        return
    columns = next(iter(changes.values()))
    statement = update(subscribers).where(_P.id == bindparam("person"))
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in columns}
    rows = [
        {"person": id_, "moment": now} | {f"new_{name}": value for name, value in one.items()}
        for id_, one in changes.items()
    ]
    await tx.execute(statement.values(**values, changed_at=bindparam("moment")), rows)


async def _stage(tx: Transaction, keys: Sequence[bytes]) -> None:
    """Fill the temporary table anew; it belongs to this connection alone."""
    await tx.execute(CreateTable(staged, if_not_exists=True))
    await tx.execute(delete(staged))
    if not is_sqlite(tx):
        await _copy(tx, "COPY staged_people (address_key) FROM STDIN", ((key,) for key in keys))
    elif keys:
        await tx.exec_driver_sql("INSERT INTO staged_people (address_key) VALUES (?)", [(key,) for key in keys])


async def _copy(tx: Transaction, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Send rows the way PostgreSQL takes them fastest."""
    driver: Any = (await tx.get_raw_connection()).driver_connection
    async with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            await copy.write_row(row)
