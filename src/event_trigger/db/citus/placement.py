"""Where each table lives in a cluster: cut by shard, copied to every server, or on one of them."""

from enum import StrEnum

from sqlalchemy import ForeignKeyConstraint, Table

from event_trigger.models import Base

SHARD = "shard"  # whatever belongs to an owner has this column, and is cut by it
REFERENCE = frozenset({"users", "logins", "refresh_tokens", "api_keys", "hooks", "zone_rules"})
LOCAL = frozenset(
    {
        "alembic_version",  # only ever asked before anything else happens
        "audit_entries",  # a change and its record must not need the consent of every server
        "event_partitions",  # partitions are made and dropped from one server
        "installation",  # one row, read once by each process
        "sign_in_failures",  # forgetting reckons with the clock, which Citus refuses in an upsert
    }
)


class Placement(StrEnum):
    DISTRIBUTED = "distributed"
    REFERENCE = "reference"
    LOCAL = "local"


class Unplaced(ValueError):
    def __init__(self, table: str) -> None:
        super().__init__(f"Nobody has decided where {table} lives in a cluster: see placement.py.")


def placement_of(table: Table) -> Placement:
    """Raises Unplaced for a table that has no shard and is in neither list."""
    if SHARD in table.columns:
        return Placement.DISTRIBUTED
    if table.name in REFERENCE:
        return Placement.REFERENCE
    if table.name in LOCAL:
        return Placement.LOCAL
    raise Unplaced(table.name)


def tables_of(placement: Placement) -> list[Table]:
    """Those whose rows others refer to come first."""
    return [one for one in Base.metadata.sorted_tables if placement_of(one) is placement]


def foreign_keys() -> list[ForeignKeyConstraint]:
    return [
        constraint
        for table in Base.metadata.sorted_tables
        for constraint in sorted(table.foreign_key_constraints, key=lambda one: str(one.name))
    ]
