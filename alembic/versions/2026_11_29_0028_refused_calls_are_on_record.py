"""Calls of hooks that were refused are on record

Revision: 0028, after 0027; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from event_trigger.db.ddl import instant, number, shard

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hook_refusals",
        shard(),
        number("trigger_id"),
        instant("minute"),
        sa.Column("reason", sa.Text, nullable=False),
        number("owner_id"),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("address", sa.Text),
        number("count"),
        instant("last_at"),
        sa.PrimaryKeyConstraint("shard", "trigger_id", "minute", "reason", name="pk_hook_refusals"),
    )
    op.create_index("ix_hook_refusals_minute", "hook_refusals", ["minute"])


def downgrade() -> None:
    op.drop_table("hook_refusals")
