"""Triggers are found by their tags in a table of its own

Revision: 0010, after 0009; 2026-11-28
"""

import sqlalchemy as sa
from alembic import op

from event_trigger.db.ddl import number, shard

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLE, KEY = "trigger_tags", ["shard", "owner_id", "tag", "trigger_id"]


def upgrade() -> None:
    """Adds the keys after the rows, which is faster; only the last statement locks users."""
    op.create_table(
        TABLE,
        shard(),
        number("owner_id"),
        sa.Column("tag", sa.Text, nullable=False),
        number("trigger_id"),
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
