"""Stops the database's clock, by which the service decides everything, until a test moves it.

SQL finds `now()` through the search path, so a schema that is searched first can replace it.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import make_url

from tests.support.databases import connect, create_database
from tests.support.one_server import skip_on_cluster

_TIME_IS_A_TABLE = """
    CREATE SCHEMA testing;
    CREATE TABLE testing.clock (instant timestamptz NOT NULL);
    CREATE FUNCTION testing.now() RETURNS timestamptz STABLE LANGUAGE sql
        AS 'SELECT instant FROM testing.clock';
    CREATE FUNCTION testing.clock_timestamp() RETURNS timestamptz STABLE LANGUAGE sql
        AS 'SELECT instant FROM testing.clock';
    CREATE FUNCTION testing.statement_timestamp() RETURNS timestamptz STABLE LANGUAGE sql
        AS 'SELECT instant FROM testing.clock';
    UPDATE logins SET expires_at = 'infinity';
"""
# the columns' defaults were bound to the real clock when they were made
_BIND_DEFAULTS = """
    SELECT format('ALTER TABLE %I ALTER %I SET DEFAULT testing.%s',
        table_name, column_name, column_default)
    FROM information_schema.columns
    WHERE table_schema = 'public' AND column_default IN ('now()', 'clock_timestamp()')
"""


async def make_still_template(server_url: str, *, template: str, start: datetime) -> str:
    """Copies a template without partitions, stops its clock at `start`, and gives its name."""
    skip_on_cluster("each node has a clock")
    url = await create_database(server_url, template=template)
    database = await connect(url)
    try:
        bindings = await database.fetch(_BIND_DEFAULTS)
        await database.execute(_TIME_IS_A_TABLE)
        await database.execute("INSERT INTO testing.clock VALUES ($1)", start)
        for (binding,) in bindings:
            await database.execute(binding)
    finally:
        await database.close()
    return name_of(url)


async def create_still_database(server_url: str, *, template: str) -> str:
    """Copies a template of `make_still_template`, and sets the search path, which is not copied."""
    url = await create_database(server_url, template=template)
    database = await connect(url)
    try:
        await database.execute(
            f"ALTER DATABASE {name_of(url)} SET search_path = testing, pg_catalog, public"
        )
    finally:
        await database.close()
    return url


async def set_clock(database: Any, instant: datetime) -> None:
    await database.execute("UPDATE testing.clock SET instant = $1", instant)


def name_of(url: str) -> str:
    name = make_url(url).database
    assert name is not None
    return name
