"""Lanes: waiting letters belong to no relay, whichever has room takes them; a letter keeps its name, not all it said.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    queued = sa.text("state = 'queued'")
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_index("ix_deliveries_queued")
        batch_op.create_index(
            "ix_deliveries_queued",
            ["edition_id", "due_at", "id"],
            unique=False,
            sqlite_where=queued,
            postgresql_where=queued,
        )
    op.add_column("deliveries", sa.Column("name_sealed", sa.LargeBinary(), nullable=True))
    op.drop_column("deliveries", "slots_sealed")
