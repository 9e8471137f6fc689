"""A connection is checked before use, and closed if its transaction could not be ended.

It is not checked when it has just been used: asking PostgreSQL takes three round trips, as long as
many a transaction. When a server stops, the event loop sees its connections end; a network that
falls silent says nothing, and takes its time.
"""

from time import monotonic
from typing import Any

from sqlalchemy import ExceptionContext, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

RESTED = 1.0  # seconds

_RESTS_SINCE = "rests_since"


def check_before_use(engine: AsyncEngine) -> None:
    """One that is dead is replaced, and so are all that were made before it."""
    dialect = engine.dialect

    def rest(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info[_RESTS_SINCE] = monotonic()

    def check(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        now = monotonic()
        rested = now - record.info.get(_RESTS_SINCE, now)  # a new one has not rested
        if connection.driver_connection.is_closed() or (
            rested > RESTED and not answers(connection)
        ):
            raise InvalidatePoolError

    def answers(connection: Any) -> bool:
        try:
            return dialect.do_ping(connection)
        except (dialect.loaded_dbapi.Error, OSError):
            return False

    event.listen(engine.sync_engine, "checkin", rest)
    event.listen(engine.sync_engine, "checkout", check)


def drop_what_cannot_be_ended(engine: AsyncEngine) -> None:
    """One whose COMMIT or ROLLBACK fails is closed; that the database refused counts as an outage.

    A standby may refuse even a ROLLBACK, for what it replays. SQLAlchemy closes neither session nor
    connection then: it would be missing from the pool until it is garbage. No constraint of ours is
    deferred, so a COMMIT says nothing of what was written.
    """

    def drop(context: ExceptionContext) -> None:
        ending = context.statement is None and context.execution_context is None
        if context.connection is not None and ending and not context.is_disconnect:
            context.is_disconnect = True
            context.invalidate_pool_on_disconnect = False

    event.listen(engine.sync_engine, "handle_error", drop)
