"""Indexes find triggers and destinations by their keys and sets

Revision: 0020, after 0019; 2026-11-29
"""

from event_trigger.db.ddl import create_index_concurrently, drop_index_concurrently

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_triggers_key", "triggers", ["shard", "owner_id", "key"], "key IS NOT NULL", True),
    (
        "ix_triggers_set",
        "triggers",
        ["shard", "owner_id", "set_name", "id"],
        "set_name IS NOT NULL",
        False,
    ),
    (
        "ix_destinations_key",
        "destinations",
        ["shard", "owner_id", "key"],
        "key IS NOT NULL AND deleted_at IS NULL",
        True,
    ),
)


def upgrade() -> None:
    """Firing writes to an index of `triggers` only for a trigger that it holds."""
    for name, table, columns, where, unique in _INDEXES:
        create_index_concurrently(name, table, columns, where=where, unique=unique)


def downgrade() -> None:
    for name, table, *_ in reversed(_INDEXES):
        drop_index_concurrently(name, table)
