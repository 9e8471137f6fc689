"""Puts the tables of a database back as they were, in one statement of a few milliseconds.

Sequences go on, so that no id is ever given again: what a process remembers by id stays right.
"""

from functools import partial
from typing import Any

from tests.support.databases import connect

_TABLES = """
    SELECT c.oid::regclass::text FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
        AND NOT c.relispartition
        AND c.relname <> 'service_beats' -- an old beat is an outage
    ORDER BY c.relname
"""
_FIRST = ("projects", "users", "api_keys", "logins", "destinations", "triggers")  # locks, in order
# a statement on a table that was never written to would only be planned
_USED = """
    SELECT array_agg(coalesce(inhparent, oid)::regclass::text) FROM pg_class
    LEFT JOIN pg_inherits ON inhrelid = oid
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
        AND ({is_cluster} OR pg_relation_size(oid) > 0)
"""
_EMPTY = """
    IF '{table}' = ANY (used) THEN
        IF EXISTS (SELECT 1 FROM {table}) THEN DELETE FROM {table}; END IF;
    END IF;
"""
_RESTORE = """
    IF EXISTS (
        (SELECT t::text FROM {table} t EXCEPT SELECT t::text FROM before.{table} t)
        UNION ALL (SELECT t::text FROM before.{table} t EXCEPT SELECT t::text FROM {table} t)
    ) THEN
        DELETE FROM {table};
        INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM before.{table};
    END IF;
"""
_IS_EMPTY = """
    IF '{table}' = ANY (used) THEN
        IF EXISTS (SELECT 1 FROM {table}) THEN RETURN false; END IF;
    END IF;
"""
_RENEW = "DELETE FROM before.{table}; INSERT INTO before.{table} SELECT * FROM {table};"
# what a process has done for a deleted project, it would not do again for one with the same id
_IS_WITHOUT_A_PROJECT = """
    EXISTS (SELECT id FROM before.projects EXCEPT SELECT id FROM projects WHERE deleted_at IS NULL)
"""
# a number that is another after each change of tables, partitions, columns, checks or triggers
_SHAPE = """
    CREATE FUNCTION before.shape() RETURNS bigint LANGUAGE sql AS $$
        WITH ours AS (SELECT * FROM pg_class WHERE relnamespace = 'public'::regnamespace)
        SELECT sum(hashtext(part)) FROM (
            SELECT relname FROM ours
            UNION ALL SELECT attname FROM pg_attribute JOIN ours ON ours.oid = attrelid
                WHERE relkind IN ('r', 'p') AND NOT relispartition
            UNION ALL SELECT conname FROM pg_constraint JOIN ours ON ours.oid = conrelid
            UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
        ) AS parts (part)
    $$
"""
_RETURNING_WHETHER = """
    CREATE FUNCTION before.{name}() RETURNS boolean LANGUAGE plpgsql
        AS $$ DECLARE
            used text[] := ({used});
        BEGIN
            IF before.shape() <> {shape} {unless} THEN RETURN false; END IF;
            {steps}
            RETURN true;
        END $$
"""


# checks no foreign keys; each change of it drops all plans, so it lasts as long as its connection
_UNCHECKED = "SET session_replication_role = replica"


async def remember(database: Any) -> None:
    """Keeps the rows that there are now in a schema of its own, which copies of a template have."""
    found = [name for (name,) in await database.fetch(_TABLES)]
    tables = [*_FIRST, *(name for name in found if name not in _FIRST)]
    is_filled = {
        table: await database.fetchval(f"SELECT EXISTS (SELECT 1 FROM {table})") for table in tables
    }
    filled = [table for table in tables if is_filled[table]]
    is_cluster = await database.fetchval(
        "SELECT count(*) > 0 FROM pg_extension WHERE extname = 'citus'"
    )
    await database.execute("DROP SCHEMA IF EXISTS before CASCADE")
    await database.execute("CREATE SCHEMA before")
    for table in filled:
        await database.execute(f"CREATE TABLE before.{table} AS TABLE {table}")
    await database.execute(_SHAPE)
    shape = await database.fetchval("SELECT before.shape()")
    function = partial(
        _RETURNING_WHETHER.format, used=_USED.format(is_cluster=is_cluster), shape=shape
    )
    steps = [(_RESTORE if is_filled[one] else _EMPTY).format(table=one) for one in tables]
    unless = f"OR {_IS_WITHOUT_A_PROJECT}"
    await database.execute(function(name="put_back", unless=unless, steps="\n".join(steps)))
    steps = [(_RENEW if is_filled[one] else _IS_EMPTY).format(table=one) for one in tables]
    await database.execute(function(name="renew", unless="", steps="\n".join(steps)))


async def remember_in(url: str) -> None:
    database = await connect(url)
    await remember(database)
    await database.close()


async def remember_again(database: Any) -> None:
    """Keeps the rows that there are now, in a copy of a database that remembers its own.

    The connection is for putting them back, and for nothing else: it checks no foreign keys.
    """
    if not await database.fetchval("SELECT before.renew()"):
        await remember(database)
    await database.execute(_UNCHECKED)


async def put_back(database: Any) -> bool:
    """Deletes added rows, and restores changed ones.

    False if the tables themselves changed, or a project is deleted.
    """
    is_back: bool = await database.fetchval("SELECT before.put_back()")
    return is_back
