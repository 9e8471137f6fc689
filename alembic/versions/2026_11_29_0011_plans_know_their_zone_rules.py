"""Plans know the rules of the time zone that they were made with

Revision: 0011, after 0010; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from event_trigger.db.ddl import INSTANT, identity, instant_now

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Writes no row: the rules by which existing triggers were planned are unknown."""
    op.create_table(
        "zone_rules",
        sa.Column("digest", sa.Text, nullable=False),
        identity(),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        instant_now("recorded_at"),
        sa.Column("planned_at", INSTANT),
        sa.PrimaryKeyConstraint("digest", name="pk_zone_rules"),
    )
    op.add_column("triggers", sa.Column("zone_rules", sa.Text))
    op.add_column("schedule_versions", sa.Column("zone_rules", sa.Text))
    op.add_column("schedule_versions", sa.Column("moved_to", sa.Text))


def downgrade() -> None:
    op.drop_column("schedule_versions", "moved_to")
    op.drop_column("schedule_versions", "zone_rules")
    op.drop_column("triggers", "zone_rules")
    op.drop_table("zone_rules")
