"""Tables about those who do things here, and what they did. It never queries."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, String, Table, Text

from campaign.domain.operators import Role
from campaign.store.schema import METADATA, Document, Id, Instant, Word

operators = Table(
    "operators",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("role", Word(Role), nullable=False),
    Column("title", Text, nullable=False, server_default=""),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("retired_at", Instant),
)

audit = Table(
    "audit",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("operator", Text, nullable=False),
    Column("action", String(80), nullable=False),
    Column("subject", Text, nullable=False),
    Column("subject_key", LargeBinary(32)),
    Column("before", Document),
    Column("after", Document),
    Index("ix_audit_subject_key", "subject_key"),
    sqlite_autoincrement=True,
)
"""Addresses in `subject`, `before` and `after` are masked; `subject_key` is the keyed hash of the mailbox."""
