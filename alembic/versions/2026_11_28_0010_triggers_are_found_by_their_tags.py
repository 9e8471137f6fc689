"""Triggers are found by their tags in a table of its own

Revision: 0010, after 0009; 2026-11-28
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLE, KEY = "trigger_tags", ["shard", "owner_id", "tag", "trigger_id"]


def upgrade() -> None:
    """Keys come when the rows are there, which is quicker; users are locked only for the last."""
    op.create_table(
        TABLE,
        sa.Column("shard", sa.SmallInteger, autoincrement=False, nullable=False),
        sa.Column("owner_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("trigger_id", sa.BigInteger, autoincrement=False, nullable=False),
    )
    op.execute(
        """
        INSERT INTO trigger_tags (shard, owner_id, tag, trigger_id)
        SELECT DISTINCT shard, owner_id, unnest(tags), id FROM triggers
        """
    )
    op.create_primary_key("pk_trigger_tags", TABLE, KEY)
    op.create_index("ix_trigger_tags_tag", TABLE, ["shard", "tag", "trigger_id"])
    op.execute("ANALYZE trigger_tags")
    op.create_foreign_key(
        "fk_trigger_tags_owner_id_users", TABLE, "users", ["owner_id"], ["id"], ondelete="CASCADE"
    )


def downgrade() -> None:
    op.drop_table(TABLE)
