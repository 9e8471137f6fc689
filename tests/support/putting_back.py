"""Puts the tables of a database back as they were, in one statement of a few milliseconds.

Sequences go on, so that no id is ever given again: what a process remembers by id stays right.
"""

from typing import Any

_TABLES = """
    SELECT c.oid::regclass::text FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
        AND NOT c.relispartition
        AND c.relname <> 'service_beats' -- an old beat is an outage
    ORDER BY c.relname
"""
_FIRST = ("projects", "users", "api_keys", "logins", "destinations", "triggers")  # locks, in order
_EMPTY = "IF EXISTS (SELECT 1 FROM {table}) THEN DELETE FROM {table}; END IF;"
_RESTORE = """
    IF EXISTS (
        (SELECT t::text FROM {table} t EXCEPT SELECT t::text FROM before.{table} t)
        UNION ALL (SELECT t::text FROM before.{table} t EXCEPT SELECT t::text FROM {table} t)
    ) THEN
        DELETE FROM {table};
        INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM before.{table};
    END IF;
"""
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
_PUT_BACK = """
    CREATE FUNCTION before.put_back() RETURNS boolean LANGUAGE plpgsql
        AS $$ BEGIN
            IF before.shape() <> {shape} OR {without} THEN RETURN false; END IF;
            {steps}
            RETURN true;
        END $$
"""


# checks no foreign keys; each change of it drops all plans, so it lasts as long as its connection
_UNCHECKED = "SET session_replication_role = replica"


async def remember(database: Any) -> None:
    """Keeps the rows that there are now, in a schema of its own.

    The connection is for putting them back, and for nothing else: it checks no foreign keys.
    """
    found = [name for (name,) in await database.fetch(_TABLES)]
    tables = [*_FIRST, *(name for name in found if name not in _FIRST)]
    await database.execute("CREATE SCHEMA before")
    steps = []
    for table in tables:
        filled = await database.fetchval(f"SELECT EXISTS (SELECT 1 FROM {table})")
        if filled:
            await database.execute(f"CREATE TABLE before.{table} AS TABLE {table}")
        steps.append((_RESTORE if filled else _EMPTY).format(table=table))
    await database.execute(_SHAPE)
    shape = await database.fetchval("SELECT before.shape()")
    await database.execute(
        _PUT_BACK.format(shape=shape, without=_IS_WITHOUT_A_PROJECT, steps="\n".join(steps))
    )
    await database.execute(_UNCHECKED)


async def put_back(database: Any) -> bool:
    """Deletes added rows, and restores changed ones.

    False if the tables themselves changed, or a project is deleted.
    """
    is_back: bool = await database.fetchval("SELECT before.put_back()")
    return is_back
