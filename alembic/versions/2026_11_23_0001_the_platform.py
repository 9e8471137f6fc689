"""Users and logins, triggers, the partitioned log of events, idempotency keys

Revision: 0001, after nothing; 2026-11-23
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from event_trigger.db.ddl import INSTANT, identity, instant, instant_now, number, shard

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_users_and_logins()
    create_triggers()
    create_events()
    create_idempotency_keys()


def create_users_and_logins() -> None:
    op.create_table(
        "users",
        identity(),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("disabled_at", INSTANT),
        instant_now("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
    )
    op.create_table(
        "logins",
        sa.Column("id", sa.Uuid, nullable=False),
        number("user_id"),
        instant_now("created_at"),
        instant("expires_at"),
        sa.Column("revoked_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_logins"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_logins_user_id_users", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_logins_user_id", "logins", ["user_id"])
    op.create_index("ix_logins_expires_at", "logins", ["expires_at"])
    op.create_table(
        "refresh_tokens",
        identity(),
        sa.Column("login_id", sa.Uuid, nullable=False),
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        instant_now("created_at"),
        sa.Column("used_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_refresh_tokens"),
        sa.ForeignKeyConstraint(
            ["login_id"],
            ["logins.id"],
            name="fk_refresh_tokens_login_id_logins",
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("token_hash", name="uq_refresh_tokens_token_hash"),
    )
    op.create_index("ix_refresh_tokens_login_id", "refresh_tokens", ["login_id"])


def create_triggers() -> None:
    op.create_table(
        "triggers",
        shard(),
        identity(),
        number("owner_id"),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("payload", sa.JSON),
        sa.Column("tags", ARRAY(sa.Text), nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        instant("anchor_at"),
        sa.Column("next_fire_at", INSTANT),
        sa.Column("last_fired_at", INSTANT),
        number("fire_count", "0"),
        number("scheduled_count", "0"),
        instant_now("created_at"),
        instant_now("updated_at"),
        sa.PrimaryKeyConstraint("shard", "id", name="pk_triggers"),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name="fk_triggers_owner_id_users", ondelete="CASCADE"
        ),
    )
    waiting = sa.text("next_fire_at IS NOT NULL")
    op.create_index("ix_triggers_owner", "triggers", ["shard", "owner_id", "id"])
    op.create_index(
        "ix_triggers_due_in_shard", "triggers", ["shard", "next_fire_at"], postgresql_where=waiting
    )
    op.create_index(
        "ix_triggers_due", "triggers", ["next_fire_at", "shard"], postgresql_where=waiting
    )


def create_events() -> None:
    op.create_table(
        "events",
        shard(),
        identity(),
        sa.Column(
            "triggered_at", INSTANT, server_default=sa.func.clock_timestamp(), nullable=False
        ),
        number("owner_id"),
        number("trigger_id"),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("scheduled_for", INSTANT),
        sa.Column("payload", sa.JSON),
        sa.Column("is_test", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("shard", "id", "triggered_at", name="pk_events"),
        postgresql_partition_by="RANGE (triggered_at)",
    )
    op.create_index("ix_events_owner", "events", ["shard", "owner_id", "triggered_at", "id"])
    op.create_index("ix_events_time", "events", ["triggered_at", "id"])
    op.create_index("ix_events_trigger", "events", ["shard", "trigger_id", "triggered_at", "id"])
    op.create_table(
        "event_partitions",
        instant("starts_at"),
        instant("ends_at"),
        sa.Column("closed_at", INSTANT),
        sa.PrimaryKeyConstraint("starts_at", name="pk_event_partitions"),
    )
    op.create_table(
        "event_counts",
        shard(),
        instant("partition_starts_at"),
        number("trigger_id"),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("is_test", sa.Boolean, nullable=False),
        number("owner_id"),
        number("count"),
        sa.PrimaryKeyConstraint(
            "shard", "partition_starts_at", "trigger_id", "type", "is_test", name="pk_event_counts"
        ),
    )
    op.create_index(
        "ix_event_counts_owner", "event_counts", ["shard", "owner_id", "partition_starts_at"]
    )


def create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        shard(),
        number("trigger_id"),
        sa.Column("is_test", sa.Boolean, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("body_hash", sa.LargeBinary, nullable=False),
        number("event_id"),
        instant_now("created_at"),
        sa.PrimaryKeyConstraint(
            "shard", "trigger_id", "is_test", "key", name="pk_idempotency_keys"
        ),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])


def downgrade() -> None:
    for table in (
        "idempotency_keys",
        "event_counts",
        "event_partitions",
        "events",
        "triggers",
        "refresh_tokens",
        "logins",
        "users",
    ):
        op.drop_table(table)
