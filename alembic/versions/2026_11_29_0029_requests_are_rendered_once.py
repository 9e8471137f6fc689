"""The rendered request of a delivery is kept, so that each attempt sends the same bytes

Revision: 0029, after 0028; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from event_trigger.db.ddl import number, shard

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes a table that replicas of the version before do not know: they render nothing."""
    op.create_table(
        "delivery_requests",
        shard(),
        number("delivery_id"),
        number("owner_id"),
        sa.Column("form", sa.LargeBinary, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.PrimaryKeyConstraint("shard", "delivery_id", name="pk_delivery_requests"),
    )


def downgrade() -> None:
    """Disables the destinations to which the version before would send something else."""
    op.drop_table("delivery_requests")
    op.execute("""
        UPDATE destinations SET max_concurrency = -max_concurrency,
            disabled_reason = coalesce(disabled_reason, 'by_hand')
        WHERE max_concurrency < 0
    """)
