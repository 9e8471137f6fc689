"""An index finds completed triggers that are to be deleted

Revision: 0022, after 0021; 2026-11-29
"""

from event_trigger.db.ddl import create_index_concurrently, drop_index_concurrently

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Firing writes to it only when it completes such a trigger."""
    create_index_concurrently(
        "ix_triggers_to_delete",
        "triggers",
        ["shard", "id"],
        where="status = 'completed' AND on_completion = 'delete'",
    )


def downgrade() -> None:
    drop_index_concurrently("ix_triggers_to_delete", "triggers")
