"""Destinations, deliveries and their attempts; which transaction stored an event

Revision: 0003, after 0002; 2026-11-24
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from event_trigger.db.ddl import INSTANT, identity, instant, instant_now, number, shard

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CURRENT_XID = sa.text("CAST(CAST(pg_current_xact_id() AS text) AS bigint)")


def upgrade() -> None:
    """Gives existing events the xid 0, because no transaction that stored them is still running.

    They stay out of the index, so that its build hardly delays the version before.
    """
    op.add_column(
        "triggers",
        sa.Column("destination_ids", ARRAY(sa.BigInteger), server_default="{}", nullable=False),
    )
    op.add_column("events", sa.Column("replay_of", sa.BigInteger))
    op.add_column("events", number("xid", "0"))
    op.alter_column("events", "xid", server_default=CURRENT_XID)
    op.create_index(
        "ix_events_xid", "events", ["shard", "xid", "id"], postgresql_where=sa.text("xid > 0")
    )
    create_destinations()
    create_deliveries()
    create_delivery_attempts()


def create_destinations() -> None:
    op.create_table(
        "destinations",
        shard(),
        identity(),
        number("owner_id"),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("timeout", sa.Float, nullable=False),
        sa.Column("rate_limit", sa.Float),
        sa.Column("max_concurrency", sa.SmallInteger, nullable=False),
        sa.Column("header_names", ARRAY(sa.Text), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("disabled_reason", sa.Text),
        sa.Column("deleted_at", INSTANT),
        number("failures", "0"),
        sa.Column("window", sa.BigInteger),
        sa.Column("probe_at", INSTANT),
        sa.Column("tokens", sa.Float, server_default="0", nullable=False),
        sa.Column("tokens_at", INSTANT),
        instant_now("created_at"),
        instant_now("updated_at"),
        sa.PrimaryKeyConstraint("shard", "id", name="pk_destinations"),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name="fk_destinations_owner_id_users", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_destinations_owner", "destinations", ["shard", "owner_id", "id"])


def create_deliveries() -> None:
    op.create_table(
        "deliveries",
        shard(),
        identity(),
        number("owner_id"),
        number("destination_id"),
        number("trigger_id"),
        sa.Column("trigger_name", sa.Text),
        number("event_id"),
        sa.Column("event_type", sa.Text, nullable=False),
        instant("triggered_at"),
        sa.Column("scheduled_for", INSTANT),
        sa.Column("is_test", sa.Boolean, nullable=False),
        sa.Column("replay_of", sa.BigInteger),
        sa.Column("payload", sa.JSON),
        number("payload_size"),
        sa.Column("status", sa.Text, server_default="pending", nullable=False),
        number("attempt_count", "0"),
        number("tries", "0"),
        number("lease", "0"),
        sa.Column("leased_at", INSTANT),
        sa.Column("leased_until", INSTANT),
        sa.Column("next_attempt_at", INSTANT, server_default=sa.func.now()),
        instant_now("queued_at"),
        sa.Column("finished_at", INSTANT),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("shard", "id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_owner", "deliveries", ["shard", "owner_id", "id"])
    op.create_index("ix_deliveries_event", "deliveries", ["shard", "event_id"])
    op.create_index("ix_deliveries_destination", "deliveries", ["shard", "destination_id", "id"])
    op.create_index(
        "ix_deliveries_waiting",
        "deliveries",
        ["shard", "destination_id", "next_attempt_at"],
        postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
    )
    op.create_index(
        "ix_deliveries_leased",
        "deliveries",
        ["shard", "destination_id"],
        postgresql_where=sa.text("leased_until IS NOT NULL"),
    )
    op.create_index(
        "ix_deliveries_undelivered",
        "deliveries",
        ["shard", "owner_id", "status", "id"],
        postgresql_where=sa.text("status <> 'delivered'"),
    )
    for status in ("delivered", "exhausted"):
        op.create_index(
            f"ix_deliveries_{status}",
            "deliveries",
            ["finished_at"],
            postgresql_where=sa.text(f"status = '{status}'"),
        )
    op.create_index(
        "ix_deliveries_given_up",
        "deliveries",
        ["shard", "destination_id", "triggered_at"],
        postgresql_where=sa.text("status = 'exhausted'"),
    )


def create_delivery_attempts() -> None:
    op.create_table(
        "delivery_attempts",
        shard(),
        number("delivery_id"),
        number("number"),
        instant("attempted_at"),
        sa.Column("duration_ms", sa.Float),
        sa.Column("status_code", sa.BigInteger),
        sa.Column("error", sa.Text),
        sa.Column("response", sa.Text),
        sa.PrimaryKeyConstraint("shard", "delivery_id", "number", name="pk_delivery_attempts"),
    )


def downgrade() -> None:
    for table in ("delivery_attempts", "deliveries", "destinations"):
        op.drop_table(table)
    op.drop_index("ix_events_xid", "events")
    for table, column in (
        ("events", "xid"),
        ("events", "replay_of"),
        ("triggers", "destination_ids"),
    ):
        op.drop_column(table, column)
