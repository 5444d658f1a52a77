"""Tables about people: lists, subscribers, subscriptions, consents, suppressions, imports, segments. It never queries.

The ids of erased people are never given to others (PostgreSQL sees to that itself): links in old letters name them.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from campaign.domain.attributes import AttributeKind
from campaign.domain.consent import OptIn, Reason, Source, SubscriptionState, Visibility
from campaign.store.schema import METADATA, Document, Id, Instant, Word

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
    Column("ends_at", Instant),
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
    Column("attributes", Document),
    Column("attributes_sealed", LargeBinary),
    Column("topics", Document),
    Column("import_id", Id),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    sqlite_autoincrement=True,
)
"""`attributes` holds values of closed vocabularies, numbers, days and yes or no, by name; free text lies in
`attributes_sealed`. `topics` is a list of words, NULL for somebody who chose none. `import_id` is the import that
brought the person, if one did: what an undo takes away."""

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
    Column("import_id", Id),
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
    Column("path", Text, nullable=False, server_default=""),
    Column("reading", Document),
    Column("recorded_by", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("undoing_at", Instant),
    Column("undone_at", Instant),
    Column("undone", Id, nullable=False, server_default="0"),
    Column("rows_done", Id, nullable=False, server_default="0"),
    Column("added", Id, nullable=False, server_default="0"),
    Column("changed", Id, nullable=False, server_default="0"),
    Column("unchanged", Id, nullable=False, server_default="0"),
    Column("refused", Id, nullable=False, server_default="0"),
)

import_changes = Table(
    "import_changes",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("import_id", Id, ForeignKey("imports.id"), nullable=False),
    Column("subscriber_id", Id, ForeignKey("subscribers.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("confirmed", Boolean, nullable=False),
    Column("before_sealed", LargeBinary),
    Index("ix_import_changes_import_id_id", "import_id", "id"),
)
"""What an import changed about people who were known: whether it made their subscription active, and the values that
were there before (sealed, as JSON). What it added says so by its own `import_id`."""

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

address_changes = Table(
    "address_changes",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("subscriber_id", Id, ForeignKey("subscribers.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("delivery_id", Id, nullable=False, unique=True),
    Column("asked_at", Instant, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("confirmed_at", Instant),
)
"""Who is to be written to at another address, once the letter that asks there (which alone has it) is answered."""

renewals = Table(
    "renewals",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("list_id", Id, ForeignKey("lists.id"), nullable=False),
    Column("wording_id", Id, ForeignKey("wordings.id"), nullable=False),
    Column("before", Instant, nullable=False),
    Column("answer_by", Instant, nullable=False),
    Column("recorded_by", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("asked_to", Id, nullable=False, server_default="0"),
    Column("asked", Id, nullable=False, server_default="0"),
    Column("finished_at", Instant),
    Column("lapsed", Id, nullable=False, server_default="0"),
    Column("closed_at", Instant),
    Index(
        "uq_renewals_open",
        "list_id",
        "wording_id",
        unique=True,
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
)
"""The active people of a list who were asked whether they still want its letters, because their last consent was
given before an instant. `asked_to` is the last subscription that was looked at, so that a crash costs nothing."""

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

suppressed_domains = Table(
    "suppressed_domains",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("domain", String(255), nullable=False, unique=True),
    Column("reason", Word(Reason), nullable=False),
    Column("since", Instant, nullable=False),
    Column("recorded_by", Text, nullable=False),
)

attributes = Table(
    "attributes",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("kind", Word(AttributeKind), nullable=False),
    Column("choices", Document),
    Column("description", Text, nullable=False, server_default=""),
    Column("created_at", Instant, nullable=False),
)

segments = Table(
    "segments",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("slug", String(80), nullable=False, unique=True),
    Column("rule", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("retired_at", Instant),
)
