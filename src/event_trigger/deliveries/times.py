"""Finds the ids of deliveries by the time of their events, without an index of the time.

Firing would write to such an index. Both grow together: a delivery gets its id when it is stored,
in the transaction of its event.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.keyset import IdRange

_LONGEST_TRANSACTION = timedelta(minutes=5)  # statements end after 30 s, idle transactions after 5


class _Place(NamedTuple):
    """The id of a delivery, and the time of its event."""

    id: int
    triggered_at: datetime


@dataclass(frozen=True)
class DeliveryTimes:
    """The deliveries of one shard."""

    session: AsyncSession
    shard: int

    async def ids_between(self, since: datetime | None, until: datetime | None) -> IdRange:
        """Returns ids among which are all deliveries of events in `[since, until)`.

        Each bound takes a probe of the primary key for each bit of the number of ids. In a cluster
        of Citus, whose servers count ids apart, it returns all ids.
        """
        first = None if await is_in_cluster(self.session) else await self._probe(_FIRST)
        last = None if first is None else await self._probe(_LAST)
        if first is None or last is None:
            return IdRange()
        oldest, newest = first.id, last.id
        if since is not None:
            oldest = await self._search(since - _LONGEST_TRANSACTION, first.id, last.id)
        if until is not None:
            newest = await self._search(until + _LONGEST_TRANSACTION, first.id, last.id)
        return IdRange(oldest, newest)

    async def _search(self, instant: datetime, low: int, high: int) -> int:
        """Returns the first id whose event is not before the instant, or `high` if all are."""
        while low < high:
            middle = (low + high) // 2
            found = await self._probe(_FIRST, middle)
            if found is None or found.triggered_at >= instant:
                high = middle
            else:
                low = found.id + 1
        return low

    async def _probe(self, statement: TextClause, at: int = 0) -> _Place | None:
        rows = await self.session.execute(statement, {"shard": self.shard, "at": at})
        found = rows.one_or_none()
        return None if found is None else _Place(*found)


_PROBE = "SELECT id, triggered_at FROM deliveries WHERE shard = :shard AND id >= :at"
_FIRST, _LAST = text(f"{_PROBE} ORDER BY id LIMIT 1"), text(f"{_PROBE} ORDER BY id DESC LIMIT 1")
