"""What is left to do until every table is in its place: arithmetic on models and catalogue."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import ForeignKeyConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import AddConstraint, DropConstraint, ExecutableDDLElement

from event_trigger.db.citus.placement import SHARD, Placement, foreign_keys, tables_of

# Each partition of the events is as many tables. Of 32 parts, 30 get some of our 64 shards and the
# fullest 5 of them; of 64 parts, 25 would stay empty, and the fullest have 4.
PARTS = 32


@dataclass(frozen=True, slots=True)
class Placed:
    """A table as Citus has it: cut by `column` within a group of colocated ones, or copied."""

    kind: str
    column: str | None = None
    group: int | None = None


@dataclass(frozen=True, slots=True)
class CatalogState:
    """What a database has: the tables that Citus manages, and its foreign keys by name."""

    placed: Mapping[str, Placed] = field(default_factory=dict)
    foreign_keys: frozenset[str] = frozenset()

    @classmethod
    def untouched(cls) -> "CatalogState":
        """A database that was just migrated."""
        return cls(foreign_keys=frozenset(str(one.name) for one in foreign_keys()))


class Misplaced(ValueError):
    """Somebody has placed a table otherwise; moving it is not for a program to decide."""


def plan(found: CatalogState) -> list[str]:
    """The statements that are left, in their order, each a transaction of its own.

    A table with an identity column cannot be placed while a foreign key ties it to one that is
    (citusdata/citus issues 7036 and 7564), so the keys go first and come back last. Partitions
    follow their parent. Raises Misplaced.
    """
    _refuse_misplaced(found)
    placing = [*_copying(found), *_cutting(found)]
    moved = {table for table, _ in placing}
    dropped = [
        one for one in foreign_keys() if one.name in found.foreign_keys and _is_on(one, moved)
    ]
    missing = [one for one in foreign_keys() if one.name not in found.foreign_keys]
    return [
        *(_sql(DropConstraint(one)) for one in dropped),
        *(statement for _, statement in placing),
        *(_sql(AddConstraint(one)) for one in foreign_keys() if one in [*dropped, *missing]),
    ]


def _copying(found: CatalogState) -> list[tuple[str, str]]:
    return [
        (table.name, f"SELECT create_reference_table('{table.name}')")
        for table in tables_of(Placement.REFERENCE)
        if table.name not in found.placed
    ]


def _cutting(found: CatalogState) -> list[tuple[str, str]]:
    """The first one begins a group, and the others join it: an owner's rows lie together."""
    names = [table.name for table in tables_of(Placement.DISTRIBUTED)]
    first = next((name for name in names if name in found.placed), names[0])
    joined = f"colocate_with => '{first}'"
    begun = f"colocate_with => 'none', shard_count => {PARTS}"
    return [
        (
            name,
            f"SELECT create_distributed_table('{name}', '{SHARD}',"
            f" {begun if name == first else joined})",
        )
        for name in names
        if name not in found.placed
    ]


def _is_on(key: ForeignKeyConstraint, tables: Iterable[str]) -> bool:
    return bool({key.table.name, key.referred_table.name}.intersection(tables))


def _refuse_misplaced(found: CatalogState) -> None:
    groups: set[int | None] = set()
    for placement in Placement:
        for table in tables_of(placement):
            placed = found.placed.get(table.name)
            if placed is None:
                continue
            if placed.kind != placement:
                raise Misplaced(f"{table.name} is a {placed.kind} table; it should be {placement}.")
            if placement is Placement.DISTRIBUTED:
                groups.add(placed.group)
                if placed.column != SHARD:
                    raise Misplaced(f"{table.name} is distributed by {placed.column}, not {SHARD}.")
    if len(groups) > 1:
        raise Misplaced("The distributed tables are not colocated with each other.")


def _sql(element: ExecutableDDLElement) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return " ".join(str(element.compile(dialect=dialect)).split())
