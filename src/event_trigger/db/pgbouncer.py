"""Behind a pooler in transaction mode each transaction has another session: none keeps anything.

It takes no limits at start-up, knows no prepared statement of another transaction, and passes on no
notification. Whoever answers under another process id than PostgreSQL's own is one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
from sqlalchemy.ext.asyncio import AsyncEngine

log = structlog.get_logger()

_REFUSED = "unsupported startup parameter"  # PgBouncer, unless it is told to ignore it
_WITHOUT_STATEMENTS: dict[str, Any] = {
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    # without a name it lasts until the next one, which is as long as it is needed
    "prepared_statement_name_func": lambda: "",
}


@dataclass
class _Pooling:
    """Whether there is a pooler: None for as long as nobody has connected."""

    found: bool | None = None


def adapt_to_pooler(
    engine: AsyncEngine, *, tracked: Mapping[str, str], limits: Mapping[str, str]
) -> None:
    """Gives each session its settings at the start or, behind a pooler, the limits to each
    transaction; the pooler itself keeps what is `tracked`."""
    pooling = _Pooling()

    def connect(dialect: Dialect, _record: object, _args: object, given: dict[str, Any]) -> Any:
        if not pooling.found:
            connection = _connected(dialect, given | {"server_settings": {**tracked, **limits}})
            if connection is not None and pooling.found is None:
                pooling.found = not connection.run_async(is_direct)
            if connection is not None and not pooling.found:
                return connection
            if connection is not None:
                connection.close()
            pooling.found = True
            log.info("pooler_found")
        pooled = {"server_settings": dict(tracked), **_WITHOUT_STATEMENTS}
        return dialect.connect(**given | pooled)

    def limit(connection: Connection) -> None:
        if pooling.found:
            connection.exec_driver_sql(_set_limits(limits))

    event.listen(engine.sync_engine, "do_connect", connect)
    event.listen(engine.sync_engine, "begin", limit)


async def is_direct(connection: Any) -> bool:
    """Whether PostgreSQL itself is at the other end; it names its process, a pooler some number."""
    async with connection.transaction():
        statement = await connection.prepare("SELECT pg_backend_pid()", name="")
        pid = await statement.fetchval()
    return bool(pid == connection.get_server_pid())


def _connected(dialect: Dialect, arguments: dict[str, Any]) -> DBAPIConnection | None:
    """None if what is asked for at the start is refused, as only a pooler does."""
    try:
        return dialect.connect(**arguments)
    except Exception as error:
        if _REFUSED not in str(error):
            raise
    return None


def _set_limits(limits: Mapping[str, str]) -> str:
    parts = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in limits.items())
    return f"SELECT {parts}"
