"""Runs the revisions on the connection that campaign.store.migrations hands over, or on CAMPAIGN_DATABASE_URL."""

from alembic import context

from campaign.store import migrations

migrations.run_environment(context)
