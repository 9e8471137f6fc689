"""Each user has a project; indexes list the log of a project, and the logins of a user

Revision: 0016, after 0015; 2026-11-29
"""

from alembic import op

from event_trigger.db.ddl import create_index_concurrently, drop_index_concurrently

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_ADD_OWN_PROJECTS = """
    INSERT INTO projects (id, name, created_at) SELECT id, email, created_at FROM users
    ON CONFLICT DO NOTHING
"""
_ADD_OWN_MEMBERS = """
    INSERT INTO project_members (project_id, user_id, role, created_at)
    SELECT projects.id, users.id, 'owner', users.created_at
    FROM users JOIN projects ON projects.id = users.id
    ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    """Gives each user a project with the user's id, so that no owned row has to be written.

    That is after 0015 and apart from it, since it takes time for very many users and needs no table
    for itself. A user that a replica of the version before adds from then on gets a project at the
    first call to a newer replica. Keys stay as they are: one without a project works in its user's
    own one, and writing many would keep calls with them waiting.
    """
    create_index_concurrently(
        "ix_audit_entries_project", "audit_entries", ["project_id", "at", "id"]
    )
    create_index_concurrently("ix_logins_user", "logins", ["user_id", "created_at", "id"])
    drop_index_concurrently("ix_logins_user_id", "logins")
    op.execute(_ADD_OWN_PROJECTS)
    op.execute(_ADD_OWN_MEMBERS)


def downgrade() -> None:
    create_index_concurrently("ix_logins_user_id", "logins", ["user_id"])
    drop_index_concurrently("ix_logins_user", "logins")
    drop_index_concurrently("ix_audit_entries_project", "audit_entries")
