"""Answers are kept for repeated calls with an Idempotency-Key

Revision: 0021, after 0020; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from event_trigger.db.ddl import instant_now, number, shard

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes a table that replicas of the version before do not know: they keep no answers."""
    op.create_table(
        "kept_answers",
        shard(),
        number("owner_id"),
        sa.Column("call", sa.LargeBinary, nullable=False),
        sa.Column("body_hash", sa.LargeBinary, nullable=False),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("headers", sa.JSON, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("trigger_ids", postgresql.ARRAY(sa.BigInteger)),
        sa.Column("email", sa.Text),
        instant_now("created_at"),
        sa.PrimaryKeyConstraint("shard", "owner_id", "call", name="pk_kept_answers"),
    )
    op.create_index("ix_kept_answers_created_at", "kept_answers", ["created_at"])
    op.create_index(
        "ix_kept_answers_email",
        "kept_answers",
        ["email"],
        postgresql_where=sa.text("email IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_table("kept_answers")
