"""A project's events are found by their source

Revision: 0027, after 0026; 2026-11-29
"""

from alembic import op

from event_trigger.db.ddl import create_index_concurrently

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_INDEX = "ix_events_owner_source"
# with the trigger, counts by trigger read the index alone
_COLUMNS = ("shard", "owner_id", "source_kind", "is_test", "triggered_at", "id", "trigger_id")


def upgrade() -> None:
    """Indexes calls alone: scheduled events have no source, and do not pay for it."""
    create_index_concurrently(
        _INDEX, "events", _COLUMNS, where="source_kind IS NOT NULL", partitioned=True
    )


def downgrade() -> None:
    op.drop_index(_INDEX, "events")
