"""Receivers ask for a pause, and it is kept by all that is sent to them

Revision: 0013, after 0012; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from event_trigger.db.ddl import INSTANT

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the end of a pause, which replicas of the version before neither keep nor clear."""
    op.add_column("destinations", sa.Column("held_until", INSTANT))


def downgrade() -> None:
    op.drop_column("destinations", "held_until")
