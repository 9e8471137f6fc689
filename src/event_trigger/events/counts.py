"""Counts each trigger's events: what was counted before, and the rows of the rest."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.events.filters import EventFilter
from event_trigger.events.partitions import Partition
from event_trigger.models import EVERY_SHARD, EventType, shard_of
from event_trigger.models.event import COUNTED_HERE

# The rest of the transaction is planned for its instants: a plan for any counts ten times as long.
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
# plain SQL: as many parts as there are cost SQLAlchemy as much time as PostgreSQL
_SUM = """
    SELECT trigger_id, CAST(sum(fired) AS bigint) AS fired
    FROM ({parts}) AS counted (trigger_id, fired)
    GROUP BY trigger_id
    ORDER BY trigger_id
"""
_KINDS = ", ".join(f"'{one}'" for one in EventType)
# so that the indexes are of use, which have the kind before the time
_OF_ANY_KIND = f"type IN ({_KINDS}) AND is_test IN (false, true) AND id > 0"

_COMPARED = ("owner_id", "trigger_id", "type", "is_test")
_EVER = datetime.max.replace(tzinfo=UTC)

Stretch = tuple[datetime, datetime]


class Counted(NamedTuple):
    """A partition, and how far it is counted: to the end, below a transaction, or not at all.

    `is_in_block` says that it is one of a block that is wanted as a whole.
    """

    starts_at: datetime
    ends_at: datetime
    is_closed: bool = False
    below: int | None = None
    is_counted_whole: bool = False
    is_in_block: bool = False


async def count_by_trigger(session: AsyncSession, wanted: EventFilter) -> Sequence[Row[int, int]]:
    """What is counted on or closed meanwhile only adds rows, which this leaves out."""
    start, end = wanted.window.start, wanted.window.end or _EVER
    if start >= end:
        return ()
    rows = await session.execute(_LIST_PARTITIONS, {"start": start, "end": end})
    partitions = _without_gaps((Counted(*row) for row in rows), (start, end))
    parts = _Parts(_whose(wanted), _values(wanted))
    parts.add_all(partitions, (start, end))
    options = {} if wanted.owner_id is not None else {ACROSS_SHARDS: "admin reads"}
    counted = await session.execute(parts.sum, parts.values, execution_options=options)
    return counted.all()


def _whose(wanted: EventFilter) -> str:
    """All of the filter but the window; the shards are said, as most indexes begin with them."""
    conditions = [EVERY_SHARD if wanted.owner_id is None else "shard = :shard"]
    conditions += [f"{name} = :{name}" for name in _COMPARED if getattr(wanted, name) is not None]
    if wanted.trigger_ids is not None:
        conditions.append("trigger_id = ANY (CAST(:trigger_ids AS bigint[]))")
    return " AND ".join(conditions)


def _values(wanted: EventFilter) -> dict[str, Any]:
    values = {name: one for name in _COMPARED if (one := getattr(wanted, name)) is not None}
    if wanted.owner_id is not None:
        values["shard"] = shard_of(wanted.owner_id)
    if wanted.trigger_ids is not None:
        values["trigger_ids"] = sorted(wanted.trigger_ids)
    return values


def _without_gaps(partitions: Iterable[Counted], stretch: Stretch) -> Iterator[Counted]:
    """With what is not counted between them, and around them within the stretch.

    Nothing is before a closed one but others that are closed, or were purged.
    """
    at, end = stretch
    for one in partitions:
        if at < one.starts_at and not one.is_closed:
            yield Counted(at, one.starts_at)
        yield one
        at = one.ends_at
    if at < end:
        yield Counted(at, end)


@dataclass(frozen=True, slots=True)
class _Parts:
    """Counts of parts of the log, in SQL, and the values of all their parameters."""

    whose: str
    values: dict[str, Any]
    counts: list[str] = field(default_factory=list)

    @property
    def sum(self) -> TextClause:
        return text(_SUM.format(parts=" UNION ALL ".join(self.counts)))

    def add_all(self, partitions: Iterable[Counted], stretch: Stretch) -> None:
        def source(one: Counted) -> object:
            if one.is_in_block:
                return "blocks"
            if one.is_closed and stretch[0] <= one.starts_at and one.ends_at <= stretch[1]:
                return "closed"
            return "rows" if one.below is None else one

        for found, run in groupby(partitions, source):
            several = list(run)
            part = max(several[0].starts_at, stretch[0]), min(several[-1].ends_at, stretch[1])
            if isinstance(found, Counted):
                self._add_counted(found, part)
            elif found == "blocks":
                self._add("trigger_id, count FROM block_counts", "starts_at", part)
            elif found == "closed":
                self._add("trigger_id, count FROM event_counts", "partition_starts_at", part)
            else:
                self._add_rows(part, _OF_ANY_KIND)

    def _add_counted(self, one: Counted, stretch: Stretch) -> None:
        """Its whole slots, what was stored since, and what was before in cut slots."""
        slots = Partition(one.starts_at, one.ends_at).slots_within(*stretch)
        if slots is None:
            self._add_rows(stretch, _OF_ANY_KIND)
            return
        below = self._value(one.below)
        is_whole = one.is_counted_whole and stretch == (one.starts_at, one.ends_at)
        counted = f"is_whole = {str(is_whole).lower()}", f"below <= {below}"
        self._add("trigger_id, count FROM slot_counts", "starts_at", slots, *counted)
        self._add_rows(stretch, f"xid >= {below} AND xid > 0")
        for cut in ((stretch[0], slots[0]), (slots[1], stretch[1])):
            if cut[0] < cut[1]:
                self._add_rows(cut, _OF_ANY_KIND, f"xid < {below}")

    def _add_rows(self, stretch: Stretch, *conditions: str) -> None:
        """Counted where they are: in a cluster they would come to the coordinator one by one."""
        rows = "trigger_id, count(*) FROM events"
        self._add(rows, "triggered_at", stretch, *conditions, then=" GROUP BY trigger_id")

    def _add(
        self, source: str, instant: str, stretch: Stretch, *conditions: str, then: str = ""
    ) -> None:
        start, end = map(self._value, stretch)
        within = f"{instant} >= {start}", f"{instant} < {end}"
        wheres = " AND ".join((self.whose, *within, *conditions))
        self.counts.append(f"SELECT {source} WHERE {wheres}{then}")

    def _value(self, value: Any) -> str:
        name = f"value_{len(self.values)}"
        self.values[name] = value
        return f":{name}"
