"""Computes the statements that put every table in its place, from the models and the catalog."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from event_trigger.db.citus.placement import SHARD_COLUMN, Placement, tables_of

# Each event partition consists of as many tables. With 32 Citus shards, 30 get some of our 64
# shards, the fullest 5; with 64, 25 would stay empty, and the fullest would get 4.
CITUS_SHARD_COUNT = 32
# Of the role that the service connects as, in this database: Citus sets them on every node.
ROLE_SETTINGS = {
    # asyncpg looks types up in pg_class, which Citus filters row by row: 1.3 s, and 0.04 s without
    "citus.override_table_visibility": "off",
    # a worker that does not answer at all is given up after 5 s, not after 30
    "citus.node_connection_timeout": "5s",
    # so that SET LOCAL lock_timeout reaches the workers
    "citus.propagate_set_commands": "local",
    # as the service sets it where it connects: the workers' sessions are opened by the coordinator
    "lock_timeout": "5s",
    "timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class PlacedTable:
    """A table in Citus's catalog: distributed by `column` in a colocation group, or a copy."""

    kind: str
    column: str | None = None
    group: int | None = None


@dataclass(frozen=True, slots=True)
class CatalogState:
    """A database's present state: the tables that Citus manages, and the role's settings in it."""

    database: str
    placed: Mapping[str, PlacedTable] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


class MisplacedTable(ValueError):
    """A table was placed differently by hand; moving it is left to the operator."""


def plan_statements(found: CatalogState, *, parts: int = CITUS_SHARD_COUNT) -> list[str]:
    """Returns the missing statements in order; each is a transaction of its own.

    1. Distribute the tables of owned rows in `parts` parts. Partitions follow their parent. The
       other tables stay where they are.
    2. Set what the service's role needs on a cluster.

    Raises MisplacedTable.
    """
    _refuse_misplaced(found)
    return [*_distribute_statements(found, parts), *_setting_statements(found)]


def _distribute_statements(found: CatalogState, parts: int) -> list[str]:
    """Puts all tables in one colocation group, so that an owner's rows stay on one node."""
    names = [table.name for table in tables_of(Placement.DISTRIBUTED)]
    first = next((name for name in names if name in found.placed), names[0])
    joined = f"colocate_with => '{first}'"
    begun = f"colocate_with => 'none', shard_count => {parts}"
    return [
        f"SELECT create_distributed_table('{name}', '{SHARD_COLUMN}',"
        f" {begun if name == first else joined})"
        for name in names
        if name not in found.placed
    ]


def _setting_statements(found: CatalogState) -> list[str]:
    return [
        f"ALTER ROLE CURRENT_USER IN DATABASE {found.database} SET {name} = '{value}'"
        for name, value in ROLE_SETTINGS.items()
        if found.settings.get(name) != value
    ]


def _refuse_misplaced(found: CatalogState) -> None:
    groups: set[int | None] = set()
    for placement in Placement:
        for table in tables_of(placement):
            placed = found.placed.get(table.name)
            if placed is None:
                continue
            if placed.kind != placement:
                raise MisplacedTable(
                    f"{table.name} is a {placed.kind} table; it should be {placement}."
                )
            if placement is Placement.DISTRIBUTED:
                groups.add(placed.group)
                if placed.column != SHARD_COLUMN:
                    raise MisplacedTable(
                        f"{table.name} is distributed by {placed.column}, not {SHARD_COLUMN}."
                    )
    if len(groups) > 1:
        raise MisplacedTable("The distributed tables are not colocated with each other.")
