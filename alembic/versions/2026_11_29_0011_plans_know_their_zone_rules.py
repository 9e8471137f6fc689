"""Plans know the rules of the time zone that they were made with

Revision: 0011, after 0010; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """No row is written: what is there was planned by rules that nobody noted down."""
    op.create_table(
        "zone_rules",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("recorded_at", INSTANT, server_default=sa.func.now(), nullable=False),
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
