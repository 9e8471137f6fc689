"""Holds locks against the service: of rows of triggers and destinations, or of the events table."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.databases import connect
from tests.support.one_server import skip_on_cluster
from tests.support.waiting import eventually

_WAITING = """
    SELECT count(*) FROM {activity}
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
_IS_CLUSTER = "SELECT to_regclass('citus_stat_activity') IS NOT NULL"


@asynccontextmanager
async def locked_trigger(database_url: str, trigger_id: int) -> AsyncIterator[Any]:
    """Holds the row lock that a dispatcher or a call takes, and gives its connection."""
    connection = await connect(database_url)
    try:
        async with connection.transaction():
            await lock_row(connection, "triggers", trigger_id)
            yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def locked_destination(database_url: str, destination_id: int) -> AsyncIterator[None]:
    """Holds the row lock that a set takes of a destination that its triggers name."""
    connection = await connect(database_url)
    try:
        async with connection.transaction():
            await lock_row(connection, "destinations", destination_id, strength="SHARE")
            yield
    finally:
        await connection.close()


async def lock_row(
    connection: Any, table: str, number: int, *, strength: str = "NO KEY UPDATE"
) -> None:
    """Locks a row of an owner by its id; a cluster locks only where the statement names a shard."""
    shard = await connection.fetchval(f"SELECT shard FROM {table} WHERE id = $1", number)
    await connection.execute(
        f"SELECT id FROM {table} WHERE shard = $1 AND id = $2 FOR {strength}", shard, number
    )


async def until_somebody_waits(connection: Any, number: int = 1) -> None:
    """Waits until `number` sessions of this database, on any node, wait for a lock."""
    in_cluster = await connection.fetchval(_IS_CLUSTER)
    activity = "citus_stat_activity" if in_cluster else "pg_stat_activity"
    waiting = _WAITING.format(activity=activity)
    await eventually(lambda: connection.fetchval(waiting), lambda found: found >= number)


@asynccontextmanager
async def caught_while_firing(database_url: str) -> AsyncIterator[None]:
    """Lets a service claim a trigger, and keeps it from inserting the event until the body ends."""
    skip_on_cluster("one server fires by one statement, for which this waits")
    database, holder = await connect(database_url), await connect(database_url)
    async with holder.transaction():
        await holder.execute("LOCK TABLE events IN SHARE MODE")
        await eventually(
            lambda: database.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock' AND query ~ 'announced'"
            ),
            lambda count: count == 1,
        )
        yield
    await asyncio.gather(database.close(), holder.close())
