"""Tells which requests are answered by statements straight on a connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

# at any time, credentials are read again, events announced, and due triggers and deliveries listed
_BEHIND_REQUESTS = (
    *("FROM logins", "FROM api_keys", "pg_notify"),
    *("AS every (shard)", "WITH RECURSIVE queued"),
)


@contextmanager
def plain_statements() -> Iterator[list[str]]:
    """Collects the statements that run without a session of SQLAlchemy, and answer requests."""
    found: list[str] = []

    def look(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if connection is None and not any(one in statement for one in _BEHIND_REQUESTS):
            found.append(statement)

    event.listen(Engine, "before_cursor_execute", look)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", look)
