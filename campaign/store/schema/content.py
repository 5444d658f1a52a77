"""Tables about content: key dates that people added, articles and their topics. It never queries."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Date, ForeignKey, Index, LargeBinary, String, Table, Text, UniqueConstraint

from campaign.store.schema import METADATA, Id, Instant

key_dates = Table(
    "key_dates",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("slug", String(80), nullable=False, unique=True),
    Column("definition", JSON, nullable=False),
    Column("origin", String(20), nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("retired_at", Instant),
)

articles = Table(
    "articles",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("slug", String(80), nullable=False),
    Column("language", String(35), nullable=False),
    Column("title", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("source_name", Text, nullable=False, server_default=""),
    Column("source_url", Text, nullable=False, server_default=""),
    Column("published_on", Date),
    Column("review_on", Date),
    Column("sensitivity", String(20), nullable=False),
    Column("status", String(20), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    UniqueConstraint("slug", "language"),
    Index("ix_articles_status_language", "status", "language"),
)

article_topics = Table(
    "article_topics",
    METADATA,
    Column("article_id", Id, ForeignKey("articles.id", ondelete="CASCADE"), primary_key=True),
    Column("topic", String(80), primary_key=True),
)
