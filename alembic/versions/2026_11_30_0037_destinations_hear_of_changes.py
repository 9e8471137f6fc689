"""Destinations hear of changes, by notices that deliveries carry

Revision: 0037, after 0036; 2026-11-30
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from event_trigger.db.ddl import INSTANT, identity, instant_now, number, shard

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rewrites no row: the new columns are null, or have a constant default.

    The constraint applies only to rows that are written from now on. It keeps replicas of the
    version before from sending a notice, which they would take for an event: they add 2 to a lease.
    """
    op.create_table(
        "notice_changes",
        shard(),
        identity(),
        number("owner_id"),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject_kind", sa.Text, nullable=False),
        number("subject_id"),
        number("count"),
        sa.Column("hops", sa.SmallInteger, server_default="0", nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        instant_now("at"),
        sa.Column("told_at", INSTANT),
        sa.PrimaryKeyConstraint("shard", "id", name="pk_notice_changes"),
    )
    op.create_index(
        "ix_notice_changes_waiting",
        "notice_changes",
        ["shard", "owner_id", "kind"],
        postgresql_where=sa.text("told_at IS NULL"),
    )
    op.create_index(
        "ix_notice_changes_told",
        "notice_changes",
        ["shard", "told_at"],
        postgresql_where=sa.text("told_at IS NOT NULL"),
    )
    op.create_table(
        "notice_listeners",
        number("destination_id"),
        number("owner_id"),
        sa.Column("hears", ARRAY(sa.Text), nullable=False),
        sa.Column("user_id", sa.BigInteger),
        sa.PrimaryKeyConstraint("destination_id", name="pk_notice_listeners"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_notice_listeners_user_id_users", ondelete="SET NULL"
        ),
    )
    op.create_index("ix_notice_listeners_owner", "notice_listeners", ["owner_id"])
    op.create_index(
        "ix_notice_listeners_user",
        "notice_listeners",
        ["user_id"],
        postgresql_where=sa.text("user_id IS NOT NULL"),
    )
    op.create_table(
        "notices",
        shard(),
        number("id"),
        number("owner_id"),
        number("project_id"),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        instant_now("at"),
        sa.Column("data", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("shard", "id", name="pk_notices"),
    )
    op.create_index("ix_notices_listed", "notices", ["shard", "owner_id", "id"])
    op.create_index("ix_notices_at", "notices", ["at"])
    op.add_column(
        "destinations", sa.Column("notices", ARRAY(sa.Text), server_default="{}", nullable=False)
    )
    op.add_column(
        "destinations",
        sa.Column("all_projects", sa.Boolean, server_default=sa.false(), nullable=False),
    )
    op.add_column("api_keys", sa.Column("expiry_noticed", INSTANT))
    op.add_column("deliveries", sa.Column("subject", sa.Text))
    op.execute(
        """
        ALTER TABLE deliveries ADD CONSTRAINT ck_deliveries_notice_known
        CHECK (subject IS NULL OR lease % 4 = 0) NOT VALID
        """
    )


def downgrade() -> None:
    """Takes away the notices with their deliveries, which the version before takes for events."""
    op.execute("SET LOCAL statement_timeout = 0")
    op.execute("""
        DELETE FROM delivery_attempts USING deliveries
        WHERE deliveries.shard = delivery_attempts.shard
            AND deliveries.id = delivery_attempts.delivery_id AND deliveries.subject IS NOT NULL
    """)
    op.execute("""
        DELETE FROM delivery_requests USING deliveries
        WHERE deliveries.shard = delivery_requests.shard
            AND deliveries.id = delivery_requests.delivery_id AND deliveries.subject IS NOT NULL
    """)
    op.execute("DELETE FROM deliveries WHERE subject IS NOT NULL")
    op.execute("ALTER TABLE deliveries DROP CONSTRAINT ck_deliveries_notice_known")
    op.drop_column("deliveries", "subject")
    op.drop_column("api_keys", "expiry_noticed")
    op.drop_column("destinations", "all_projects")
    op.drop_column("destinations", "notices")
    op.drop_table("notices")
    op.drop_table("notice_listeners")
    op.drop_table("notice_changes")
