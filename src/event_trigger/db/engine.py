"""Creates engines and sessions, with timeouts so that one stuck session never blocks the others.

Pooled connections are checked before use. One that was used within a second is not: a ping takes
three round trips, as long as many transactions. When a server stops, the event loop notices that
its connections end; only a dead network goes unnoticed, and then the first statement times out.
"""

from collections.abc import Mapping
from time import monotonic
from typing import Any

import asyncpg
from sqlalchemy import URL, ExceptionContext, event
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from event_trigger.db.pgbouncer import adapt_to_pooler
from event_trigger.db.plain_session import plan_as_usual
from event_trigger.db.pool import DatabasePool
from event_trigger.db.tls import connect_by_tls
from event_trigger.db.urls import asyncpg_url

Sessions = async_sessionmaker[AsyncSession]

_STATEMENT_TIMEOUT_SECONDS = 35.0  # a dead network connection reports no error of its own
_SESSION_LIMITS = {
    "lock_timeout": "5s",
    "statement_timeout": "30s",
    # a frozen process holds row locks, and SKIP LOCKED hides those triggers from other replicas
    "idle_in_transaction_session_timeout": "5s",
}
APPLICATION_NAME = "event-trigger"
_KEPT_BY_POOLER = {"application_name": APPLICATION_NAME, "timezone": "UTC"}
# SQLSTATEs, and classes of them, of errors of the database rather than of the request
_UNAVAILABLE_CLASSES = (
    "08",
    "25006",
    "25P03",
    "28",
    "3D",
    "40",
    "53",
    "55000",
    "55P03",
    "57",
    "58",
)
# every error that a query can raise, also when there is no database
DATABASE_ERRORS = (
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
NO_PARTITION = "23514"  # the row's partition is missing or closed
LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK_DETECTED = "40P01"
QUERY_CANCELED = "57014"
NOT_SUPPORTED = "0A000"  # the server refuses such a statement, as Citus does: never a user's fault
CHECK_AFTER_SECONDS = 1.0
_IDLE_SINCE = "idle_since"


def create_engine(
    url: str | URL,
    *,
    setting: str = "DATABASE_URL",
    connections: int = 10,
    answer_within: float | None = _STATEMENT_TIMEOUT_SECONDS,
) -> AsyncEngine:
    """Creates an engine whose pool has up to `connections` connections, each checked before use.

    A statement fails after `answer_within` seconds without an answer; None means no limit.
    """
    return _make_engine(
        asyncpg_url(url, setting=setting),
        connections=connections,
        answer_within=answer_within,
        limits=_SESSION_LIMITS,
    )


def create_maintenance_engine(url: URL) -> AsyncEngine:
    """Creates an engine with one connection and without timeouts, for migrations and the like."""
    return _make_engine(
        url, connections=1, answer_within=None, limits=dict.fromkeys(_SESSION_LIMITS, "0")
    )


def _make_engine(
    url: URL, *, connections: int, answer_within: float | None, limits: Mapping[str, str]
) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=DatabasePool,
        pool_size=connections,
        pool_timeout=5,
        hide_parameters=True,
        connect_args={"timeout": 5, "command_timeout": answer_within},
    )
    connect_by_tls(engine)
    adapt_to_pooler(engine, tracked=_KEPT_BY_POOLER, limits=limits)
    check_before_use(engine)
    plan_as_usual(engine)
    close_on_failed_commit(engine)
    return engine


def create_sessions(engine: AsyncEngine, kind: type[Session] = Session) -> Sessions:
    return async_sessionmaker(engine, expire_on_commit=False, sync_session_class=kind)


def engine_of(sessions: Sessions) -> AsyncEngine:
    """Returns the engine whose connections the sessions of `create_sessions` take."""
    engine: AsyncEngine = sessions.kw["bind"]
    return engine


def sqlstate(error: BaseException) -> str:
    """Returns the error's SQLSTATE (PostgreSQL's Appendix A), or `""` if the server sent none."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlstate", None) or ""


def is_outage(error: BaseException) -> bool:
    """Tells whether the database is at fault (down, full, locked) rather than the statement."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(
        error, OSError | PoolTimeout | asyncpg.InterfaceError | asyncpg.InternalClientError
    ):
        return True
    state = sqlstate(error)
    return state == NO_PARTITION or state.startswith(_UNAVAILABLE_CLASSES)


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
