"""The connection pool, with limits that keep one stuck session from holding up the others."""

import asyncpg
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session

from event_trigger.db.pgbouncer import adapt_to_pooler
from event_trigger.db.pool import ConnectionPool
from event_trigger.db.pre_ping import check_before_use, drop_what_cannot_be_ended

Sessions = async_sessionmaker[AsyncSession]

_ANSWER_WITHIN = 35.0  # seconds: a network that went silent never says so by itself
_SESSION_LIMITS = {
    "lock_timeout": "5s",
    "statement_timeout": "30s",
    # a frozen process must not hide its claimed triggers from the others for long
    "idle_in_transaction_session_timeout": "5s",
}
# what libpq reads in a URL and asyncpg does not: those that change nothing here are passed over
_PASSED_OVER = frozenset(
    {"application_name", "channel_binding", "connect_timeout", "gssencmode", "target_session_attrs"}
)
_PASSED_ON = frozenset({"host", "port", "ssl", "prepared_statement_cache_size"})
APPLICATION = "event-trigger"
_TRACKED = {"application_name": APPLICATION, "timezone": "UTC"}  # also by a pooler
# what the database says when it, and not the request, is at fault: classes of SQLSTATE and codes
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
# whatever comes of asking a database, also one that is not there
DATABASE_ERRORS = (
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
NO_PARTITION = "23514"  # no partition for the row, or a closed one
LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"


def asyncpg_url(url: str | URL, *, setting: str = "DATABASE_URL") -> URL:
    """Reads any PostgreSQL URL (`postgres://`, `?sslmode=`) as one for SQLAlchemy and asyncpg.

    Raises ValueError, with the setting's name and without the URL, which may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError(f"{setting} must be like postgresql://user:password@host/name") from None
    if parsed.get_backend_name() not in {"postgres", "postgresql"}:
        raise ValueError(f"{setting} must start with postgresql:// or postgres://")
    query = {key: value for key, value in parsed.query.items() if key not in _PASSED_OVER}
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    if unknown := query.keys() - _PASSED_ON:
        names = ", ".join(sorted(unknown))
        raise ValueError(f"{setting} has parameters that are not understood: {names}")
    return parsed.set(drivername="postgresql+asyncpg", query=query)


def create_engine(
    url: str | URL,
    *,
    setting: str = "DATABASE_URL",
    connections: int = 10,
    answer_within: float | None = _ANSWER_WITHIN,
) -> AsyncEngine:
    """Makes a pool of so many connections, each checked before use.

    No statement is waited for longer than `answer_within` seconds; None waits for ever.
    """
    engine = create_async_engine(
        asyncpg_url(url, setting=setting),
        poolclass=ConnectionPool,
        pool_size=connections,
        pool_timeout=5,
        hide_parameters=True,
        connect_args={"timeout": 5, "command_timeout": answer_within},
    )
    adapt_to_pooler(engine, tracked=_TRACKED, limits=_SESSION_LIMITS)
    check_before_use(engine)
    drop_what_cannot_be_ended(engine)
    return engine


def create_sessions(engine: AsyncEngine, kind: type[Session] = Session) -> Sessions:
    return async_sessionmaker(engine, expire_on_commit=False, sync_session_class=kind)


def sqlstate(error: BaseException) -> str:
    """The five characters of PostgreSQL's Appendix A, or `""` for what never reached it."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlstate", None) or ""


def is_outage(error: BaseException) -> bool:
    """Whether an error is the database's (away, full, locked) rather than the statement's."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(
        error, OSError | PoolTimeout | asyncpg.InterfaceError | asyncpg.InternalClientError
    ):
        return True
    state = sqlstate(error)
    return state == NO_PARTITION or state.startswith(_UNAVAILABLE_CLASSES)
