"""Shards are asked one by one what they have planned: the index of them all is not needed

Revision: 0008, after 0007; 2026-11-27
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NAME = "ix_triggers_due"


def upgrade() -> None:
    op.drop_index(NAME, "triggers")


def downgrade() -> None:
    waiting = sa.text("next_fire_at IS NOT NULL")
    op.create_index(NAME, "triggers", ["next_fire_at", "shard"], postgresql_where=waiting)
