"""Tables about people: lists, subscribers, subscriptions, consents, suppressions, imports. It never queries.

The ids of erased people are never given to others (PostgreSQL sees to that itself): links in old letters name them.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from campaign.domain.consent import OptIn, Reason, Source, SubscriptionState, Visibility
from campaign.store.schema import METADATA, Id, Instant, Word

lists = Table(
    "lists",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("slug", String(80), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("opt_in", Word(OptIn), nullable=False),
    Column("visibility", Word(Visibility), nullable=False),
    Column("language", String(35)),
    Column("timezone", String(64)),
    Column("created_at", Instant, nullable=False),
    Column("retired_at", Instant),
)

subscribers = Table(
    "subscribers",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("address_key", LargeBinary(32), nullable=False, unique=True),
    Column("key_version", Integer, nullable=False),
    Column("address_sealed", LargeBinary, nullable=False),
    Column("domain", String(255), nullable=False),
    Column("name_sealed", LargeBinary),
    Column("country", String(2)),
    Column("language", String(35)),
    Column("timezone", String(64)),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    sqlite_autoincrement=True,
)

subscriptions = Table(
    "subscriptions",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("subscriber_id", Id, ForeignKey("subscribers.id", ondelete="CASCADE"), nullable=False),
    Column("list_id", Id, ForeignKey("lists.id"), nullable=False),
    Column("state", Word(SubscriptionState), nullable=False),
    Column("joined_at", Instant, nullable=False),
    Column("confirmed_at", Instant),
    Column("left_at", Instant),
    Column("asked", Integer, nullable=False, server_default="0"),
    UniqueConstraint("subscriber_id", "list_id"),
    Index("ix_subscriptions_list_id_state_subscriber_id", "list_id", "state", "subscriber_id"),
    sqlite_autoincrement=True,
)

wordings = Table(
    "wordings",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("text", Text, nullable=False),
    Column("locale", String(35), nullable=False),
)

imports = Table(
    "imports",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("list_id", Id, ForeignKey("lists.id"), nullable=False),
    Column("file", Text, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("confirm", Integer, nullable=False),
    Column("wording_id", Id, ForeignKey("wordings.id"), nullable=False),
    Column("recorded_by", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("rows_done", Id, nullable=False, server_default="0"),
    Column("added", Id, nullable=False, server_default="0"),
    Column("changed", Id, nullable=False, server_default="0"),
    Column("unchanged", Id, nullable=False, server_default="0"),
    Column("refused", Id, nullable=False, server_default="0"),
)

consents = Table(
    "consents",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("subscription_id", Id, ForeignKey("subscriptions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("wording_id", Id, ForeignKey("wordings.id"), nullable=False),
    Column("source", Word(Source), nullable=False),
    Column("given_at", Instant, nullable=False),
    Column("confirmed_at", Instant),
    Column("recorded_by", Text, nullable=False),
    Column("import_id", Id, ForeignKey("imports.id")),
)

suppressions = Table(
    "suppressions",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("address_key", LargeBinary(32), nullable=False, unique=True),
    Column("key_version", Integer, nullable=False),
    Column("reason", Word(Reason), nullable=False),
    Column("since", Instant, nullable=False),
    Column("recorded_by", Text, nullable=False),
)
