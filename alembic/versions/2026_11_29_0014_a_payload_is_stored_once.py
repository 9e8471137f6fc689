"""A payload is stored once for all deliveries of its event, and an owner's backlog is counted

Revision: 0014, after 0013; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def key(name: str, kind: type[sa.types.TypeEngine[int]] = sa.BigInteger) -> sa.Column[int]:
    return sa.Column(name, kind, autoincrement=False, nullable=False)


def upgrade() -> None:
    """Reads no row. Deliveries that are there keep their payloads, and are sent from them.

    The constraint holds for new versions of rows only, so nothing is looked through. It keeps
    replicas of the version before from sending `null` for a payload that is not in the row.
    """
    op.create_table(
        "delivery_payloads",
        key("shard", sa.SmallInteger),
        key("event_id"),
        key("owner_id"),
        key("payload_size"),
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
        key("shard", sa.SmallInteger),
        key("owner_id"),
        key("bytes"),
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
    """Gives every delivery a copy of its payload again, from the event if it has no other.

    A delivery whose payload is nowhere goes, and its attempts: the version before would send it
    with `null`. Stop every replica first.
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
