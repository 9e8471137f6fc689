"""Counts each trigger's events: what was counted before, and the rows of the rest."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    cast,
    func,
    literal_column,
    select,
    text,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.engine import ACROSS_SHARDS
from event_trigger.events.partitions import Partition
from event_trigger.events.selection import EventFilter, narrow
from event_trigger.models import EVERY_SHARD, Event, EventCount, EventType, SlotCount
from event_trigger.models.event import COUNTED_HERE

# The rest of the transaction is planned for its instants: a plan for any counts ten times as long.
_PARTITIONS = """
    SELECT starts_at, ends_at, closed_at IS NOT NULL,
        CASE WHEN {counted_here} THEN counted_below END,
        coalesce(counted_at >= ends_at, false)
    FROM set_config('plan_cache_mode', 'force_custom_plan', true) AS planned,
        set_config('enable_seqscan', 'off', true) AS scanned,
        set_config('max_parallel_workers_per_gather', '0', true) AS alone,
        event_partitions
    WHERE ends_at > :start AND starts_at < :end
        AND (closed_at IS NOT NULL OR counted_below IS NOT NULL)
    ORDER BY starts_at
"""
_LIST_PARTITIONS = text(_PARTITIONS.format(counted_here=COUNTED_HERE))
_EVERY_SHARD: ColumnElement[bool] = literal_column(EVERY_SHARD)
_OF_ANY_KIND = (  # so that the indexes are of use, which have the kind before the time
    Event.type.in_([literal_column(f"'{one}'") for one in EventType]),
    Event.is_test.in_([literal_column("false"), literal_column("true")]),
    Event.id > literal_column("0"),
)

_EVER = datetime.max.replace(tzinfo=UTC)

Counting = Select[int, int]
Stretch = tuple[datetime, datetime]


class Counted(NamedTuple):
    """A partition, and how far it is counted: to the end, below a transaction, or not at all."""

    starts_at: datetime
    ends_at: datetime
    is_closed: bool = False
    below: int | None = None
    is_counted_whole: bool = False


async def count_by_trigger(session: AsyncSession, wanted: EventFilter) -> Sequence[Row[int, int]]:
    """What is counted on or closed meanwhile only adds rows, which this leaves out."""
    start, end = wanted.window.start, wanted.window.end or _EVER
    if start >= end:
        return ()
    rows = await session.execute(_LIST_PARTITIONS, {"start": start, "end": end})
    partitions = _without_gaps((Counted(*row) for row in rows), (start, end))
    parts = _parts(partitions, (start, end), wanted)
    both = union_all(*parts).subquery()
    statement = (
        select(both.c.trigger_id, cast(func.sum(both.c.fired), BigInteger).label("fired"))
        .group_by(both.c.trigger_id)
        .order_by(both.c.trigger_id)
    )
    options = {} if wanted.owner_id is not None else {ACROSS_SHARDS: "admin reads"}
    return (await session.execute(statement, execution_options=options)).all()


def _without_gaps(partitions: Iterable[Counted], stretch: Stretch) -> Iterator[Counted]:
    """With what is not counted between them, and around them within the stretch."""
    at, end = stretch
    for one in partitions:
        if at < one.starts_at:
            yield Counted(at, one.starts_at)
        yield one
        at = one.ends_at
    if at < end:
        yield Counted(at, end)


def _parts(
    partitions: Iterable[Counted], stretch: Stretch, wanted: EventFilter
) -> Iterator[Counting]:
    """Closed partitions are one stretch, as closing leaves none out."""

    def source(one: Counted) -> object:
        if one.is_closed and stretch[0] <= one.starts_at and one.ends_at <= stretch[1]:
            return EventCount
        return Event if one.below is None else one

    for found, run in groupby(partitions, source):
        several = list(run)
        part = max(several[0].starts_at, stretch[0]), min(several[-1].ends_at, stretch[1])
        if isinstance(found, Counted):
            yield from _parts_of(found, part, wanted)
        elif found is EventCount:
            yield _of_closed(part, wanted)
        else:
            yield _of_rows(wanted, *_at(part), *_OF_ANY_KIND)


def _parts_of(one: Counted, stretch: Stretch, wanted: EventFilter) -> Iterator[Counting]:
    """Of a partition: its whole slots, what was stored since, and what was before in cut slots."""
    slots = Partition(one.starts_at, one.ends_at).slots_within(*stretch)
    if slots is None:
        yield _of_rows(wanted, *_at(stretch), *_OF_ANY_KIND)
        return
    is_whole = one.is_counted_whole and stretch == (one.starts_at, one.ends_at)
    yield _of_slots(slots, wanted, SlotCount.below <= one.below, SlotCount.is_whole.is_(is_whole))
    since = Event.xid >= one.below, Event.xid > literal_column("0")
    yield _of_rows(wanted, *_at(stretch), *since)
    for cut in ((stretch[0], slots[0]), (slots[1], stretch[1])):
        if cut[0] < cut[1]:
            yield _of_rows(wanted, *_at(cut), *_OF_ANY_KIND, Event.xid < one.below)


def _of_closed(stretch: Stretch, wanted: EventFilter) -> Counting:
    statement = select(EventCount.trigger_id, EventCount.count.label("fired")).where(
        EventCount.partition_starts_at >= stretch[0], EventCount.partition_starts_at < stretch[1]
    )
    return _narrow(statement, EventCount, wanted)


def _of_slots(stretch: Stretch, wanted: EventFilter, *conditions: ColumnElement[bool]) -> Counting:
    statement = select(SlotCount.trigger_id, SlotCount.count.label("fired")).where(
        SlotCount.starts_at >= stretch[0],
        SlotCount.starts_at < stretch[1],
        *conditions,
    )
    return _narrow(statement, SlotCount, wanted)


def _of_rows(wanted: EventFilter, *conditions: ColumnElement[bool]) -> Counting:
    statement = select(Event.trigger_id, func.count().label("fired")).where(*conditions)
    return _narrow(statement, Event, wanted).group_by(Event.trigger_id)


def _at(stretch: Stretch) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return Event.triggered_at >= stretch[0], Event.triggered_at < stretch[1]


def _narrow(
    statement: Counting, table: type[Event | EventCount | SlotCount], wanted: EventFilter
) -> Counting:
    """The shards are said, as most indexes begin with them."""
    if wanted.owner_id is None:
        statement = statement.where(_EVERY_SHARD)
    return narrow(statement, table, wanted)
