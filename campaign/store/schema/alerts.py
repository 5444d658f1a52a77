"""The table of what needs a person. It never queries."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, Table, Text, text

from campaign.domain.alerts import Trouble
from campaign.store.schema import METADATA, Document, Id, Instant, Word

alerts = Table(
    "alerts",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("topic", Text, nullable=False, index=True),
    Column("trouble", Word(Trouble), nullable=False),
    Column("facts", Document, nullable=False),
    Column("commands", Document, nullable=False),
    Column("said", Text, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("count", Integer, nullable=False, server_default="1"),
    Column("notices", Integer, nullable=False, server_default="0"),
    Column("noticed_at", Instant),
    Column("resolved_at", Instant),
    Column("resolved_by", Text, nullable=False, server_default=""),
    Index(
        "uq_alerts_open",
        "topic",
        unique=True,
        sqlite_where=text("resolved_at IS NULL"),
        postgresql_where=text("resolved_at IS NULL"),
    ),
)
"""One row for each time that a topic is open. Nothing in it names a reader: `said` is masked before it comes here."""
