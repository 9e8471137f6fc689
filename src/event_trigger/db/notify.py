"""Hears PostgreSQL's notifications; losing one only costs time, since everything is polled too."""

import asyncio
from collections.abc import Callable

import asyncpg
import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

log = structlog.get_logger()

SCHEDULE_CHANGED = "event_trigger_schedule"
RECONNECT_AFTER = 1.0  # seconds


async def notify(session: AsyncSession, channel: str) -> None:
    """Tells every replica, once the transaction commits."""
    await session.execute(select(func.pg_notify(channel, "")))


async def listen(engine: AsyncEngine, channel: str, heard: Callable[[], None]) -> None:
    """Calls `heard` for every notification, and after each reconnect, until it is cancelled."""
    while True:
        try:
            await _listen_once(engine, channel, heard)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("listen_failed", channel=channel, error=type(error).__name__)
        await asyncio.sleep(RECONNECT_AFTER)


async def _listen_once(engine: AsyncEngine, channel: str, heard: Callable[[], None]) -> None:
    """Listens on a connection of its own, outside the pool, until that connection ends."""
    _, arguments = engine.dialect.create_connect_args(engine.url)
    arguments.pop("prepared_statement_cache_size", None)
    connection = await asyncpg.connect(**arguments, timeout=5)
    ended = asyncio.Event()
    connection.add_termination_listener(lambda _: ended.set())
    try:
        await connection.add_listener(channel, lambda *_: heard())
        heard()
        await ended.wait()
    finally:
        connection.terminate()
