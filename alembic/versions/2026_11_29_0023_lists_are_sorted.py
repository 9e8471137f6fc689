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

# outside of a transaction each COMMIT ends one: streams and counts wait for the oldest
_FILL = """
    DO $$
    DECLARE
        first_shard smallint := 0;
        first_id bigint := 0;
        last_shard smallint;
        last_id bigint;
    BEGIN
        LOOP
            SELECT page.shard, page.id INTO last_shard, last_id FROM (
                SELECT shard, id FROM triggers WHERE (shard, id) > (first_shard, first_id)
                ORDER BY shard, id LIMIT 5000
            ) AS page ORDER BY page.shard DESC, page.id DESC LIMIT 1;
            EXIT WHEN NOT FOUND;
            INSERT INTO trigger_sort_keys (shard, trigger_id, owner_id, sort_name, last_fired_at)
            SELECT shard, id, owner_id, lower(name), last_fired_at FROM triggers
            WHERE (shard, id) > (first_shard, first_id) AND (shard, id) <= (last_shard, last_id)
            ON CONFLICT DO NOTHING;
            INSERT INTO trigger_destinations (shard, owner_id, destination_id, trigger_id)
            SELECT DISTINCT shard, owner_id, unnest(destination_ids), id FROM triggers
            WHERE (shard, id) > (first_shard, first_id) AND (shard, id) <= (last_shard, last_id)
            ON CONFLICT DO NOTHING;
            COMMIT;
            first_shard := last_shard;
            first_id := last_id;
        END LOOP;
    END $$
"""


def upgrade() -> None:
    """Fills the tables in batches; a job adds the rows that older replicas leave out.

    An upgrade that was interrupted goes on with the tables that it left, whose rows it keeps.
    Firing writes to `ix_triggers_due` in place of the older index, and to no other.
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
    with op.get_context().autocommit_block():
        op.execute(_FILL)
        op.execute(f"ANALYZE {KEYS}")
        op.execute(f"ANALYZE {DESTINATIONS}")


def _make_sort_keys() -> None:
    op.create_table(
        KEYS,
        shard(),
        number("trigger_id"),
        number("owner_id"),
        sa.Column("sort_name", sa.Text(collation="C")),
        sa.Column("last_fired_at", INSTANT),
        sa.PrimaryKeyConstraint("shard", "trigger_id", name=f"pk_{KEYS}"),
        if_not_exists=True,
    )
    prefix = ["shard", "owner_id"]
    for name, column in (("name", "sort_name"), ("fired", "last_fired_at")):
        columns = [*prefix, column, "trigger_id"]
        op.create_index(f"ix_{KEYS}_{name}", KEYS, columns, if_not_exists=True)


def _make_destinations() -> None:
    key = ["shard", "owner_id", "destination_id", "trigger_id"]
    op.create_table(
        DESTINATIONS,
        shard(),
        number("owner_id"),
        number("destination_id"),
        number("trigger_id"),
        sa.PrimaryKeyConstraint(*key, name=f"pk_{DESTINATIONS}"),
        if_not_exists=True,
    )
    by_trigger = f"ix_{DESTINATIONS}_trigger"
    op.create_index(by_trigger, DESTINATIONS, ["shard", "trigger_id"], if_not_exists=True)


def downgrade() -> None:
    create_index_concurrently(DUE_BEFORE, "triggers", ["shard", "next_fire_at", "id"], where=IS_DUE)
    drop_index_concurrently("ix_triggers_failing", "triggers")
    drop_index_concurrently(DUE, "triggers")
    op.drop_table(DESTINATIONS)
    op.drop_table(KEYS)
