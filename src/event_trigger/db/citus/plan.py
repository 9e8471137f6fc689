"""Computes the statements that put every table in its place, from the models and the catalog."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import ForeignKeyConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import AddConstraint, DropConstraint, ExecutableDDLElement

from event_trigger.db.citus.placement import SHARD_COLUMN, Placement, foreign_keys, tables_of

# Each event partition consists of as many tables. With 32 Citus shards, 30 get some of our 64
# shards, the fullest 5; with 64, 25 would stay empty, and the fullest would get 4.
CITUS_SHARD_COUNT = 32


@dataclass(frozen=True, slots=True)
class PlacedTable:
    """A table in Citus's catalog: distributed by `column` in a colocation group, or a copy."""

    kind: str
    column: str | None = None
    group: int | None = None


@dataclass(frozen=True, slots=True)
class CatalogState:
    """A database's present state: the tables that Citus manages, and the foreign keys by name."""

    placed: Mapping[str, PlacedTable] = field(default_factory=dict)
    foreign_keys: frozenset[str] = frozenset()

    @classmethod
    def untouched(cls) -> "CatalogState":
        """Describes a database that was migrated and not yet distributed."""
        return cls(foreign_keys=frozenset(str(one.name) for one in foreign_keys()))


class MisplacedTable(ValueError):
    """A table was placed differently by hand; moving it is left to the operator."""


def plan_statements(found: CatalogState) -> list[str]:
    """Returns the missing statements in order; each is a transaction of its own.

    1. Drop the foreign keys of tables that move: a table with an identity column cannot be placed
       while a foreign key links it to a placed one (citusdata/citus issues 7036 and 7564).
    2. Copy reference tables, then distribute the others. Partitions follow their parent.
    3. Add the dropped and the missing foreign keys.

    Raises MisplacedTable.
    """
    _refuse_misplaced(found)
    placing = [*_reference_statements(found), *_distribute_statements(found)]
    moved = {table for table, _ in placing}
    dropped = [
        one for one in foreign_keys() if one.name in found.foreign_keys and _touches(one, moved)
    ]
    missing = [one for one in foreign_keys() if one.name not in found.foreign_keys]
    return [
        *(_sql(DropConstraint(one)) for one in dropped),
        *(statement for _, statement in placing),
        *(_sql(AddConstraint(one)) for one in foreign_keys() if one in [*dropped, *missing]),
    ]


def _reference_statements(found: CatalogState) -> list[tuple[str, str]]:
    return [
        (table.name, f"SELECT create_reference_table('{table.name}')")
        for table in tables_of(Placement.REFERENCE)
        if table.name not in found.placed
    ]


def _distribute_statements(found: CatalogState) -> list[tuple[str, str]]:
    """Puts all tables in one colocation group, so that an owner's rows stay on one node."""
    names = [table.name for table in tables_of(Placement.DISTRIBUTED)]
    first = next((name for name in names if name in found.placed), names[0])
    joined = f"colocate_with => '{first}'"
    begun = f"colocate_with => 'none', shard_count => {CITUS_SHARD_COUNT}"
    return [
        (
            name,
            f"SELECT create_distributed_table('{name}', '{SHARD_COLUMN}',"
            f" {begun if name == first else joined})",
        )
        for name in names
        if name not in found.placed
    ]


def _touches(key: ForeignKeyConstraint, tables: Iterable[str]) -> bool:
    return bool({key.table.name, key.referred_table.name}.intersection(tables))


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


def _sql(element: ExecutableDDLElement) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return " ".join(str(element.compile(dialect=dialect)).split())
