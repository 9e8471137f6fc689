"""Keeps the prepared statements of a connection, and prepares them again as their tables grow.

PostgreSQL keeps the plan of a statement until it has new statistics, up to a minute after a table
has grown. A plan that was made for an empty table may read every row of a large one.
"""

from dataclasses import dataclass
from typing import Any

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

MOST_PREPARED = 200  # statements of a connection
FIRST_USES, MORE_USES = 32, 8  # so often a first plan is used; each later one 8 times as often


class Row(asyncpg.Record):  # type: ignore[misc]
    """A row of a statement, whose columns are attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(slots=True)
class _Kept:
    statement: PreparedStatement
    uses: int
    left: int


class PreparedStatements:
    """The statements of one connection, by their SQL; the oldest of more than 200 is dropped."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def find(self, sql: str) -> PreparedStatement | None:
        """Returns the statement, unless it is to be prepared: for the first time, or again."""
        kept = self._kept.get(sql)
        if kept is None or not kept.left:
            return None
        kept.left -= 1
        return kept.statement

    async def prepare(self, driver: asyncpg.Connection, sql: str) -> PreparedStatement:
        before = self._kept.pop(sql, None)
        if len(self._kept) >= MOST_PREPARED:
            del self._kept[next(iter(self._kept))]
        statement = await driver.prepare(sql, record_class=Row)
        uses = FIRST_USES if before is None else before.uses * MORE_USES
        self._kept[sql] = _Kept(statement, uses, uses - 1)
        return statement

    def drop_all(self) -> None:
        self._kept.clear()
