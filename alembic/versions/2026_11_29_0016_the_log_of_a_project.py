"""An index that lists the audit log of one project

Revision: 0016, after 0015; 2026-11-29
"""

from event_trigger.db.ddl import create_index_concurrently, drop_index_concurrently

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_index_concurrently(
        "ix_audit_entries_project", "audit_entries", ["project_id", "at", "id"]
    )


def downgrade() -> None:
    drop_index_concurrently("ix_audit_entries_project", "audit_entries")
