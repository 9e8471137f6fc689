"""Triggers and destinations have keys of their users' own, and belong to sets

Revision: 0019, after 0018; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds columns that replicas of the version before neither read nor write.

    Locks destinations before triggers, as requests do.
    """
    op.add_column("destinations", sa.Column("key", sa.Text))
    op.add_column("destinations", sa.Column("set_name", sa.Text))
    op.add_column("triggers", sa.Column("key", sa.Text))
    op.add_column("triggers", sa.Column("set_name", sa.Text))
    op.add_column("triggers", sa.Column("on_completion", sa.Text))


def downgrade() -> None:
    op.drop_column("destinations", "set_name")
    op.drop_column("destinations", "key")
    op.drop_column("triggers", "on_completion")
    op.drop_column("triggers", "set_name")
    op.drop_column("triggers", "key")
