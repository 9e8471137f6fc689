"""Builds the queries of trigger lists that are sorted by a name or an instant, for one project.

Few triggers are read by an index of their filters and sorted. More are read along an index of the
order, and filters are compared row by row; those without a value come last.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import TextClause, text

from event_trigger.db.keyset import (
    ids_after,
    ids_before,
    index_range,
)
from event_trigger.db.listed_tables import ListedTable, columns_read, page_of
from event_trigger.models import Trigger
from event_trigger.triggers.filters import (
    IS_FAILING,
    IS_SILENT,
    TriggerFilter,
    conditions_of,
    has_part,
    kinds_of,
    listed_triggers,
    of_kind,
)
from event_trigger.triggers.schedule.heartbeat import HeartbeatStatus

MOST_SORTED = 2_000  # triggers
_MOST_BUILT = 200  # combinations of filters, an order and a view
_MOST_READ = 10 * MOST_SORTED  # of few triggers: as many may have been added since the count
_ONE_OWNER = "shard = :shard AND owner_id = :owner_id"
_BY_DESTINATION = "(SELECT *, trigger_id AS id FROM trigger_destinations) AS named"
_BY_TAG = "(SELECT *, trigger_id AS id FROM trigger_tags) AS tagged"
_BY_KEYS = (
    "trigger_sort_keys AS keys JOIN triggers ON triggers.shard = keys.shard"
    " AND triggers.id = keys.trigger_id AND triggers.owner_id = keys.owner_id"
)
_PLANNED = ("'active'", "'scheduled'")  # all of these have a next instant
_MAY_BE_PLANNED = {_PLANNED, ("'active'", "'heartbeat'")}  # and no others


class TriggerSort(StrEnum):
    """The order of a list of triggers; `-` is descending."""

    NEWEST = "-id"
    OLDEST = "id"
    NEXT = "next_fire_at"
    NEXT_LAST = "-next_fire_at"
    FIRED = "last_fired_at"
    FIRED_LAST = "-last_fired_at"
    NAME = "name"
    NAME_LAST = "-name"

    @property
    def column(self) -> str:
        return self.removeprefix("-")

    @property
    def is_by_id(self) -> bool:
        return self.column == "id"

    @property
    def ascending(self) -> bool:
        return not self.startswith("-")


class SortPosition(NamedTuple):
    """The place of a trigger in a sorted list: the value that it is sorted by, and its id."""

    value: datetime | str | None
    id: int


class _Order(NamedTuple):
    """An order as SQL.

    `value` is computed from the trigger's row. `source` has the index, with `walked` and `id` as
    its last columns and `owned` as the table of the first ones. `type` is that of the value.
    """

    value: str
    type: str
    source: str
    owned: str
    walked: str
    id: str


_ORDERS = {
    "next_fire_at": _Order(
        *("next_fire_at", "timestamptz", "triggers", "triggers", "next_fire_at", "id")
    ),
    "last_fired_at": _Order(
        *("last_fired_at", "timestamptz", _BY_KEYS, "keys"),
        *("keys.last_fired_at", "keys.trigger_id"),
    ),
    "name": _Order(
        *('lower(name) COLLATE "C"', "text", _BY_KEYS, "keys"),
        *("keys.sort_name", "keys.trigger_id"),
    ),
}


class Candidates(NamedTuple):
    """Rows of a table among which are all triggers that a filter selects."""

    table: str
    condition: str
    is_of_triggers: bool = True

    @property
    def counting(self) -> str:
        """Counts the rows, up to `:most`."""
        found = f"SELECT FROM {self.table} WHERE {_ONE_OWNER} AND {self.condition} LIMIT :most"
        return f"SELECT count(*) FROM ({found}) AS few"  # noqa: S608

    @property
    def triggers(self) -> str:
        found = f"FROM {self.table} WHERE {_ONE_OWNER} AND {self.condition} LIMIT {_MOST_READ}"
        if self.is_of_triggers:
            return f"(SELECT * {found}) AS triggers"
        joined = f"(SELECT shard, owner_id, id {found}) AS found JOIN triggers"
        return (
            f"(SELECT triggers.* FROM {joined} USING (shard, owner_id, id)"  # noqa: S608
            f" LIMIT {_MOST_READ}) AS triggers"
        )


def candidates(wanted: TriggerFilter) -> Iterator[Candidates]:
    """Yields the rows that an index finds by some of the filters, the likely fewest first."""
    if wanted.key is not None:
        yield Candidates("triggers", "key = :key")
    if wanted.ids is not None:
        yield Candidates("triggers", "id = ANY (CAST(:ids AS bigint[]))")
    if wanted.failing:
        yield Candidates("triggers", IS_FAILING)
    if wanted.heartbeat_status is HeartbeatStatus.SILENT:
        yield Candidates("triggers", IS_SILENT)
    if wanted.destination_id is not None:
        of_one = "destination_id = CAST(:destination_id AS bigint)"
        yield Candidates(_BY_DESTINATION, of_one, is_of_triggers=False)
    for number in range(len(wanted.tags)):
        yield Candidates(_BY_TAG, f"tag = CAST(:tag_{number} AS text)", is_of_triggers=False)
    statuses, types = ({one[place] for one in kinds_of(wanted)} for place in (0, 1))
    kinds = f"status IN ({', '.join(sorted(statuses))}) AND type IN ({', '.join(sorted(types))})"
    yield Candidates("triggers", kinds)


@dataclass(frozen=True, slots=True)
class SortedQuery:
    """The query of a page of triggers, which follows the position `after`."""

    wanted: TriggerFilter
    sort: TriggerSort
    after: SortPosition | None
    summary: bool

    @property
    def values(self) -> dict[str, Any]:
        """The values of all parameters but the owner and the number of rows, `:most`."""
        _, values = conditions_of(self.wanted)
        values |= {f"tag_{number}": tag for number, tag in enumerate(self.wanted.tags)}
        if self.after is not None:
            values |= {"value": self.after.value, "after": self.after.id}
        last = self.after.id if self.after is not None and self.after.value is None else None
        within = ids_after(last) if self.sort.ascending else ids_before(last)
        return values | within.values

    @property
    def shape(self) -> "SortedQuery":
        """Returns the query with values that stand for any: it has the same statements."""
        after = self.after
        if after is not None:
            after = SortPosition(None if after.value is None else "", 0)
        return replace(self, wanted=self.wanted.shape, after=after)

    def of_few(self, few: Candidates) -> str:
        order = _ORDERS[self.sort.column]
        by = self._ordered(order.value, "triggers.id", nulls=" NULLS LAST")
        conditions = self._after(order.value, "triggers.id", or_null=True)
        return self._page([self._select(few.triggers, order.value, conditions, by)])

    def along_index(self) -> Iterator[str]:
        """Yields the query of rows that have a value, if there can be any, and that of the rest."""
        order = _ORDERS[self.sort.column]
        by, owned = self._ordered(order.walked, order.id), self._owned(order)
        is_of_the_rest = self.after is not None and self.after.value is None
        after = self._after(order.walked, order.id)
        can_be_planned = not _MAY_BE_PLANNED.isdisjoint(kinds_of(self.wanted))
        if not is_of_the_rest and (order.owned != "triggers" or can_be_planned):
            conditions = [owned, f"{order.walked} IS NOT NULL", *after]
            yield self._page([self._select(order.source, order.walked, conditions, by)])
        missing = f"{order.walked} IS NULL"
        if order.owned == "triggers":
            yield self._page(self._unplanned(missing))
        else:
            conditions = [owned, missing, *(after if is_of_the_rest else ())]
            yield self._page([self._select(order.source, order.walked, conditions, by)])

    def _owned(self, order: _Order) -> str:
        """Selects the project's rows of the index; names are compared before triggers are read."""
        owned = f"{order.owned}.shard = :shard AND {order.owned}.owner_id = :owner_id"
        if self.wanted.q is None or order.owned == "triggers":
            return owned
        return f"{owned} AND {has_part('keys.sort_name')}"

    def _unplanned(self, missing: str) -> Iterator[str]:
        """Selects triggers without a next instant, of each kind but active ones with a schedule."""
        ranges = [
            index_range(owner_id=":owner_id", status=one, type=kind)
            for one, kind in kinds_of(self.wanted)
            if (one, kind) != _PLANNED
        ]
        by = self._ordered("owner_id", "status", "type", "id")
        for one in ranges or ["false"]:
            yield self._select("triggers", "next_fire_at", ["shard = :shard", one, missing], by)

    def _select(self, source: str, value: str, conditions: Iterable[str], by: str) -> str:
        filters, _ = conditions_of(self.wanted)
        where = " AND ".join((*conditions, *filters, *of_kind(self.wanted))) or "true"
        columns = ", ".join(f"triggers.{one}" for one in columns_read(self._listed))
        return (
            f"SELECT {columns}, {value} AS value"  # noqa: S608
            f" FROM {source} WHERE {where} ORDER BY {by} LIMIT :most"
        )

    def _page(self, selects: Iterable[str]) -> str:
        """Merges the rows of several selects; after its size, each row has its value."""
        return page_of(self._listed, " UNION ALL ".join(f"({one})" for one in selects))

    @property
    def _listed(self) -> ListedTable[Trigger]:
        order = self._ordered("value", "id", nulls=" NULLS LAST")
        return replace(listed_triggers(order, summary=self.summary), beside="value")

    def _after(self, value: str, row_id: str, *, or_null: bool = False) -> list[str]:
        if self.after is None:
            return []
        sign = ">" if self.sort.ascending else "<"
        if self.after.value is None:
            return [f"{value} IS NULL", f"{row_id} {sign} CAST(:after AS bigint)"]
        kind = _ORDERS[self.sort.column].type
        place = f"({value}, {row_id}) {sign} (CAST(:value AS {kind}), CAST(:after AS bigint))"
        return [f"({place} OR {value} IS NULL)" if or_null else place]

    def _ordered(self, *columns: str, nulls: str = "") -> str:
        direction = "ASC" if self.sort.ascending else "DESC"
        return ", ".join(f"{one} {direction}{nulls}" for one in columns)


@lru_cache(_MOST_BUILT)
def counts_of(shape: TriggerFilter) -> Sequence[tuple[Candidates, TextClause]]:
    """Builds the statements that count the candidates of a filter."""
    return [(one, text(one.counting)) for one in candidates(shape)]


@lru_cache(_MOST_BUILT)
def pages_of(shape: SortedQuery, few: Candidates | None) -> Sequence[TextClause]:
    """Builds the statements of a page of few candidates, or along an index for None."""
    return [*map(text, shape.along_index() if few is None else [shape.of_few(few)])]
