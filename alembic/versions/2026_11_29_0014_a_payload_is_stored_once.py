"""A payload is stored once for all deliveries of its event, and an owner's backlog is counted

Revision: 0014, after 0013; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from event_trigger.db.ddl import number, shard

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Reads no row: existing deliveries keep their payloads, and are sent from them.

    The constraint applies only to rows that are written from now on. It keeps replicas of the
    version before from sending `null` for a payload that is not in the row.
    """
    op.create_table(
        "delivery_payloads",
        shard(),
        number("event_id"),
        number("owner_id"),
        number("payload_size"),
        sa.Column("counted", sa.Boolean),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("shard", "event_id", name="pk_delivery_payloads"),
    )
    op.create_index(
        "ix_delivery_payloads_new",
        "delivery_payloads",
        ["shard", "event_id"],
        postgresql_where=sa.text("counted IS NULL"),
    )
    op.create_table(
        "delivery_backlogs",
        shard(),
        number("owner_id"),
        number("bytes"),
        sa.Column("is_full", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "owner_id", name="pk_delivery_backlogs"),
    )
    op.execute(
        """
        ALTER TABLE deliveries ADD CONSTRAINT ck_deliveries_payload_known
        CHECK (payload IS NOT NULL OR payload_size = 0 OR lease % 2 = 0) NOT VALID
        """
    )


def downgrade() -> None:
    """Copies each payload back to its deliveries, or from the event if there is no other copy.

    A delivery without any copy is deleted with its attempts: the version before would send it with
    `null`. Stop every replica first.
    """
    op.execute("SET LOCAL statement_timeout = 0")
    op.execute("ALTER TABLE deliveries DROP CONSTRAINT ck_deliveries_payload_known")
    op.execute(
        """
        UPDATE deliveries SET payload = stored.payload FROM delivery_payloads AS stored
        WHERE stored.shard = deliveries.shard AND stored.event_id = deliveries.event_id
            AND deliveries.payload IS NULL
        """
    )
    op.execute(
        """
        UPDATE deliveries SET payload = events.payload FROM events
        WHERE events.shard = deliveries.shard AND events.id = deliveries.event_id
            AND events.triggered_at = deliveries.triggered_at
            AND deliveries.payload IS NULL AND deliveries.payload_size > 0
        """
    )
    op.execute(
        """
        WITH unknown AS (
            DELETE FROM deliveries WHERE payload IS NULL AND payload_size > 0 RETURNING shard, id
        )
        DELETE FROM delivery_attempts USING unknown
        WHERE delivery_attempts.shard = unknown.shard AND delivery_id = unknown.id
        """
    )
    op.drop_table("delivery_backlogs")
    op.drop_table("delivery_payloads")
