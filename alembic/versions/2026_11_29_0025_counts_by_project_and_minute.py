"""Counts by project and by minute answer whether everything is all right

Revision: 0025, after 0024; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from event_trigger.db.ddl import (
    INSTANT,
    create_index_concurrently,
    drop_index_concurrently,
    instant,
    number,
    shard,
)

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_INDEXES = (
    (
        "ix_destinations_failing",
        "destinations",
        ["shard", "owner_id", "id"],
        'deleted_at IS NULL AND ("window" IS NOT NULL OR disabled_reason IS NOT NULL)',
    ),
    (
        "ix_deliveries_owner_exhausted",
        "deliveries",
        ["shard", "owner_id", "finished_at"],
        "status = 'exhausted'",
    ),
)


def upgrade() -> None:
    """Counts nothing: a job counts what is there. Firing writes to none of these indexes."""
    for name, table, columns, where in _INDEXES:
        create_index_concurrently(name, table, columns, where=where)
    op.create_table(
        "minute_counts",
        shard(),
        number("owner_id"),
        sa.Column("measure", sa.Text, nullable=False),
        instant("minute"),
        sa.Column("series", sa.Text, nullable=False),
        number("destination_id"),
        sa.Column("bucket", sa.SmallInteger, autoincrement=False, nullable=False),
        number("part"),
        number("count"),
        sa.Column("longest_ms", sa.Float),
        sa.PrimaryKeyConstraint(
            "shard",
            "owner_id",
            "measure",
            "minute",
            "series",
            "destination_id",
            "bucket",
            "part",
            name="pk_minute_counts",
        ),
    )
    op.create_index("ix_minute_counts_minute", "minute_counts", ["shard", "measure", "minute"])
    op.create_table(
        "minute_partitions",
        instant("starts_at"),
        instant("ends_at"),
        instant("counted_until"),
        number("below"),
        number("xid"),
        sa.PrimaryKeyConstraint("starts_at", name="pk_minute_partitions"),
    )
    op.create_table(
        "project_counts",
        shard(),
        number("owner_id"),
        sa.Column("state", sa.Text, nullable=False),
        number("number"),
        sa.Column("since", INSTANT),
        sa.PrimaryKeyConstraint("shard", "owner_id", "state", name="pk_project_counts"),
    )
    op.create_table(
        "count_passes",
        sa.Column("id", sa.SmallInteger, autoincrement=False, nullable=False),
        instant("passed_at"),
        sa.Column("counted_at", INSTANT),
        instant("next_at"),
        number("next_xid"),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_count_passes"),
    )


def downgrade() -> None:
    for table in ("count_passes", "project_counts", "minute_partitions", "minute_counts"):
        op.drop_table(table)
    for name, table, *_ in reversed(_INDEXES):
        drop_index_concurrently(name, table)
