"""Inserts a few rows of one shard with VALUES, in a cluster.

Citus passes such a statement on to the node of the shard, which commits it alone. The rows of a
SELECT go through the coordinator by COPY, and are committed in two phases.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import TextClause, text

from event_trigger.db.plain_session import ReadSession

MOST_ROWS = 100  # more are quicker by COPY


class FewRows:
    """The INSERT of the first rows of the parameters' arrays, of which `row` reads `{place}`."""

    def __init__(self, insert: str, row: str, ending: str = "") -> None:
        self._insert, self._row, self._ending = insert, row, ending
        self._statements: dict[int, TextClause] = {}

    def of(self, count: int) -> TextClause | None:
        """Returns the statement for `count` rows, or None if there are too many for it."""
        if count > MOST_ROWS:
            return None
        if count not in self._statements:
            rows = ", ".join(self._row.format(place=place) for place in range(1, count + 1))
            self._statements[count] = text(f"{self._insert} VALUES {rows} {self._ending}")
        return self._statements[count]

    async def insert_all(
        self, session: ReadSession, columns: Mapping[str, Sequence[Any]], **same: Any
    ) -> None:
        """Inserts rows of any number, a few in each statement; `same` are not arrays."""
        count = len(next(iter(columns.values())))
        for start in range(0, count, MOST_ROWS):
            part = {name: values[start : start + MOST_ROWS] for name, values in columns.items()}
            statement = self.of(min(MOST_ROWS, count - start))
            assert statement is not None
            await session.execute(statement, {**same, **part})
