"""Deliveries keep the trace context of their event

Revision: 0040, after 0038; 2026-11-30
"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rewrites no row: the column is null."""
    op.add_column("deliveries", sa.Column("trace_context", sa.Text))


def downgrade() -> None:
    op.drop_column("deliveries", "trace_context")
