"""Versions of schedules, and the planned instants that did not fire

Revision: 0002, after 0001; 2026-11-24
"""

import sqlalchemy as sa
from alembic import op

from event_trigger.db.ddl import identity, instant, instant_now, number, shard

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Reconciles existing triggers from now on, and those of older code from their creation."""
    op.add_column("triggers", number("version", "1"))
    for name in ("in_force_after", "settled_until"):
        op.add_column("triggers", instant_now(name))
    create_schedule_versions()
    create_unfired_ranges()


def create_schedule_versions() -> None:
    op.create_table(
        "schedule_versions",
        shard(),
        number("trigger_id"),
        number("version"),
        number("owner_id"),
        sa.Column("details", sa.JSON, nullable=False),
        instant("anchor_at"),
        instant("starts_after"),
        instant("ends_at"),
        sa.PrimaryKeyConstraint("shard", "trigger_id", "version", name="pk_schedule_versions"),
    )
    op.create_index("ix_schedule_versions_ends_at", "schedule_versions", ["ends_at"])


def create_unfired_ranges() -> None:
    op.create_table(
        "unfired_ranges",
        shard(),
        identity(),
        number("owner_id"),
        number("trigger_id"),
        number("version"),
        instant("first_at"),
        instant("last_at"),
        number("count"),
        sa.Column("reason", sa.Text, nullable=False),
        instant_now("recorded_at"),
        sa.PrimaryKeyConstraint("shard", "id", name="pk_unfired_ranges"),
    )
    op.create_index(
        "ix_unfired_ranges_trigger", "unfired_ranges", ["shard", "trigger_id", "last_at"]
    )
    op.create_index("ix_unfired_ranges_recorded_at", "unfired_ranges", ["recorded_at"])


def downgrade() -> None:
    op.drop_table("unfired_ranges")
    op.drop_table("schedule_versions")
    for name in ("settled_until", "in_force_after", "version"):
        op.drop_column("triggers", name)
