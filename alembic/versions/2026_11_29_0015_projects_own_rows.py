"""Projects own triggers, destinations, events and keys; users are their members

Revision: 0015, after 0014; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from event_trigger.db.ddl import (
    INSTANT,
    identity,
    instant,
    instant_now,
    number,
)

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_OWNED = ("triggers", "trigger_tags", "destinations", "hooks")
_CHANGED = (*_OWNED, "users", "api_keys", "logins", "audit_entries")  # as calls lock them
_ADD_USERS_OF_PROJECTS = """
    INSERT INTO users (id, email, password_hash, role, disabled_at) OVERRIDING SYSTEM VALUE
    SELECT id, 'project-' || id || '@localhost', '!', 'user', now() FROM projects
    WHERE deleted_at IS NULL AND id NOT IN (SELECT id FROM users)
"""


def upgrade() -> None:
    """Reads and writes no row: what users own belongs to the projects that 0016 gives them.

    All locks are taken at once, after the new tables, and held for the moment that changing the
    catalog takes. Foreign keys of owned rows to users are dropped: an owner is a project from now
    on, whose rows a job deletes.
    """
    _add_projects()
    op.execute(f"LOCK TABLE {', '.join(_CHANGED)} IN ACCESS EXCLUSIVE MODE")
    for table, column in (("project_members", "user_id"), ("invitations", "made_by")):
        op.create_foreign_key(
            f"fk_{table}_{column}_users", table, "users", [column], ["id"], ondelete="CASCADE"
        )
    for table in _OWNED:
        op.drop_constraint(f"fk_{table}_owner_id_users", table, type_="foreignkey")
    op.add_column("users", sa.Column("default_project_id", sa.BigInteger))
    op.create_foreign_key(
        "fk_users_default_project_id_projects",
        "users",
        "projects",
        ["default_project_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.add_column("api_keys", sa.Column("project_id", sa.BigInteger))
    op.create_foreign_key(
        "fk_api_keys_project_id_projects",
        "api_keys",
        "projects",
        ["project_id"],
        ["id"],
        ondelete="CASCADE",
    )
    op.create_index("ix_api_keys_project_id", "api_keys", ["project_id"])
    op.add_column("logins", sa.Column("address", sa.Text))
    op.add_column("logins", sa.Column("user_agent", sa.Text))
    op.add_column("logins", sa.Column("last_used_at", INSTANT))
    op.add_column("audit_entries", sa.Column("project_id", sa.BigInteger))


def downgrade() -> None:
    """Makes each project of several users a disabled user, whose triggers go on firing.

    Its name, members and invitations are lost, and its keys end. Rows of a deleted project go with
    it. Stop every replica first.
    """
    op.execute("SET LOCAL statement_timeout = 0")
    op.execute(_ADD_USERS_OF_PROJECTS)
    op.drop_column("audit_entries", "project_id")
    for column in ("last_used_at", "user_agent", "address"):
        op.drop_column("logins", column)
    op.execute("DELETE FROM api_keys WHERE project_id <> user_id")
    op.drop_column("api_keys", "project_id")
    op.drop_column("users", "default_project_id")
    for table in _OWNED:
        op.execute(f"DELETE FROM {table} WHERE owner_id NOT IN (SELECT id FROM users)")  # noqa: S608
        op.create_foreign_key(
            f"fk_{table}_owner_id_users",
            table,
            "users",
            ["owner_id"],
            ["id"],
            ondelete="CASCADE",
        )
    op.drop_table("invitations")
    op.drop_table("project_members")
    op.drop_table("projects")


def _add_projects() -> None:
    op.create_table(
        "projects",
        number("id"),
        sa.Column("name", sa.Text, nullable=False),
        instant_now("created_at"),
        sa.Column("deleted_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
    )
    op.create_table(
        "project_members",
        number("project_id"),
        number("user_id"),
        sa.Column("role", sa.Text, nullable=False),
        instant_now("created_at"),
        sa.PrimaryKeyConstraint("project_id", "user_id", name="pk_project_members"),
        _of_project("project_members"),
    )
    op.create_index("ix_project_members_user_id", "project_members", ["user_id"])
    op.create_table(
        "invitations",
        identity(),
        number("project_id"),
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("email", sa.Text),
        number("made_by"),
        instant_now("created_at"),
        instant("expires_at"),
        sa.Column("accepted_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_invitations"),
        sa.UniqueConstraint("token_hash", name="uq_invitations_token_hash"),
        _of_project("invitations"),
    )
    op.create_index("ix_invitations_project_id", "invitations", ["project_id"])


def _of_project(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_project_id_projects"
    return sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=name, ondelete="CASCADE")
