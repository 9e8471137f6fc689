"""Every table has a place in a cluster, and keys that Citus accepts there."""

from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, MetaData, SmallInteger, Table

from event_trigger.db.citus.placement import (
    LOCAL_TABLES,
    SHARD_COLUMN,
    Placement,
    UnplacedTable,
    placement_of,
    tables_of,
)
from event_trigger.models import Base

_TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""
_UNIQUE_KEYS = """
    SELECT relname, indexrelid::regclass::text AS key, array_agg(attname::text) AS columns
    FROM pg_index JOIN pg_class ON pg_class.oid = indrelid AND NOT relispartition
    JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
    WHERE (indisunique OR indisexclusion) AND relnamespace = 'public'::regnamespace
    GROUP BY relname, indexrelid
"""
_IDENTITIES = """
    SELECT attrelid::regclass::text || '.' || attname AS column, format_type(atttypid, NULL) AS type
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE attidentity <> '' AND relnamespace = 'public'::regnamespace
"""
_FOREIGN_KEYS = """
    SELECT conrelid::regclass::text AS table, confrelid::regclass::text AS referred
    FROM pg_constraint WHERE contype = 'f' AND conparentid = 0
"""
_TRIGGERS_AND_RULES = """
    SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT rulename FROM pg_rules WHERE schemaname = 'public'
"""


def names_of(placement: Placement) -> set[str]:
    return {table.name for table in tables_of(placement)}


async def test_every_table_of_the_database_has_its_place(database: Any) -> None:
    found = {row["relname"] for row in await database.fetch(_TABLES)}

    assert found == names_of(Placement.DISTRIBUTED) | LOCAL_TABLES
    assert set(Base.metadata.tables) == found - {"alembic_version"}


def test_a_new_table_is_cut_by_its_shard_or_somebody_has_to_decide() -> None:
    owned = Table("owned", MetaData(), Column("shard", SmallInteger))
    unknown = Table("unknown", MetaData(), Column("id", BigInteger))

    assert placement_of(owned) is Placement.DISTRIBUTED
    with pytest.raises(UnplacedTable, match="unknown"):
        placement_of(unknown)


async def test_every_key_of_a_table_that_is_cut_says_its_shard(database: Any) -> None:
    cut = names_of(Placement.DISTRIBUTED)

    keys = [row for row in await database.fetch(_UNIQUE_KEYS) if row["relname"] in cut]

    assert {row["relname"] for row in keys} == cut
    assert [row["key"] for row in keys if SHARD_COLUMN not in row["columns"]] == []


def test_what_lies_together_is_cut_by_the_same_type() -> None:
    types = {type(table.columns[SHARD_COLUMN].type) for table in tables_of(Placement.DISTRIBUTED)}

    assert types == {SmallInteger}


async def test_foreign_keys_stay_on_the_coordinator(database: Any) -> None:
    keys = await database.fetch(_FOREIGN_KEYS)

    assert keys
    assert {name for key in keys for name in key.values()} <= LOCAL_TABLES


async def test_every_server_can_number_rows_of_its_own(database: Any) -> None:
    identities = await database.fetch(_IDENTITIES)

    assert {row["column"] for row in identities} >= {"events.id", "triggers.id", "users.id"}
    assert {row["type"] for row in identities} == {"bigint"}


async def test_no_table_has_a_trigger_or_a_rule(database: Any) -> None:
    assert await database.fetch(_TRIGGERS_AND_RULES) == []
