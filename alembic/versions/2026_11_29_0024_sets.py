"""Sets are listed, and their destinations are found

Revision: 0024, after 0023; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from event_trigger.db.ddl import (
    create_index_concurrently,
    drop_index_concurrently,
    identity,
    instant_now,
    number,
    shard,
)

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_index_concurrently(
        "ix_destinations_set",
        "destinations",
        ["shard", "owner_id", "set_name", "id"],
        where="set_name IS NOT NULL AND deleted_at IS NULL",
    )
    op.create_table(
        "sets",
        shard(),
        identity(),
        number("owner_id"),
        sa.Column("name", sa.Text, nullable=False),
        instant_now("created_at"),
        instant_now("updated_at"),
        sa.PrimaryKeyConstraint("shard", "id", name="pk_sets"),
    )
    op.create_index("ix_sets_name", "sets", ["shard", "owner_id", "name"], unique=True)
    op.create_index("ix_sets_listed", "sets", ["shard", "owner_id", "id"])
    op.create_table(
        "finished_members",
        shard(),
        number("owner_id"),
        sa.Column("set_name", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("shard", "owner_id", "set_name", "key", name="pk_finished_members"),
    )


def downgrade() -> None:
    drop_index_concurrently("ix_destinations_set", "destinations")
    op.drop_table("finished_members")
    op.drop_table("sets")
