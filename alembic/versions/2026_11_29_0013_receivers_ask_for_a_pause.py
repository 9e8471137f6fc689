"""Receivers ask for a pause, and it is kept by all that is sent to them

Revision: 0013, after 0012; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A replica of the version before neither keeps the pause nor ends it."""
    op.add_column("destinations", sa.Column("held_until", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("destinations", "held_until")
