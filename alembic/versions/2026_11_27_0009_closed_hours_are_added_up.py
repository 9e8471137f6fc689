"""Closed hours are added up in blocks

Revision: 0009, after 0008; 2026-11-27
"""

import sqlalchemy as sa
from alembic import op

from event_trigger.db.ddl import INSTANT, instant, number, shard

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

KEY = ("shard", "starts_at", "owner_id", "trigger_id", "type", "is_test")


def upgrade() -> None:
    """Makes no blocks of closed partitions: the next sweep does."""
    op.add_column("event_partitions", sa.Column("block_starts_at", INSTANT))
    op.create_table(
        "block_counts",
        shard(),
        instant("starts_at"),
        number("owner_id"),
        number("trigger_id"),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("is_test", sa.Boolean, nullable=False),
        number("count"),
        sa.PrimaryKeyConstraint(*KEY, name="pk_block_counts"),
    )


def downgrade() -> None:
    op.drop_table("block_counts")
    op.drop_column("event_partitions", "block_starts_at")
