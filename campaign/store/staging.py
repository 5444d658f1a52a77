"""Statements that put thousands of people on a list at once, by a temporary table. It never decides about a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Column,
    Insert,
    LargeBinary,
    MetaData,
    Select,
    String,
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
from campaign.store.schema import Document, Id
from campaign.store.schema.ledger import deliveries
from campaign.store.schema.people import consents, subscribers, subscriptions, suppressions

_P: Final = subscribers.c
_S: Final = subscriptions.c

staged: Final = Table(
    "staged_people",
    MetaData(),
    Column("address_key", LargeBinary(32), nullable=False),
    Column("address_sealed", LargeBinary),
    Column("domain", String(255)),
    Column("name_sealed", LargeBinary),
    Column("country", String(2)),
    Column("language", String(35)),
    Column("timezone", String(64)),
    Column("attributes", Document),
    Column("attributes_sealed", LargeBinary),
    Column("topics", Document),
    Column("import_id", Id),
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
    told to join tables as they are written, the staged people first: it knows too little about tables that grow by
    thousands a second. Leaving and sending go on.
    """
    ready = _SQLITE if is_sqlite(tx) else _POSTGRESQL
    for statement in ready:
        await tx.execute(text(statement))


_SQLITE: Final = ("PRAGMA cache_size = -32768",)
_POSTGRESQL: Final = ("LOCK TABLE subscribers IN SHARE ROW EXCLUSIVE MODE", "SET LOCAL join_collapse_limit = 1")


async def known(tx: Transaction, list_id: int, wording_id: int, keys: Sequence[bytes]) -> dict[bytes, Known]:
    """Return what is known about those of the mailboxes that are known at all."""
    await _stage(tx, ("address_key",), [(key,) for key in keys])
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


async def join(tx: Transaction, people: Sequence[Sealed], list_id: int, state: SubscriptionState, given: Given) -> None:
    """Put people on a list in a state, with their consents; what is known about a mailbox stays as it is.

    Pending ones count as asked once: the letters are for the caller to make.
    """
    fields = Sealed._fields
    await _stage(tx, fields, people)
    moment = literal(given.at, _P.created_at.type)
    rows = select(*(_T[name] for name in fields), literal(CANONICAL_VERSION), moment, moment)
    await tx.execute(_unless_there(tx, subscribers, (*fields, "key_version", "created_at", "changed_at"), rows))
    asked = literal(int(state is SubscriptionState.PENDING))
    who = select(
        _P.id, literal(list_id), literal(state.value), literal(given.at, _S.joined_at.type), asked, _T.import_id
    )
    who = who.select_from(staged).join(subscribers, _P.address_key == _T.address_key)
    await tx.execute(_unless_there(tx, subscriptions, _SUBSCRIPTION, who))
    await tx.execute(insert(consents).from_select(_CONSENT, _consents(list_id, given)))


_SUBSCRIPTION: Final = ("subscriber_id", "list_id", "state", "joined_at", "asked", "import_id")
_CONSENT: Final = ("subscription_id", "wording_id", "source", "given_at", "recorded_by", "import_id")


def _consents(list_id: int, given: Given) -> Select[Any]:
    at = literal(given.at, consents.c.given_at.type)
    values = (literal(given.wording_id), literal(given.source.value), at, literal(given.recorded_by))
    who = select(_S.id, *values, literal(given.import_id)).select_from(staged)
    return _with_subscription(who, list_id)


def _with_subscription(who: Select[Any], list_id: int) -> Select[Any]:
    """Join the staged people's subscription to a list.

    Adding nothing to the list's id keeps SQLite from walking the whole list, by its index, to find some of its people.
    """
    who = who.join(subscribers, _P.address_key == _T.address_key)
    return who.join(subscriptions, and_(_S.subscriber_id == _P.id, _S.list_id + 0 == list_id))


def _unless_there(tx: Transaction, table: Table, names: Sequence[str], source: Select[Any]) -> Insert:
    """Insert what is not there; the WHERE keeps SQLite from reading ON CONFLICT as a join's condition."""
    statement: Insert = insert_into(tx, table).from_select(names, source.where(_T.address_key.is_not(None)))
    return statement.on_conflict_do_nothing()  # type: ignore[attr-defined, no-any-return]  # both dialects have it


async def to_ask(tx: Transaction, list_id: int) -> list[Asked]:
    """Return those whom the last `join` put on the list, with what a letter to them needs."""
    d = deliveries.c
    before = select(func.max(d.due_at)).where(d.subscriber_id == _P.id, d.kind == Kind.CONFIRM).scalar_subquery()
    columns = (_P.id, _S.id, _P.address_key, _P.address_sealed, _P.domain, _P.language, before)
    rows = await tx.execute(_with_subscription(select(*columns).select_from(staged), list_id))
    return [Asked(*row) for row in rows]


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


async def _stage(tx: Transaction, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Fill the temporary table anew; it belongs to this connection alone."""
    await tx.execute(CreateTable(staged, if_not_exists=True))
    await tx.execute(delete(staged))
    columns = ", ".join(names)
    if not is_sqlite(tx):
        await _copy(tx, f"COPY staged_people ({columns}) FROM STDIN", rows)
    elif rows:
        marks = ", ".join("?" for _ in names)
        await tx.exec_driver_sql(f"INSERT INTO staged_people ({columns}) VALUES ({marks})", list(rows))  # noqa: S608 -- our own column names


async def _copy(tx: Transaction, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Send rows the way PostgreSQL takes them fastest, past SQLAlchemy, which has no word for it."""
    driver: Any = (await tx.get_raw_connection()).driver_connection
    async with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            await copy.write_row(row)
