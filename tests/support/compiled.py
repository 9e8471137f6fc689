"""Compiles each statement, and reads each type of PostgreSQL, once a worker.

Each test has engines and connections of its own, which would begin with both.
"""

from typing import Any

import asyncpg
from sqlalchemy import Connection, event
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache

_STATEMENTS = 5000
_FIRST_ASSIGNED_OID = 10_000  # FirstGenbkiObjectId: those below are the same in each PostgreSQL


def share_compiled_statements() -> None:
    """Gives all engines one cache, in which dialects count as equal: all tests use one server."""
    compiled: LRUCache[Any, Any] = LRUCache(_STATEMENTS)

    def share(connection: Connection) -> None:
        connection.engine._compiled_cache = compiled

    event.listen(Engine, "engine_connect", share)
    setattr(PGDialect_asyncpg, "__eq__", lambda one, other: type(one) is type(other))  # noqa: B010
    setattr(PGDialect_asyncpg, "__hash__", lambda one: hash(type(one)))  # noqa: B010


def share_types() -> None:
    """Gives all connections the arrays and other built-in types that one has asked for."""
    ask = asyncpg.Connection._introspect_types
    known: dict[frozenset[int], Any] = {}

    async def ask_once(connection: Any, oids: set[int], seconds: float | None) -> Any:
        if max(oids) >= _FIRST_ASSIGNED_OID:
            return await ask(connection, oids, seconds)
        key = frozenset(oids)
        if key not in known:
            known[key] = await ask(connection, oids, seconds)
        return known[key]

    setattr(asyncpg.Connection, "_introspect_types", ask_once)  # noqa: B010
