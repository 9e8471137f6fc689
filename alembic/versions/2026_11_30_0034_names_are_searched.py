"""An index has the names of a project's triggers in the order of ids

Revision: 0034, after 0033; 2026-11-30
"""

from event_trigger.db.ddl import create_index_concurrently, drop_index_concurrently

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

_INDEX, _TABLE = "ix_trigger_sort_keys_id", "trigger_sort_keys"


def upgrade() -> None:
    create_index_concurrently(_INDEX, _TABLE, ["shard", "owner_id", "trigger_id", "sort_name"])


def downgrade() -> None:
    drop_index_concurrently(_INDEX, _TABLE)
