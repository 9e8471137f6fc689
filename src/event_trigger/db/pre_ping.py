"""Checks pooled connections before use, and closes those whose transaction could not be ended.

A connection that was used within a second is not checked: a ping takes three round trips, as long
as many transactions. When a server stops, the event loop notices that its connections end; only a
dead network goes unnoticed, and then the first statement times out.
"""

from time import monotonic
from typing import Any

from sqlalchemy import ExceptionContext, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

CHECK_AFTER_SECONDS = 1.0

_IDLE_SINCE = "idle_since"


def check_before_use(engine: AsyncEngine) -> None:
    """Makes the pool replace a dead connection, and all that are older than it."""
    dialect = engine.dialect

    def note_idle(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info[_IDLE_SINCE] = monotonic()

    def check(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        now = monotonic()
        idle_seconds = now - record.info.get(_IDLE_SINCE, now)  # 0 for a new connection
        if connection.driver_connection.is_closed() or (
            idle_seconds > CHECK_AFTER_SECONDS and not answers(connection)
        ):
            raise InvalidatePoolError

    def answers(connection: Any) -> bool:
        try:
            return dialect.do_ping(connection)
        except (dialect.loaded_dbapi.Error, OSError):
            return False

    event.listen(engine.sync_engine, "checkin", note_idle)
    event.listen(engine.sync_engine, "checkout", check)


def close_on_failed_commit(engine: AsyncEngine) -> None:
    """Closes a connection whose COMMIT or ROLLBACK fails, and counts that as an outage.

    A standby may refuse even a ROLLBACK when it conflicts with replay. SQLAlchemy would close
    neither session nor connection, and the pool would miss it until it is garbage collected. No
    constraint of ours is deferred, so a failed COMMIT is never about the written rows.
    """

    def close(context: ExceptionContext) -> None:
        is_ending = context.statement is None and context.execution_context is None
        if context.connection is not None and is_ending and not context.is_disconnect:
            context.is_disconnect = True
            context.invalidate_pool_on_disconnect = False

    event.listen(engine.sync_engine, "handle_error", close)
