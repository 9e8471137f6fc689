"""Lists of triggers are sorted by name, next instant and last firing, and found by destination

Revision: 0023, after 0022; 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from event_trigger.db.ddl import (
    INSTANT,
    create_index_concurrently,
    drop_index_concurrently,
    number,
    shard,
)

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

KEYS, DESTINATIONS = "trigger_sort_keys", "trigger_destinations"
DUE, DUE_BEFORE = "ix_triggers_due", "ix_triggers_due_in_shard"
IS_DUE = "next_fire_at IS NOT NULL"


def upgrade() -> None:
    """Fills the tables before it indexes them; a job adds what replicas of before leave out.

    Firing writes to `ix_triggers_due` in place of the index of before, and to no other.
    """
    create_index_concurrently(
        DUE, "triggers", ["shard", "next_fire_at", "id", "owner_id"], where=IS_DUE
    )
    create_index_concurrently(
        "ix_triggers_failing", "triggers", ["shard", "id", "owner_id"], where="error IS NOT NULL"
    )
    drop_index_concurrently(DUE_BEFORE, "triggers")
    _make_sort_keys()
    _make_destinations()


def _make_sort_keys() -> None:
    op.create_table(
        KEYS,
        shard(),
        number("trigger_id"),
        number("owner_id"),
        sa.Column("sort_name", sa.Text(collation="C")),
        sa.Column("last_fired_at", INSTANT),
    )
    op.execute(
        """
        INSERT INTO trigger_sort_keys (shard, trigger_id, owner_id, sort_name, last_fired_at)
        SELECT shard, id, owner_id, lower(name), last_fired_at FROM triggers
        """
    )
    op.create_primary_key(f"pk_{KEYS}", KEYS, ["shard", "trigger_id"])
    prefix = ["shard", "owner_id"]
    op.create_index(f"ix_{KEYS}_name", KEYS, [*prefix, "sort_name", "trigger_id"])
    op.create_index(f"ix_{KEYS}_fired", KEYS, [*prefix, "last_fired_at", "trigger_id"])
    op.execute(f"ANALYZE {KEYS}")


def _make_destinations() -> None:
    op.create_table(
        DESTINATIONS,
        shard(),
        number("owner_id"),
        number("destination_id"),
        number("trigger_id"),
    )
    op.execute(
        """
        INSERT INTO trigger_destinations (shard, owner_id, destination_id, trigger_id)
        SELECT DISTINCT shard, owner_id, unnest(destination_ids), id FROM triggers
        """
    )
    key = ["shard", "owner_id", "destination_id", "trigger_id"]
    op.create_primary_key(f"pk_{DESTINATIONS}", DESTINATIONS, key)
    op.execute(f"ANALYZE {DESTINATIONS}")


def downgrade() -> None:
    create_index_concurrently(DUE_BEFORE, "triggers", ["shard", "next_fire_at", "id"], where=IS_DUE)
    drop_index_concurrently("ix_triggers_failing", "triggers")
    drop_index_concurrently(DUE, "triggers")
    op.drop_table(DESTINATIONS)
    op.drop_table(KEYS)
