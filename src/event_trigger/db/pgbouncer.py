"""Detects a pooler in transaction mode (PgBouncer), and adapts connections to it.

Behind one, each transaction may run in another session. So session settings and prepared statements
do not last, start-up parameters are refused, and notifications are lost. A pooler is recognised by
its backend process id, which is not that of PostgreSQL.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import structlog
from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

log = structlog.get_logger()

_REFUSED = "unsupported startup parameter"  # PgBouncer's error, unless configured to ignore it
_NO_PREPARED_STATEMENTS: dict[str, Any] = {
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    # an unnamed statement lasts until the next one replaces it, which is long enough
    "prepared_statement_name_func": lambda: "",
}


_POOLED = "pooled"  # in the `info` of a connection


def is_pooled(connection: PoolProxiedConnection) -> bool:
    """Tells whether a connection leads to a pooler."""
    return _POOLED in connection.info


@dataclass
class _PoolerFound:
    """Whether there is a pooler; None until the first connection. A process logs it once."""

    is_logged: ClassVar = False
    found: bool | None = None


def adapt_to_pooler(
    engine: AsyncEngine, *, tracked: Mapping[str, str], limits: Mapping[str, str]
) -> None:
    """Sets `tracked` and `limits` at the session's start; behind a pooler, `limits` at each BEGIN.

    The pooler itself keeps the `tracked` parameters for each client.
    """
    pooling = _PoolerFound()

    def connect(
        dialect: Dialect, record: ConnectionPoolEntry, _args: object, given: dict[str, Any]
    ) -> Any:
        if not pooling.found:
            connection = _connect_with_limits(
                dialect, given | {"server_settings": {**tracked, **limits}}
            )
            if connection is not None and pooling.found is None:
                pooling.found = _leads_to_pooler(connection)
            if connection is not None and not pooling.found:
                return connection
            if connection is not None:
                connection.close()
            pooling.found = True
            if not _PoolerFound.is_logged:
                _PoolerFound.is_logged = True
                log.info("pooler_found")
        record.info[_POOLED] = True
        pooled = {"server_settings": dict(tracked), **_NO_PREPARED_STATEMENTS}
        return dialect.connect(**given | pooled)

    def limit(connection: Connection) -> None:
        if pooling.found:
            connection.exec_driver_sql(_set_limits(limits))

    event.listen(engine.sync_engine, "do_connect", connect)
    event.listen(engine.sync_engine, "begin", limit)


def _leads_to_pooler(connection: DBAPIConnection) -> bool:
    """Asks a new connection; closes it if that fails, or if the caller gives up."""
    try:
        return not connection.run_async(is_direct)
    except BaseException:
        connection.terminate()
        raise


async def is_direct(connection: Any) -> bool:
    """Tells whether the other end is PostgreSQL itself: a pooler announces another process id."""
    async with connection.transaction():
        statement = await connection.prepare("SELECT pg_backend_pid()", name="")
        pid = await statement.fetchval()
    return bool(pid == connection.get_server_pid())


def _connect_with_limits(dialect: Dialect, arguments: dict[str, Any]) -> DBAPIConnection | None:
    """Connects; returns None if the start-up parameters are refused, as only a pooler does."""
    try:
        return dialect.connect(**arguments)
    except Exception as error:
        if _REFUSED not in str(error):
            raise
    return None


def _set_limits(limits: Mapping[str, str]) -> str:
    parts = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in limits.items())
    return f"SELECT {parts}"
