"""Decides each table's place in a cluster: distributed by shard, copied to all nodes, or local."""

from enum import StrEnum

from sqlalchemy import ForeignKeyConstraint, Table

from event_trigger.models import Base

SHARD_COLUMN = "shard"  # every table with owned rows has it, and is distributed by it
REFERENCE_TABLES = frozenset(
    {
        "users",
        "projects",
        "project_members",
        "invitations",
        "logins",
        "refresh_tokens",
        "api_keys",
        "hooks",
        "zone_rules",
    }
)
LOCAL_TABLES = frozenset(
    {
        "alembic_version",  # read only at the start
        "audit_entries",  # as a reference table, each change would need a commit on every node
        "count_passes",  # one row, written every few seconds
        "event_partitions",  # partitions are made and dropped from one node
        "measured_partitions",  # written beside event_partitions
        "minute_partitions",  # as well
        "installation",  # one row, read once by each process
        "sign_in_failures",  # its upsert calls clock_timestamp(), which Citus refuses
    }
)


class Placement(StrEnum):
    DISTRIBUTED = "distributed"
    REFERENCE = "reference"
    LOCAL = "local"


class UnplacedTable(ValueError):
    def __init__(self, table: str) -> None:
        super().__init__(
            f"The table {table} has no place in a cluster yet: add it to placement.py."
        )


def placement_of(table: Table) -> Placement:
    """Raises Unplaced for a table that has no shard and is in neither list."""
    if SHARD_COLUMN in table.columns:
        return Placement.DISTRIBUTED
    if table.name in REFERENCE_TABLES:
        return Placement.REFERENCE
    if table.name in LOCAL_TABLES:
        return Placement.LOCAL
    raise UnplacedTable(table.name)


def tables_of(placement: Placement) -> list[Table]:
    """Returns the tables of a placement; referenced tables come before those that refer to them."""
    return [one for one in Base.metadata.sorted_tables if placement_of(one) is placement]


def foreign_keys() -> list[ForeignKeyConstraint]:
    return [
        constraint
        for table in Base.metadata.sorted_tables
        for constraint in sorted(table.foreign_key_constraints, key=lambda one: str(one.name))
    ]
