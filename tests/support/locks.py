"""Holds locks against the service: of rows of triggers and destinations, or of the events table."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.databases import connect
from tests.support.waiting import eventually

_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@asynccontextmanager
async def locked_trigger(database_url: str, trigger_id: int) -> AsyncIterator[Any]:
    """Holds the row lock that a dispatcher or a call takes, and gives its connection."""
    connection = await connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute(
                "SELECT 1 FROM triggers WHERE id = $1 FOR NO KEY UPDATE", trigger_id
            )
            yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def locked_destination(database_url: str, destination_id: int) -> AsyncIterator[None]:
    """Holds the row lock that a set takes of a destination that its triggers name."""
    connection = await connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute(
                "SELECT FROM destinations WHERE id = $1 FOR SHARE", destination_id
            )
            yield
    finally:
        await connection.close()


async def until_somebody_waits(connection: Any, number: int = 1) -> None:
    """Waits until `number` sessions of this database wait for a lock."""
    await eventually(lambda: connection.fetchval(_WAITING), lambda waiting: waiting >= number)


@asynccontextmanager
async def caught_while_firing(database_url: str) -> AsyncIterator[None]:
    """Lets a service claim a trigger, and keeps it from inserting the event until the body ends."""
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
