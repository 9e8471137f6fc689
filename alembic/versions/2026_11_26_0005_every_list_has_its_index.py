"""Indexes that serve every filter of every list, in place of those that served some

Revision: 0005, after 0004; 2026-11-26
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

Indexes = dict[str, tuple[str, list[str], str | None]]

AFTER: Indexes = {
    "ix_events_kind": ("events", ["type", "is_test", "triggered_at", "id"], "id > 0"),
    "ix_events_owner_kind": (
        "events",
        ["shard", "owner_id", "type", "is_test", "triggered_at", "id"],
        None,
    ),
    "ix_events_trigger_kind": (
        "events",
        ["shard", "trigger_id", "type", "is_test", "triggered_at", "id"],
        None,
    ),
    "ix_triggers_owner_kind": ("triggers", ["shard", "owner_id", "status", "type", "id"], None),
    "ix_triggers_resting": ("triggers", ["shard", "status", "type", "id"], "status <> 'active'"),
    "ix_deliveries_status": ("deliveries", ["shard", "status", "id"], None),
    "ix_deliveries_owner_status": ("deliveries", ["shard", "owner_id", "status", "id"], None),
    "ix_deliveries_trigger_status": ("deliveries", ["shard", "trigger_id", "status", "id"], None),
    "ix_deliveries_destination_status": (
        "deliveries",
        ["shard", "destination_id", "status", "id"],
        None,
    ),
    "ix_destinations_listed": (
        "destinations",
        ["shard", "owner_id", "id"],
        "deleted_at IS NULL",
    ),
    "ix_api_keys_user": ("api_keys", ["user_id", "id"], None),
    "ix_audit_entries_time": ("audit_entries", ["at", "id"], None),
    "ix_audit_entries_user": ("audit_entries", ["user_id", "at", "id"], None),
    "ix_audit_entries_action": ("audit_entries", ["action", "at", "id"], None),
    "ix_audit_entries_kind": ("audit_entries", ["target", "at", "id"], None),
    "ix_audit_entries_about": ("audit_entries", ["target_id", "at", "id"], None),
    "ix_audit_entries_refused": ("audit_entries", ["at", "id"], "refused"),
}
BEFORE: Indexes = {
    "ix_events_time": ("events", ["triggered_at", "id"], None),
    "ix_events_owner": ("events", ["shard", "owner_id", "triggered_at", "id"], None),
    "ix_events_trigger": ("events", ["shard", "trigger_id", "triggered_at", "id"], None),
    "ix_triggers_owner": ("triggers", ["shard", "owner_id", "id"], None),
    "ix_deliveries_owner": ("deliveries", ["shard", "owner_id", "id"], None),
    "ix_deliveries_destination": ("deliveries", ["shard", "destination_id", "id"], None),
    "ix_deliveries_undelivered": (
        "deliveries",
        ["shard", "owner_id", "status", "id"],
        "status <> 'delivered'",
    ),
    "ix_destinations_owner": ("destinations", ["shard", "owner_id", "id"], None),
    "ix_api_keys_user_id": ("api_keys", ["user_id"], None),
    "ix_audit_entries_at": ("audit_entries", ["at"], None),
    "ix_audit_entries_user_id": ("audit_entries", ["user_id", "id"], None),
    "ix_audit_entries_target": ("audit_entries", ["target", "target_id", "id"], None),
}


def upgrade() -> None:
    replace(BEFORE, by=AFTER)


def downgrade() -> None:
    replace(AFTER, by=BEFORE)


def replace(old: Indexes, *, by: Indexes) -> None:
    """Replaces indexes in an order that blocks writes as late and as shortly as possible.

    1. Index closed partitions, which take no writes.
    2. Index the tables that take writes.
    3. Drop the old indexes, without which the version before reads more slowly.
    """
    op.execute("SET LOCAL maintenance_work_mem = '256MB'")
    index_closed_partitions(by)
    for name, (table, columns, where) in by.items():
        condition = None if where is None else sa.text(where)
        op.create_index(name, table, columns, postgresql_where=condition)
    for name, (table, _, _) in old.items():
        op.drop_index(name, table)


def index_closed_partitions(indexes: Indexes) -> None:
    """Indexes closed partitions; the table's index takes these over instead of building them."""
    closed = "SELECT conrelid::regclass::text FROM pg_constraint WHERE conname = 'closed'"
    for partition in op.get_bind().scalars(sa.text(closed)).all():
        for table, columns, where in indexes.values():
            if table == "events":
                condition = "" if where is None else f" WHERE {where}"
                op.execute(f"CREATE INDEX ON {partition} ({', '.join(columns)}){condition}")
