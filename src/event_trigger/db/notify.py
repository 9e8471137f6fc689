"""Sends and receives PostgreSQL notifications; losing one only costs time: all work is polled."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

import asyncpg
import structlog
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine

from event_trigger.db.engine import DATABASE_ERRORS
from event_trigger.db.errors import FailureLog
from event_trigger.db.pgbouncer import is_direct
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.tls import add_context

log = structlog.get_logger()

SCHEDULE_CHANGED = "event_trigger_schedule"
DELIVERIES_CHANGED = "event_trigger_deliveries"
CREDENTIALS_CHANGED = "event_trigger_credentials"  # payload: the user's id
EVENTS_STORED = "event_trigger_events"  # payload: the owner's id
PROJECTS_DELETED = "event_trigger_deleted"
MAILS_QUEUED = "event_trigger_mails"
# payload of both: the owner's id, a colon, and ids separated by commas
DELIVERIES_ATTEMPTED = "event_trigger_attempted"
TRIGGERS_CHANGED = "event_trigger_changed"
IDS_PER_NOTIFICATION = 200  # a payload has up to 8000 bytes
RECONNECT_AFTER_SECONDS = 1.0
LISTEN_URL_SETTING = "EVENT_TRIGGER_LISTEN_DATABASE_URL"

OnNotification = Callable[[str], None]
_NOTIFY = text("""
    SELECT pg_notify(:channel, payload) FROM unnest(CAST(:payloads AS text[])) AS payload
""")


async def notify(session: ReadSession, channel: str, *payloads: str) -> None:
    """Notifies every replica when the transaction commits, once for each payload.

    Without payloads it sends one empty notification.
    """
    await session.execute(_NOTIFY, {"channel": channel, "payloads": payloads or ("",)})


async def notify_rows(session: ReadSession, channel: str, rows: Iterable[tuple[int, int]]) -> None:
    """Names rows, (owner id, id) each, to every replica when the transaction commits."""
    by_owner: defaultdict[int, list[int]] = defaultdict(list)
    for owner_id, row_id in rows:
        by_owner[owner_id].append(row_id)
    payloads = [
        f"{owner_id}:{','.join(map(str, ids[start : start + IDS_PER_NOTIFICATION]))}"
        for owner_id, ids in by_owner.items()
        for start in range(0, len(ids), IDS_PER_NOTIFICATION)
    ]
    if payloads:
        await notify(session, channel, *payloads)


def named_rows(payload: str) -> tuple[int, list[int]]:
    """Reads the owner's id and the ids of rows from a payload of `notify_rows`."""
    owner_id, _, ids = payload.partition(":")
    return int(owner_id), [int(one) for one in ids.split(",")]


async def listen(
    engine: AsyncEngine,
    channels: Mapping[str, OnNotification],
    url: URL | None,
    *,
    on_change: Callable[[bool], None],
) -> None:
    """Calls each channel's callback for every notification, until it is cancelled.

    After each connect it calls all of them with `""`, because notifications may have been lost.
    `url` is the database to listen on, if it is not the engine's. Behind a pooler, which passes on
    no notifications, it logs that and returns. `on_change` hears whether it listens.
    """
    failures = FailureLog(log, "listen_failed", outage="listen_failed")
    while True:
        try:
            await _listen_once(engine, channels, url, on_change)
        except _BehindPooler:
            log.info("notifications_not_heard")
            return
        except DATABASE_ERRORS as error:
            failures.failed("listen", error)
        await asyncio.sleep(RECONNECT_AFTER_SECONDS)


class _BehindPooler(Exception):
    """Raised behind a pooler: it accepts LISTEN, and then gives the session to another client."""


async def _listen_once(
    engine: AsyncEngine,
    channels: Mapping[str, OnNotification],
    url: URL | None,
    on_change: Callable[[bool], None],
) -> None:
    """Listens on a separate connection, outside the pool, until that connection ends."""
    _, arguments = engine.dialect.create_connect_args(url or engine.url)
    arguments.pop("prepared_statement_cache_size", None)
    add_context(arguments)
    connection = await asyncpg.connect(**arguments, timeout=5)
    ended = asyncio.Event()

    def call_back(_connection: object, _pid: int, channel: str, payload: str) -> None:
        channels[channel](payload)

    connection.add_termination_listener(lambda _: ended.set())
    try:
        if url is None and not await is_direct(connection):
            raise _BehindPooler
        for channel in channels:
            await connection.add_listener(channel, call_back)
        on_change(True)
        for callback in channels.values():
            callback("")
        await ended.wait()
    finally:
        on_change(False)
        connection.terminate()
