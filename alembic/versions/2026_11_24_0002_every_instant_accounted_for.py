"""Versions of schedules, and the planned instants that did not fire

Revision: 0002, after 0001; 2026-11-24
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def identifier(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def instant(name: str) -> sa.Column[object]:
    return sa.Column(name, INSTANT, nullable=False)


def shard() -> sa.Column[int]:
    return sa.Column("shard", sa.SmallInteger, nullable=False)


def upgrade() -> None:
    """What is there already is accounted for from now on, and what older code adds, from then."""
    op.add_column(
        "triggers", sa.Column("version", sa.BigInteger, server_default="1", nullable=False)
    )
    for name in ("in_force_after", "settled_until"):
        op.add_column(
            "triggers", sa.Column(name, INSTANT, server_default=sa.func.now(), nullable=False)
        )
    create_schedule_versions()
    create_unfired_ranges()


def create_schedule_versions() -> None:
    op.create_table(
        "schedule_versions",
        shard(),
        identifier("trigger_id"),
        identifier("version"),
        identifier("owner_id"),
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
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        identifier("owner_id"),
        identifier("trigger_id"),
        identifier("version"),
        instant("first_at"),
        instant("last_at"),
        identifier("count"),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("recorded_at", INSTANT, server_default=sa.func.now(), nullable=False),
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
