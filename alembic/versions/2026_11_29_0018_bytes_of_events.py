"""The bytes of a project's events are counted by partition

Revision: 0018, after 0017; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from event_trigger.db.ddl import instant, number, shard

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Reads no event: a job counts those that are there, some partitions every 2 s."""
    op.create_table(
        "event_bytes",
        shard(),
        sa.Column("is_total", sa.Boolean, nullable=False),
        instant("starts_at"),
        number("owner_id"),
        number("bytes"),
        sa.Column("reached", sa.BigInteger),
        sa.PrimaryKeyConstraint(
            "shard", "is_total", "starts_at", "owner_id", name="pk_event_bytes"
        ),
    )
    op.create_index(
        "ix_event_bytes_reached",
        "event_bytes",
        ["shard", "owner_id"],
        postgresql_where=sa.text("reached IS NOT NULL"),
    )
    op.create_table(
        "measured_partitions",
        instant("starts_at"),
        number("below"),
        number("xid"),
        sa.PrimaryKeyConstraint("starts_at", name="pk_measured_partitions"),
    )


def downgrade() -> None:
    op.drop_table("measured_partitions")
    op.drop_table("event_bytes")
