"""Deleted projects are found at once, with the addresses that leave the audit log with them

Revision: 0017, after 0016; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Locks only the table of projects, which has a row for each user and is read in no firing."""
    op.add_column("projects", sa.Column("erased_emails", sa.ARRAY(sa.Text)))
    op.create_index(
        "ix_projects_deleted",
        "projects",
        ["id"],
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_projects_deleted", "projects")
    op.drop_column("projects", "erased_emails")
