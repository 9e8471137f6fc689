"""Heartbeats: triggers that fire when an expected ping does not come

Revision: 0035, after 0034; 2026-11-30
"""

import sqlalchemy as sa
from alembic import op

from event_trigger.db.ddl import INSTANT, identity, instant, instant_now, number, shard

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

_COLUMNS = ("last_ping_at", "run_started_at", "silent_since")
_COUNTS = ("event_counts", "block_counts", "slot_counts")


def upgrade() -> None:
    """Rewrites no row: the columns are null."""
    for column in _COLUMNS:
        op.add_column("triggers", sa.Column(column, INSTANT))
    op.create_table(
        "heartbeat_changes",
        shard(),
        identity(),
        number("owner_id"),
        number("trigger_id"),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("deadline_at", INSTANT),
        number("event_id"),
        instant_now("changed_at"),
        sa.PrimaryKeyConstraint("shard", "id", name="pk_heartbeat_changes"),
    )
    op.create_index(
        "ix_heartbeat_changes_trigger", "heartbeat_changes", ["shard", "trigger_id", "id"]
    )
    op.create_index("ix_heartbeat_changes_changed_at", "heartbeat_changes", ["changed_at"])
    op.create_table(
        "service_beats",
        sa.Column("is_only", sa.Boolean, server_default=sa.true(), nullable=False),
        instant_now("beat_at"),
        sa.CheckConstraint("is_only", name="ck_service_beats_one_row"),
        sa.PrimaryKeyConstraint("is_only", name="pk_service_beats"),
    )
    op.execute("INSERT INTO service_beats DEFAULT VALUES")
    op.create_table(
        "service_outages",
        identity(),
        instant("began_at"),
        instant("ended_at"),
        sa.PrimaryKeyConstraint("id", name="pk_service_outages"),
    )


def downgrade() -> None:
    """Turns heartbeats into paused API triggers, which the version before can show.

    Their events become those of calls. Counts of closed partitions lose them.
    """
    # in an UPDATE, a cluster calls no function with columns that is STABLE, as json_build_object is
    op.execute("""
        UPDATE triggers SET type = 'api', status = 'paused', next_fire_at = NULL,
            details = CAST('{"hook": ' || CAST(details -> 'hook' AS text) || '}' AS json),
            error = 'It was a heartbeat, which needs a newer version, and was set aside.'
        WHERE type = 'heartbeat'
    """)
    op.execute("UPDATE events SET type = 'api' WHERE type = 'heartbeat'")
    for table in _COUNTS:
        op.execute(f"DELETE FROM {table} WHERE type = 'heartbeat'")  # noqa: S608
    op.drop_table("service_outages")
    op.drop_table("service_beats")
    op.drop_table("heartbeat_changes")
    for column in _COLUMNS:
        op.drop_column("triggers", column)
