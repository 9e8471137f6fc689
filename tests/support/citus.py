"""Imitates the Citus extension inside a database: its catalogue and its function.

So tests of `distribute` run where there is no Citus: nothing is distributed. The function records
its arguments, and refuses the same calls as Citus does. `cluster` runs a real one.
"""

from typing import Any

from tests.support.one_server import skip_on_cluster

_STANDING_IN = """
    CREATE TABLE stand_in (
        place bigint GENERATED ALWAYS AS IDENTITY,
        table_name regclass PRIMARY KEY, citus_table_type text NOT NULL,
        distribution_column text NOT NULL, colocation_id int NOT NULL, shard_count int
    );
    CREATE TABLE stand_in_trouble (table_name regclass PRIMARY KEY);
    CREATE VIEW citus_tables AS
        SELECT table_name, citus_table_type, distribution_column, colocation_id FROM stand_in;

    CREATE FUNCTION refuse_what_citus_refuses(placed regclass) RETURNS void AS $$
    BEGIN
        IF EXISTS (SELECT FROM stand_in_trouble WHERE table_name = placed) THEN
            RAISE 'a worker does not answer';
        ELSIF EXISTS (SELECT FROM stand_in WHERE table_name = placed) THEN
            RAISE 'table % is already distributed', placed;
        ELSIF EXISTS (SELECT FROM pg_class WHERE oid = placed AND relispartition) THEN
            RAISE 'cannot distribute partition %', placed;
        ELSIF EXISTS (
            SELECT FROM pg_constraint WHERE contype = 'f' AND conrelid <> confrelid
                AND placed IN (conrelid, confrelid)
        ) THEN  -- it converts the table at the other end, which it cannot undo afterwards
            RAISE 'cannot complete operation on a table with identity column';
        END IF;
    END $$ LANGUAGE plpgsql;

    CREATE FUNCTION create_distributed_table(
        table_name regclass, distribution_column text, distribution_type text DEFAULT 'hash',
        colocate_with text DEFAULT 'default', shard_count int DEFAULT NULL
    ) RETURNS void AS $$
    DECLARE
        new_group int := 1 + coalesce((SELECT max(colocation_id) FROM stand_in), 1);
    BEGIN
        PERFORM refuse_what_citus_refuses(table_name);
        IF colocate_with <> 'none' THEN
            SELECT colocation_id INTO STRICT new_group FROM stand_in
            WHERE stand_in.table_name = colocate_with::regclass;
        END IF;
        INSERT INTO stand_in VALUES (
            DEFAULT, table_name, 'distributed', distribution_column, new_group, shard_count
        );
    END $$ LANGUAGE plpgsql;
"""


async def stand_in_for_citus(database: Any) -> None:
    skip_on_cluster("it imitates a cluster")
    await database.execute(_STANDING_IN)


async def look_distributed(database: Any) -> None:
    """Makes a database look as if it were distributed over a cluster, for the service."""
    await stand_in_for_citus(database)
    await database.execute(
        "SELECT create_distributed_table('events', 'shard', colocate_with => 'none')"
    )


async def list_placed(database: Any) -> list[tuple[str, str, str, int]]:
    """Gives each table with its type, distribution column and group, in the order of the calls."""
    rows = await database.fetch(
        "SELECT table_name::text, citus_table_type, distribution_column, colocation_id"
        " FROM stand_in ORDER BY place"
    )
    return [tuple(row) for row in rows]
