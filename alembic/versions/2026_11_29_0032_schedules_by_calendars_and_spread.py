"""Triggers store the dates that they leave out, and by how much they are shifted

Revision: 0032, after 0031; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_TABLES = ("triggers", "schedule_versions")


def upgrade() -> None:
    """Rewrites no row: the columns are null."""
    for table in _TABLES:
        op.add_column(table, sa.Column("excluded_days", ARRAY(sa.Integer)))
        op.add_column(table, sa.Column("shift_seconds", sa.Integer))


def downgrade() -> None:
    """Sets aside triggers whose details the version before would read differently, or not at all.

    It does not know when they would fire, and fires nothing at a wrong time. Its `verify` reads
    their former schedules without excluded dates and shifts, and reports what does not add up: so
    it would if these were deleted, since their events would be those of no schedule.
    """
    op.execute("""
        UPDATE triggers SET status = 'paused', next_fire_at = NULL,
            error = 'Its schedule needs a newer version of the service, and was set aside.'
        WHERE type = 'scheduled' AND status = 'active' AND (
            json_typeof(details -> 'cron') = 'array'
            OR details ->> 'rrule' IS NOT NULL OR details ->> 'month_end' IS NOT NULL
            OR details ->> 'from' IS NOT NULL OR details ->> 'except' IS NOT NULL
            OR details ->> 'spread' IS NOT NULL
            OR (details ->> 'time' IS NOT NULL AND details ->> 'timezone' IS NOT NULL)
        )
    """)
    for table in _TABLES:
        op.drop_column(table, "shift_seconds")
        op.drop_column(table, "excluded_days")
