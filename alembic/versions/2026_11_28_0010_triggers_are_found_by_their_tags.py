"""Triggers are found by their tags in a table of its own

Revision: 0010, after 0009; 2026-11-28
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What replicas of before tag while this runs, and after, is not found by its tag."""
    op.create_table(
        "trigger_tags",
        sa.Column("shard", sa.SmallInteger, autoincrement=False, nullable=False),
        sa.Column("owner_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("trigger_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("shard", "owner_id", "tag", "trigger_id", name="pk_trigger_tags"),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name="fk_trigger_tags_owner_id_users", ondelete="CASCADE"
        ),
    )
    op.execute(
        """
        INSERT INTO trigger_tags (shard, owner_id, tag, trigger_id)
        SELECT DISTINCT shard, owner_id, unnest(tags), id FROM triggers
        """
    )
    op.create_index("ix_trigger_tags_tag", "trigger_tags", ["shard", "tag", "trigger_id"])


def downgrade() -> None:
    op.drop_table("trigger_tags")
