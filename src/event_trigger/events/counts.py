"""Counts events by trigger, from stored counts where there are any and from rows elsewhere.

A partition covers an hour by default. An open one is counted in 12 slots; a closed one has final
counts; six closed ones form a block with sums.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum, auto
from itertools import groupby
from typing import Any, NamedTuple, assert_never

from sqlalchemy import TextClause, text

from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.events.filters import EventFilter
from event_trigger.events.partitions import Partition
from event_trigger.events.source import SourceKind
from event_trigger.models import EVERY_SHARD, NOT_OF_DELETED_PROJECTS, EventType, shard_of
from event_trigger.models.event import COUNTED_HERE

# Statements after this one are planned for their values: a generic plan takes ten times as long.
_PARTITIONS = """
    SELECT starts_at, ends_at, is_closed, below, is_counted_whole, is_in_block
    FROM set_config('plan_cache_mode', 'force_custom_plan', true) AS planned,
        set_config('enable_seqscan', 'off', true) AS scanned,
        set_config('max_parallel_workers_per_gather', '0', true) AS alone,
        (
            SELECT starts_at, ends_at, closed_at IS NOT NULL AS is_closed,
                CASE WHEN {counted_here} THEN counted_below END AS below,
                coalesce(counted_at >= ends_at, false) AS is_counted_whole,
                coalesce(
                    block_starts_at >= :start AND max(ends_at) OVER block <= :end
                        AND min(starts_at) OVER block = block_starts_at,
                    false
                ) AS is_in_block
            FROM event_partitions
            WINDOW block AS (PARTITION BY block_starts_at)
        ) AS partitions
    WHERE ends_at > :start AND starts_at < :end AND (is_closed OR below IS NOT NULL)
    ORDER BY starts_at
"""
_LIST_PARTITIONS = text(_PARTITIONS.format(counted_here=COUNTED_HERE))
# plain SQL: SQLAlchemy takes as long to build so many parts as PostgreSQL to run them
_SUM = """
    SELECT trigger_id, CAST(sum(fired) AS bigint) AS fired
    FROM ({parts}) AS counted (trigger_id, fired)
    GROUP BY trigger_id
    ORDER BY trigger_id
"""
_EVENT_TYPES = ", ".join(f"'{one}'" for one in EventType)
# the indexes have the kind before the time, and are used only if the kind is given
_OF_ANY_KIND = f"type IN ({_EVENT_TYPES}) AND is_test IN (false, true) AND id > 0"

# without the type, the index of sources has all that is read
_OF_ANY_KIND_OF_SOURCE = "is_test IN (false, true)"
_EVER = datetime.max.replace(tzinfo=UTC)

Bounds = tuple[datetime, datetime]  # half-open


class CountedPartition(NamedTuple):
    """A partition, and how far it is counted: as closed, below a transaction, or not at all.

    `is_in_block` tells whether it is part of a block that lies wholly in the window.
    """

    starts_at: datetime
    ends_at: datetime
    is_closed: bool = False
    counted_below: int | None = None
    is_counted_whole: bool = False
    is_in_block: bool = False


async def count_by_trigger(session: ReadSession, wanted: EventFilter) -> dict[int, int]:
    """Returns the number of selected events by trigger id, in the order of the ids.

    1. List the partitions of the window, and how far each is counted.
    2. Add the counts of blocks and closed partitions that lie wholly in the window.
    3. Add the slots of open partitions, and the rows that were stored since they were counted.
    4. Count the rows of all other parts, such as the cut slot at the start of the window.

    The session needs a transaction, since the way of planning is set for that.
    Stored counts do not tell sources apart: those of calls are counted from rows alone, and so are
    heartbeats of a schedule, apart from its scheduled events.
    A sweep at the same time only adds counts of later transactions, which are left out here.
    """
    if wanted.source is not SourceKind.SCHEDULE or wanted.type is not None:
        return await _count(session, wanted)
    counted = Counter[int]()
    for one in wanted.types:
        counted.update(await _count(session, replace(wanted, type=one)))
    return dict(sorted(counted.items()))


async def _count(session: ReadSession, wanted: EventFilter) -> dict[int, int]:
    start, end = wanted.window.start, wanted.window.end or _EVER
    if start >= end or wanted.selects_none:
        return {}
    rows = await session.execute(_LIST_PARTITIONS, {"start": start, "end": end})
    counted_by = map(CountedPartition._make, rows if wanted.stored_source is None else ())
    parts = _Parts(_conditions(wanted), _values(wanted), (start, end), _any_kind(wanted))
    parts.add_all(_without_gaps(counted_by, (start, end)))
    options = {} if wanted.owner_id is not None else {ACROSS_SHARDS: "admin reads"}
    counted = await session.execute(parts.sum, parts.values, execution_options=options)
    return dict(map(tuple, counted))


def _conditions(wanted: EventFilter) -> str:
    """Returns a filter's conditions but its window.

    It lists every shard if no owner is given, since most indexes begin with the shard.
    """
    conditions = ["shard = :shard"]
    if wanted.owner_id is None:
        conditions = [EVERY_SHARD, NOT_OF_DELETED_PROJECTS]
    conditions += [f"{name} = :{name}" for name in _compared(wanted)]
    if wanted.trigger_ids is not None:
        conditions.append("trigger_id = ANY (CAST(:trigger_ids AS bigint[]))")
    return " AND ".join(conditions)


def _compared(wanted: EventFilter) -> dict[str, Any]:
    """Returns the values of columns that a filter names; a stored source implies the type."""
    is_one_type = wanted.stored_source is None and len(wanted.types) == 1
    compared = {
        "owner_id": wanted.owner_id,
        "type": wanted.types[0] if is_one_type else None,
        "is_test": wanted.is_test,
        "source_kind": wanted.stored_source,
    }
    return {name: value for name, value in compared.items() if value is not None}


def _any_kind(wanted: EventFilter) -> str:
    """Returns a condition that all events meet, by which the indexes of their kinds are used."""
    has_index = wanted.stored_source is not None and wanted.owner_id is not None
    return _OF_ANY_KIND_OF_SOURCE if has_index else _OF_ANY_KIND


def _values(wanted: EventFilter) -> dict[str, Any]:
    values = _compared(wanted)
    if wanted.owner_id is not None:
        values["shard"] = shard_of(wanted.owner_id)
    if wanted.trigger_ids is not None:
        values["trigger_ids"] = sorted(wanted.trigger_ids)
    return values


def _without_gaps(
    partitions: Iterable[CountedPartition], window: Bounds
) -> Iterator[CountedPartition]:
    """Fills the gaps between counted partitions, and around them, with uncounted ones.

    There is no gap before a closed one: older partitions are closed too, or were purged.
    """
    at, end = window
    for one in partitions:
        if at < one.starts_at and not one.is_closed:
            yield CountedPartition(at, one.starts_at)
        yield one
        at = one.ends_at
    if at < end:
        yield CountedPartition(at, end)


class _Source(Enum):
    """The table that a partition's events are counted from."""

    BLOCKS = auto()
    CLOSED = auto()
    SLOTS = auto()
    ROWS = auto()


