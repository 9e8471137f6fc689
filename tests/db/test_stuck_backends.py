"""A session whose process froze in the middle of a statement is ended, and no other."""

from typing import Any

import asyncpg
import pytest
from sqlalchemy import make_url

from event_trigger.db.engine import APPLICATION_NAME, create_engine, create_sessions
from event_trigger.db.stuck_backends import end_stuck_backends
from tests.support.databases import connect
from tests.support.one_server import one_server
from tests.support.waiting import eventually


async def connect_as(url: str, application: str) -> Any:
    parsed = make_url(url)
    return await asyncpg.connect(
        user=parsed.username,
        database=parsed.database,
        server_settings={"application_name": application},
        **dict(parsed.query),
    )


async def stall(connection: Any) -> None:
    """Locks a row, and then sends a statement's Parse message and nothing more."""
    await connection.execute("BEGIN")
    await connection.execute("SELECT FROM users WHERE id = 1 FOR UPDATE")
    await connection.prepare("SELECT 1")


async def end_stuck(url: str, *, after: float) -> None:
    engine = create_engine(url, connections=1)
    async with create_sessions(engine).begin() as session:
        await end_stuck_backends(session, after=after)
    await engine.dispose()


@one_server("a cluster's session waits for a worker as if its caller had stalled")
async def test_what_a_stalled_session_had_locked_is_free_again(
    database_url: str, database: Any
) -> None:
    stalled = await connect_as(database_url, APPLICATION_NAME)
    await stall(stalled)
    with pytest.raises(asyncpg.LockNotAvailableError):
        await database.execute("SELECT FROM users WHERE id = 1 FOR UPDATE NOWAIT")

    await end_stuck(database_url, after=0.0)

    await eventually(lambda: is_closed(stalled), bool)
    await database.execute("SELECT FROM users WHERE id = 1 FOR UPDATE NOWAIT")


async def is_closed(connection: Any) -> bool:
    return bool(connection.is_closed())


async def test_sessions_that_work_wait_or_are_not_ours_are_left_alone(database_url: str) -> None:
    others = [
        await connect_as(database_url, APPLICATION_NAME),  # idle
        await connect_as(
            database_url, APPLICATION_NAME
        ),  # idle in a transaction, which has its own limit
        await connect_as(
            database_url, APPLICATION_NAME
        ),  # in the middle of a statement, but not for long
        await connect(database_url),  # a person's
    ]
    await others[1].execute("BEGIN")
    await others[2].prepare("SELECT 1")
    await others[3].prepare("SELECT 1")

    await end_stuck(database_url, after=3600)
    await others[2].execute("SELECT 1")
    await end_stuck(database_url, after=0.0)

    assert [await one.fetchval("SELECT 1") for one in others] == [1, 1, 1, 1]
    for one in others:
        await one.close()
