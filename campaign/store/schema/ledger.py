"""Tables of the ledger: campaigns, editions, waves, compiled messages, deliveries and their events. It never queries.

No foreign key ties a delivery to a subscriber: an erased person's row goes, the letter's row stays with its keyed hash.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
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

from campaign.domain.delivery import Kind, Policy, State
from campaign.domain.editions import CampaignState, EditionState
from campaign.store.schema import METADATA, Id, Instant, Word

campaigns = Table(
    "campaigns",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("slug", String(80), nullable=False, unique=True),
    Column("state", Word(CampaignState), nullable=False),
    Column("definition", JSON, nullable=False),
    Column("policy", Word(Policy), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
)

campaign_lists = Table(
    "campaign_lists",
    METADATA,
    Column("campaign_id", Id, ForeignKey("campaigns.id"), primary_key=True),
    Column("list_id", Id, ForeignKey("lists.id"), primary_key=True),
)

approvals = Table(
    "approvals",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("campaign_id", Id, ForeignKey("campaigns.id"), nullable=False, index=True),
    Column("edition_id", Id, ForeignKey("editions.id")),
    Column("digest", LargeBinary(32), nullable=False),
    Column("approved_by", Text, nullable=False),
    Column("approved_at", Instant, nullable=False),
    Column("people", Id, nullable=False),
)

editions = Table(
    "editions",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("campaign_id", Id, ForeignKey("campaigns.id"), nullable=False),
    Column("step", String(20), nullable=False),
    Column("occurrence", String(40), nullable=False),
    Column("name", String(160), nullable=False, unique=True),
    Column("state", Word(EditionState), nullable=False),
    Column("day", String(10), nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("latest_start", Instant, nullable=False),
    Column("at_once", Boolean, nullable=False, server_default=text("false")),
    Column("cutoff", Instant),
    Column("frozen_to", Id, nullable=False, server_default="0"),
    Column("planned", Id, nullable=False, server_default="0"),
    Column("excluded", JSON, nullable=False, server_default="{}"),
    Column("note", Text, nullable=False, server_default=""),
    Column("started_at", Instant),
    Column("moved_at", Instant, nullable=False),
    UniqueConstraint("campaign_id", "step", "occurrence"),
    Index("ix_editions_state_starts_at", "state", "starts_at"),
)

waves = Table(
    "waves",
    METADATA,
    Column("edition_id", Id, ForeignKey("editions.id"), primary_key=True),
    Column("timezone", String(64), primary_key=True),
    Column("due_at", Instant, nullable=False),
    Column("latest_start", Instant, nullable=False),
    Column("valid_until", Instant, nullable=False),
    Column("open", Boolean, nullable=False, server_default=text("false")),
)

messages = Table(
    "messages",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("edition_id", Id, ForeignKey("editions.id"), index=True),
    Column("variant", String(80), nullable=False, unique=True),
    Column("language", String(35), nullable=False),
    Column("subject", Text, nullable=False),
    Column("compiled", LargeBinary, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
)

message_articles = Table(
    "message_articles",
    METADATA,
    Column("message_id", Id, ForeignKey("messages.id"), primary_key=True),
    Column("article_id", Id, ForeignKey("articles.id"), primary_key=True),
    Column("position", Integer, nullable=False),
)

deliveries = Table(
    "deliveries",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("kind", Word(Kind), nullable=False),
    Column("edition_id", Id, ForeignKey("editions.id")),
    Column("subscriber_id", Id),
    Column("subscription_id", Id),
    Column("purpose_key", Text, nullable=False, unique=True),
    Column("address_key", LargeBinary(32), nullable=False),
    Column("address_sealed", LargeBinary),
    Column("relay", String(40), nullable=False, default=""),
    Column("domain", String(255), nullable=False),
    Column("variant", String(80)),
    Column("due_at", Instant, nullable=False),
    Column("valid_until", Instant, nullable=False),
    Column("state", Word(State), nullable=False),
    Column("owner", String(40)),
    Column("claim_no", Integer, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("drops", Integer, nullable=False, server_default="0"),
    Column("last_code", Integer),
    Column("last_enhanced", String(12)),
    Column("reason", String(40)),
    Column("moved_at", Instant, nullable=False),
    Column("message_id", String(255)),
    Column("date", Instant),
    Column("name_sealed", LargeBinary),
    Index("ix_deliveries_edition_id_state", "edition_id", "state"),
    Index("ix_deliveries_subscriber_id", "subscriber_id"),
    Index(
        "ix_deliveries_queued",
        "edition_id",
        "due_at",
        "id",
        sqlite_where=text("state = 'queued'"),
        postgresql_where=text("state = 'queued'"),
    ),
    Index(
        "ix_deliveries_service",
        "address_key",
        sqlite_where=text("edition_id IS NULL"),
        postgresql_where=text("edition_id IS NULL"),
    ),
    Index(
        "ix_deliveries_held",
        "owner",
        sqlite_where=text("state IN ('claimed', 'offered')"),
        postgresql_where=text("state IN ('claimed', 'offered')"),
    ),
    Index(
        "ix_deliveries_in_doubt",
        "edition_id",
        sqlite_where=text("state = 'in_doubt'"),
        postgresql_where=text("state = 'in_doubt'"),
    ),
)

delivery_events = Table(
    "delivery_events",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("delivery_id", Id, ForeignKey("deliveries.id"), nullable=False, index=True),
    Column("from_state", Word(State), nullable=False),
    Column("to_state", Word(State), nullable=False),
    Column("at", Instant, nullable=False),
    Column("claim_no", Integer, nullable=False),
    Column("code", Integer),
    Column("enhanced", String(12)),
    Column("reason", String(40)),
)

delivery_replies = Table(
    "delivery_replies",
    METADATA,
    Column("event_id", Id, ForeignKey("delivery_events.id"), primary_key=True),
    Column("text", Text, nullable=False),
)

relays = Table(
    "relays",
    METADATA,
    Column("name", String(40), primary_key=True),
    Column("paused_until", Instant),
    Column("reason", Text, nullable=False, server_default=""),
    Column("faults", Integer, nullable=False, server_default="0"),
    Column("paused_by", String(100)),
)

paces = Table(
    "paces",
    METADATA,
    Column("relay", String(40), primary_key=True),
    Column("domain", String(255), primary_key=True),
    Column("paused_by", String(100)),
    Column("paused_until", Instant),
    Column("reason", Text, nullable=False, server_default=""),
    Column("rate", Float),
    Column("parallel", Integer),
    Column("usual_rate", Float),
    Column("changed_at", Instant, nullable=False),
)
"""What is different for one recipient domain at one relay: a pause, or a pace that it asked for."""

permits = Table(
    "permits",
    METADATA,
    Column("relay", String(40), primary_key=True),
    Column("domain", String(255), primary_key=True),
    Column("span", String(20), primary_key=True),
    Column("free_at", BigInteger, nullable=False),
    Column("buckets", JSON, nullable=False),
)
"""One row for each limit, of a relay (no domain) or of a domain at it: what was granted, by whichever worker."""

brakes = Table(
    "brakes",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("pulled_at", Instant, nullable=False),
    Column("pulled_by", Text, nullable=False),
    Column("because", Text, nullable=False, server_default=""),
)
"""At most one row: while it is there nothing is claimed, and no token commits."""

instance = Table(
    "instance",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("instance_id", String(40), nullable=False),
    Column("fingerprint", LargeBinary(8), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("journal_to", Id, nullable=False, server_default="0"),
)
