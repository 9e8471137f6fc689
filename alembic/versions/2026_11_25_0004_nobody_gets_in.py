"""API keys, narrowed logins, failures to sign in, the audit log, and hooks

Revision: 0004, after 0003; 2026-11-25
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from event_trigger.db.ddl import INSTANT, identity, instant, instant_now, number

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("logins", sa.Column("scopes", ARRAY(sa.Text)))
    create_api_keys()
    create_audit_entries()
    create_hooks()
    op.create_table(
        "sign_in_failures",
        sa.Column("subject", sa.LargeBinary, nullable=False),
        instant("clear_at"),
        sa.PrimaryKeyConstraint("subject", name="pk_sign_in_failures"),
    )
    op.create_index("ix_sign_in_failures_clear_at", "sign_in_failures", ["clear_at"])


def create_api_keys() -> None:
    op.create_table(
        "api_keys",
        identity(),
        number("user_id"),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("key_hash", sa.LargeBinary, nullable=False),
        sa.Column("scopes", ARRAY(sa.Text), nullable=False),
        sa.Column("trigger_ids", ARRAY(sa.BigInteger)),
        sa.Column("expires_at", INSTANT),
        sa.Column("last_used_at", INSTANT),
        instant_now("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_api_keys_user_id_users", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id"])


def create_audit_entries() -> None:
    op.create_table(
        "audit_entries",
        identity(),
        sa.Column("at", INSTANT, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("user_id", sa.BigInteger),
        sa.Column("key_id", sa.BigInteger),
        sa.Column("address", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", sa.Text),
        sa.Column("target_id", sa.BigInteger),
        sa.Column("refused", sa.Boolean, nullable=False),
        sa.Column("before", sa.JSON),
        sa.Column("after", sa.JSON),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entries"),
    )
    op.create_index("ix_audit_entries_at", "audit_entries", ["at"])
    op.create_index("ix_audit_entries_user_id", "audit_entries", ["user_id", "id"])
    op.create_index("ix_audit_entries_target", "audit_entries", ["target", "target_id", "id"])


def create_hooks() -> None:
    op.create_table(
        "hooks",
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        number("trigger_id"),
        number("owner_id"),
        sa.Column("verify", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        instant_now("created_at"),
        sa.PrimaryKeyConstraint("token_hash", name="pk_hooks"),
        sa.UniqueConstraint("trigger_id", name="uq_hooks_trigger_id"),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name="fk_hooks_owner_id_users", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_hooks_owner_id", "hooks", ["owner_id"])


def downgrade() -> None:
    for table in ("hooks", "audit_entries", "api_keys", "sign_in_failures"):
        op.drop_table(table)
    op.execute("DELETE FROM logins WHERE scopes IS NOT NULL")  # they would hold everything again
    op.drop_column("logins", "scopes")
