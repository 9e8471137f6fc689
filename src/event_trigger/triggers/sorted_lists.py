"""Lists the triggers of one project in the order of a name or an instant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from event_trigger.db.keyset import Page, rows_that_fit
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.planning import use_plans_along_indexes
from event_trigger.models import shard_of
from event_trigger.triggers.filters import TriggerFilter
from event_trigger.triggers.schemas.rows import TriggerRow
from event_trigger.triggers.sorting import (
    MOST_SORTED,
    Candidates,
    SortedQuery,
    SortPosition,
    TriggerSort,
    counts_of,
    pages_of,
)

_SIZE_AT = len(TriggerRow._fields)  # after it comes the value that a row is sorted by


class SortedTrigger(NamedTuple):
    """A row of a page, and its place in the list."""

    position: SortPosition
    trigger: TriggerRow


@dataclass(frozen=True)
class SortedTriggers:
    """The triggers of one project; up to `most_sorted` are sorted, more are read along an index."""

    session: ReadSession
    owner_id: int
    most_sorted: int = MOST_SORTED

    async def list_page(
        self,
        wanted: TriggerFilter,
        sort: TriggerSort,
        *,
        after: SortPosition | None,
        limit: int,
        summary: bool = False,
    ) -> Page[SortedTrigger]:
        """Lists the triggers after a position, once it knows whether filters leave only few."""
        await use_plans_along_indexes(self.session)
        query = SortedQuery(wanted, sort, after, summary)
        found: list[Any] = []
        few = await self._find_few(query)
        for statement in pages_of(query.shape, few):
            values = self._values(query, most=limit + 1 - len(found))
            found += (await self.session.execute(statement, values)).all()
            if len(found) > limit:
                break
        fitting = rows_that_fit([one[_SIZE_AT] for one in found], limit=limit)
        page = [_sorted_trigger(one) for one in found[:fitting]]
        return Page(page, more=len(found) > fitting)

    async def _find_few(self, query: SortedQuery) -> Candidates | None:
        for one, counting in counts_of(query.wanted.shape):
            values = self._values(query, most=self.most_sorted + 1)
            count = await self.session.scalar(counting, values)
            if int(count or 0) <= self.most_sorted:
                return one
        return None

    def _values(self, query: SortedQuery, *, most: int) -> dict[str, Any]:
        owned = {"shard": shard_of(self.owner_id), "owner_id": self.owner_id}
        return query.values | owned | {"most": most}


def _sorted_trigger(row: Sequence[Any]) -> SortedTrigger:
    trigger = TriggerRow(*row[:_SIZE_AT])
    return SortedTrigger(SortPosition(row[_SIZE_AT + 1], trigger.id), trigger)
