"""Hears PostgreSQL's notifications; losing one only costs time, since everything is polled too."""

import asyncio
from collections.abc import Callable, Mapping

import asyncpg
import structlog
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from event_trigger.db.engine import DATABASE_ERRORS
from event_trigger.db.errors import FailureLog
from event_trigger.db.pgbouncer import is_direct

log = structlog.get_logger()

SCHEDULE_CHANGED = "event_trigger_schedule"
DELIVERIES_CHANGED = "event_trigger_deliveries"
CREDENTIALS_CHANGED = "event_trigger_credentials"  # says whose: a user's id
EVENTS_STORED = "event_trigger_events"  # says whose: an owner's id
RECONNECT_AFTER = 1.0  # seconds
URL_SETTING = "EVENT_TRIGGER_LISTEN_DATABASE_URL"

Heard = Callable[[str], None]
_NOTIFY = text("""
    SELECT pg_notify(:channel, word) FROM unnest(CAST(:words AS text[])) AS word
""")


async def notify(session: AsyncSession, channel: str, *words: str) -> None:
    """Tells every replica, once the transaction commits: each word, or that there is news."""
    await session.execute(_NOTIFY, {"channel": channel, "words": words or ("",)})


async def listen(engine: AsyncEngine, channels: Mapping[str, Heard], url: URL | None) -> None:
    """Passes on every notification of these channels until it is cancelled.

    After each reconnect, `""` is passed to all: something may have been missed. `url` is where to
    listen, if not where the engine connects; through a pooler nothing is heard, and it ends.
    """
    failures = FailureLog(log, "listen_failed", outage="listen_failed")
    while True:
        try:
            await _listen_once(engine, channels, url)
        except _NothingIsHeard:
            log.info("notifications_not_heard")
            return
        except DATABASE_ERRORS as error:
            failures.failed("listen", error)
        await asyncio.sleep(RECONNECT_AFTER)


class _NothingIsHeard(Exception):
    """A pooler is in between: it would take LISTEN, and give the session to somebody else."""


async def _listen_once(engine: AsyncEngine, channels: Mapping[str, Heard], url: URL | None) -> None:
    """Listens on a connection of its own, outside the pool, until that connection ends."""
    _, arguments = engine.dialect.create_connect_args(url or engine.url)
    arguments.pop("prepared_statement_cache_size", None)
    connection = await asyncpg.connect(**arguments, timeout=5)
    ended = asyncio.Event()
    connection.add_termination_listener(lambda _: ended.set())
    try:
        if url is None and not await is_direct(connection):
            raise _NothingIsHeard
        for channel in channels:
            await connection.add_listener(channel, lambda *said: channels[said[2]](said[3]))
        for heard in channels.values():
            heard("")
        await ended.wait()
    finally:
        connection.terminate()
