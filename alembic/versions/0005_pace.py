"""Pace: relays and their recipient domains can be paused by hand, and have limits that all workers share.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("relays", sa.Column("paused_by", sa.String(length=100), nullable=True))
    op.create_table(
        "paces",
        sa.Column("relay", sa.String(length=40), nullable=False),
        sa.Column("domain", sa.String(length=255), nullable=False),
        sa.Column("paused_by", sa.String(length=100), nullable=True),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("rate", sa.Float(), nullable=True),
        sa.Column("parallel", sa.Integer(), nullable=True),
        sa.Column("usual_rate", sa.Float(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("relay", "domain", name=op.f("pk_paces")),
    )
    op.create_table(
        "permits",
        sa.Column("relay", sa.String(length=40), nullable=False),
        sa.Column("domain", sa.String(length=255), nullable=False),
        sa.Column("span", sa.String(length=20), nullable=False),
        sa.Column("free_at", sa.BigInteger(), nullable=False),
        sa.Column("buckets", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("relay", "domain", "span", name=op.f("pk_permits")),
    )