@dataclass(frozen=True, slots=True)
class _Parts:
    """Counts of parts of the window, as SQL, with the values of all their parameters."""

    conditions: str
    values: dict[str, Any]
    window: Bounds
    any_kind: str
    counts: list[str] = field(default_factory=list)

    @property
    def sum(self) -> TextClause:
        return text(_SUM.format(parts=" UNION ALL ".join(self.counts)))

    def add_all(self, partitions: Iterable[CountedPartition]) -> None:
        """Adds a part for neighbours of one source, and one for each partition with slots."""
        for (source, _), group in groupby(partitions, self._source_of):
            first, *others = group
            last = others[-1] if others else first
            bounds = max(first.starts_at, self.window[0]), min(last.ends_at, self.window[1])
            match source:
                case _Source.BLOCKS:
                    self._add("trigger_id, count FROM block_counts", "starts_at", bounds)
                case _Source.CLOSED:
                    self._add("trigger_id, count FROM event_counts", "partition_starts_at", bounds)
                case _Source.SLOTS:
                    self._add_slots(first, bounds)
                case _Source.ROWS:
                    self._add_rows(bounds, self.any_kind)
                case _:
                    assert_never(source)

    def _source_of(self, one: CountedPartition) -> tuple[_Source, datetime | None]:
        if one.is_in_block:
            return _Source.BLOCKS, None
        if one.is_closed and self.window[0] <= one.starts_at and one.ends_at <= self.window[1]:
            return _Source.CLOSED, None
        if one.counted_below is None:
            return _Source.ROWS, None
        return _Source.SLOTS, one.starts_at

    def _add_slots(self, one: CountedPartition, bounds: Bounds) -> None:
        """Adds the slots that lie wholly in the bounds, and the rows that they do not count.

        These are the rows stored since, and the older rows of the cut slots at both ends.
        """
        slots = Partition(one.starts_at, one.ends_at).slots_within(*bounds)
        if slots is None:
            self._add_rows(bounds, self.any_kind)
            return
        below = self._value(one.counted_below)
        is_whole = one.is_counted_whole and bounds == (one.starts_at, one.ends_at)
        counted = f"is_whole = {str(is_whole).lower()}", f"below <= {below}"
        self._add("trigger_id, count FROM slot_counts", "starts_at", slots, *counted)
        self._add_rows(bounds, f"xid >= {below} AND xid > 0")
        for cut in ((bounds[0], slots[0]), (slots[1], bounds[1])):
            if cut[0] < cut[1]:
                self._add_rows(cut, self.any_kind, f"xid < {below}")

    def _add_rows(self, bounds: Bounds, *conditions: str) -> None:
        """Adds a count of rows, grouped in each node of a cluster: only sums are sent on."""
        rows = "trigger_id, count(*) FROM events"
        self._add(rows, "triggered_at", bounds, *conditions, then=" GROUP BY trigger_id")

    def _add(
        self, source: str, instant: str, bounds: Bounds, *conditions: str, then: str = ""
    ) -> None:
        start, end = map(self._value, bounds)
        within = f"{instant} >= {start}", f"{instant} < {end}"
        wheres = " AND ".join((self.conditions, *within, *conditions))
        self.counts.append(f"SELECT {source} WHERE {wheres}{then}")

    def _value(self, value: Any) -> str:
        """Adds the value of a parameter, and gives the parameter's name in SQL."""
        name = f"value_{len(self.values)}"
        self.values[name] = value
        return f":{name}"
