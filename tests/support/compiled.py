"""Compiles each statement once a worker, though each test has engines of its own."""

from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache

_STATEMENTS = 5000


def share_compiled_statements() -> None:
    """Gives all engines one cache, in which dialects count as equal: all tests use one server."""
    compiled: LRUCache[Any, Any] = LRUCache(_STATEMENTS)

    def share(connection: Connection) -> None:
        connection.engine._compiled_cache = compiled

    event.listen(Engine, "engine_connect", share)
    setattr(PGDialect_asyncpg, "__eq__", lambda one, other: type(one) is type(other))  # noqa: B010
    setattr(PGDialect_asyncpg, "__hash__", lambda one: hash(type(one)))  # noqa: B010
