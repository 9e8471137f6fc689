"""Silent heartbeats are found by an index

Revision: 0036, after 0035; 2026-11-30
"""

from event_trigger.db.ddl import create_index_concurrently, drop_index_concurrently

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_index_concurrently(
        "ix_triggers_silent",
        "triggers",
        ["shard", "id", "owner_id"],
        where="silent_since IS NOT NULL",
    )


def downgrade() -> None:
    drop_index_concurrently("ix_triggers_silent", "triggers")
