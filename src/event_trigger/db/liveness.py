"""A connection is checked before use, but not again when it has just been used.

Asking PostgreSQL takes three round trips, as long as many a transaction. When a server stops, the
event loop sees its connections end; a network that falls silent says nothing, and takes its time.
"""

from time import monotonic
from typing import Any

from sqlalchemy import event
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
