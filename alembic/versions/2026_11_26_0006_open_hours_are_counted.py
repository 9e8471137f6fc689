"""Counts of the parts of an hour, also of hours that are not over

Revision: 0006, after 0005; 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

from event_trigger.db.ddl import INSTANT, instant, number, shard

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Leaves closed partitions without these counts: their rows are counted when they are read."""
    op.add_column("event_partitions", sa.Column("counted_at", INSTANT))
    op.add_column("event_partitions", sa.Column("counted_below", sa.BigInteger))
    op.add_column("event_partitions", sa.Column("counted_xid", sa.BigInteger))
    op.create_table(
        "slot_counts",
        shard(),
        sa.Column("is_whole", sa.Boolean, nullable=False),
        instant("starts_at"),
        number("owner_id"),
        number("trigger_id"),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("is_test", sa.Boolean, nullable=False),
        number("below"),
        number("count"),
        sa.PrimaryKeyConstraint(
            "shard",
            "is_whole",
            "starts_at",
            "owner_id",
            "trigger_id",
            "type",
            "is_test",
            "below",
            name="pk_slot_counts",
        ),
    )


def downgrade() -> None:
    op.drop_table("slot_counts")
    for name in ("counted_xid", "counted_below", "counted_at"):
        op.drop_column("event_partitions", name)
