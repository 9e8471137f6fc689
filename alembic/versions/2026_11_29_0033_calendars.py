"""Calendars, and the triggers that name them

Revision: 0033, after 0032; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "calendars",
        sa.Column("shard", sa.SmallInteger, nullable=False),
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("owner_id", sa.BigInteger, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("set_name", sa.Text),
        sa.Column("dates", ARRAY(sa.Text), nullable=False),
        sa.Column("ics", sa.Text),
        sa.Column("covers_until", sa.Date),
        sa.Column("expanded_in", sa.SmallInteger),
        sa.Column("created_at", _INSTANT, server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", _INSTANT, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "id", name="pk_calendars"),
    )
    op.create_index("ix_calendars_listed", "calendars", ["shard", "owner_id", "id"])
    op.create_index("ix_calendars_key", "calendars", ["shard", "owner_id", "key"], unique=True)
    op.create_index(
        "ix_calendars_set",
        "calendars",
        ["shard", "owner_id", "set_name", "id"],
        postgresql_where=sa.text("set_name IS NOT NULL"),
    )
    op.create_index(
        "ix_calendars_to_extend",
        "calendars",
        ["shard", "expanded_in", "id"],
        postgresql_where=sa.text("expanded_in IS NOT NULL"),
    )
    op.create_table(
        "trigger_calendars",
        sa.Column("shard", sa.SmallInteger, nullable=False),
        sa.Column("owner_id", sa.BigInteger, nullable=False),
        sa.Column("calendar_key", sa.Text, nullable=False),
        sa.Column("trigger_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(
            "shard", "owner_id", "calendar_key", "trigger_id", name="pk_trigger_calendars"
        ),
    )
    op.create_index("ix_trigger_calendars_trigger", "trigger_calendars", ["shard", "trigger_id"])


def downgrade() -> None:
    """Takes away the calendars; 0032 takes away what triggers have of their dates."""
    op.drop_table("trigger_calendars")
    op.drop_table("calendars")
