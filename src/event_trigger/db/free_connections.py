"""Counts the connections that a server has left."""

import math
from typing import Any

import asyncpg

_COUNT_FREE = """
    WITH others AS (SELECT datid, usesysid FROM pg_stat_activity WHERE datid IS NOT NULL)
    SELECT pg_backend_pid(), least(
        current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int
            - (SELECT count(*) FROM others),
        (SELECT datconnlimit - (SELECT count(*) FROM others WHERE datid = oid)
            FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0),
        (SELECT rolconnlimit - (SELECT count(*) FROM others WHERE usesysid = oid)
            FROM pg_roles WHERE rolname = current_user AND rolconnlimit >= 0)
    )
"""


async def count_free(connection: Any) -> float:
    """Returns how many more connections the server, the database and the role allow.

    Behind a pooler, which announces another process id, it returns infinity: the pooler decides.
    """
    try:
        async with connection.transaction():
            pid, free = await (await connection.prepare(_COUNT_FREE, name="")).fetchrow()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return math.inf  # the first statement of the caller will raise the same error
    return float(free) if pid == connection.get_server_pid() else math.inf
