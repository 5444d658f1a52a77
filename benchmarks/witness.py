"""A witness inside the database: triggers write down each token and each act that forbids tokens, in order of commits.

It shares nothing with the code under test: no clock, no event of the ledger, no statement of the store.

On SQLite one writer follows the other, so numbers that grow are the order of commits. On PostgreSQL they are not: there
the server's own log of writes tells the order, read through a logical replication slot.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import psycopg

_TOKEN, _LEFT, _NEVER, _DOMAIN, _EDITION, _BRAKE = "token", "left", "never", "domain", "edition", "brake"

_WATCHED: Final = (
    ("UPDATE OF state", "deliveries", "NEW.state = 'offered' AND OLD.state <> 'offered'", _TOKEN, "NEW.id"),
    (
        "UPDATE OF state",
        "subscriptions",
        "NEW.state = 'left' AND OLD.state <> 'left'",
        _LEFT,
        "(SELECT {hex} FROM subscribers s WHERE s.id = NEW.subscriber_id)",
    ),
    ("INSERT", "suppressions", "true", _NEVER, "{hex_new}"),
    ("INSERT", "suppressed_domains", "true", _DOMAIN, "NEW.domain"),
    ("UPDATE OF state", "editions", "NEW.state <> OLD.state", _EDITION, "NEW.id || ' ' || NEW.state"),
    ("INSERT", "brakes", "true", _BRAKE, "'on'"),
    ("DELETE", "brakes", "true", _BRAKE, "'off'"),
)
_SQLITE_HEX: Final = {"hex": "lower(hex(s.address_key))", "hex_new": "lower(hex(NEW.address_key))"}
_POSTGRES_HEX: Final = {"hex": "encode(s.address_key, 'hex')", "hex_new": "encode(NEW.address_key, 'hex')"}
_SLOT: Final = "witness"
_LETTERS_SQLITE: Final = "SELECT id, lower(hex(address_key)), domain, edition_id FROM deliveries"
_LETTERS_POSTGRES: Final = "SELECT id, encode(address_key, 'hex'), domain, edition_id FROM deliveries"


class Seen(NamedTuple):
    """One thing that committed: what, and about whom or which."""

    what: str
    subject: str


class Letter(NamedTuple):
    """A letter as acts know it."""

    key: str
    domain: str
    edition: int


@dataclass(slots=True)
class Verdict:
    """How many tokens and acts committed, and how many tokens did after an act that forbade them."""

    tokens: int = 0
    acts: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)


def judge(seen: Sequence[Seen], letters: dict[int, Letter]) -> Verdict:
    """Walk through what committed, in order, and count the tokens that were forbidden by what had committed before."""
    found = Verdict()
    forbidden: dict[str, set[str]] = {_LEFT: set(), _NEVER: set(), _DOMAIN: set(), _EDITION: set(), _BRAKE: set()}
    for what, subject in seen:
        if what == _TOKEN:
            found.tokens += 1
            letter = letters[int(subject)]
            about = {_LEFT: letter.key, _NEVER: letter.key, _DOMAIN: letter.domain, _EDITION: str(letter.edition)}
            about[_BRAKE] = "on"
            found.late.update(act for act, subjects in forbidden.items() if about[act] in subjects)
        elif what == _EDITION:
            edition, state = subject.split()
            (forbidden[_EDITION].discard if state == "sending" else forbidden[_EDITION].add)(edition)
            found.acts[f"{what} {state}"] += 1
        elif what == _BRAKE:
            forbidden[_BRAKE] = {"on"} if subject == "on" else set()
            found.acts[f"{what} {subject}"] += 1
        else:
            forbidden[what].add(subject)
            found.acts[what] += 1
    return found


class SqliteWitness:
    """Watches a SQLite file."""

    def __init__(self, file: str) -> None:
        """Put the triggers into the database at `file`."""
        self._file = file
        with closing(sqlite3.connect(file, timeout=60)) as connection, connection:
            connection.execute("CREATE TABLE witness (seq INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT, subject TEXT)")
            for number, (event, table, when, what, subject) in enumerate(_WATCHED):
                told = f"INSERT INTO witness (what, subject) VALUES ('{what}', {subject.format(**_SQLITE_HEX)})"
                connection.execute(
                    f"CREATE TRIGGER witness_{number} AFTER {event} ON {table} WHEN {when} BEGIN {told}; END"
                )

    def seen(self) -> list[Seen]:
        """Return what committed, in the order of the one writer's turns."""
        with closing(sqlite3.connect(self._file, timeout=60)) as connection:
            return [Seen(*row) for row in connection.execute("SELECT what, subject FROM witness ORDER BY seq")]

    def letters(self) -> dict[int, Letter]:
        """Return the letters by their ids."""
        with closing(sqlite3.connect(self._file, timeout=60)) as connection:
            return {row[0]: Letter(*row[1:]) for row in connection.execute(_LETTERS_SQLITE)}


class PostgresWitness:
    """Watches a PostgreSQL database whose server has `wal_level=logical`."""

    OPTIONS: Final = ("wal_level=logical",)

    def __init__(self, url: str) -> None:
        """Put the triggers into the database at `url`, and begin to keep its log of writes."""
        self._url = url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE witness (seq bigserial PRIMARY KEY, xid xid DEFAULT pg_current_xact_id()::xid,"
                " what text, subject text)"
            )
            for number, (event, table, when, what, subject) in enumerate(_WATCHED):
                told = f"INSERT INTO witness (what, subject) VALUES ('{what}', {subject.format(**_POSTGRES_HEX)})"
                _run(
                    connection, f"CREATE FUNCTION witness_{number}() RETURNS trigger LANGUAGE plpgsql AS {_body(told)}"
                )
                place = f"AFTER {event} ON {table} FOR EACH ROW WHEN ({when})"
                _run(connection, f"CREATE TRIGGER witness_{number} {place} EXECUTE FUNCTION witness_{number}()")
            connection.execute("CREATE PUBLICATION witness FOR TABLE witness")
            connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [_SLOT])

    def seen(self) -> list[Seen]:
        """Return what committed, transaction by transaction, in the order of their commits in the log of writes."""
        changes = (
            "SELECT xid::text FROM pg_logical_slot_peek_binary_changes(%s, NULL, NULL,"
            " 'proto_version', '1', 'publication_names', 'witness')"
        )
        with psycopg.connect(self._url, autocommit=True) as connection:
            order: dict[str, int] = {}
            for (xid,) in connection.execute(changes, [_SLOT]):
                order.setdefault(xid, len(order))
            rows = connection.execute("SELECT xid::text, seq, what, subject FROM witness").fetchall()
        rows.sort(key=lambda row: (order[row[0]], row[1]))
        return [Seen(row[2], row[3]) for row in rows]

    def letters(self) -> dict[int, Letter]:
        """Return the letters by their ids."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            return {row[0]: Letter(*row[1:]) for row in connection.execute(_LETTERS_POSTGRES)}


Witness = SqliteWitness | PostgresWitness


def _body(told: str) -> str:
    return f"$$BEGIN {told}; RETURN NULL; END$$"


def _run(connection: psycopg.Connection, words: str) -> None:
    connection.execute(words.encode())
