"""Counts the events of each project by minute, while firing goes on."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.events.partitions import Partition
from event_trigger.models import (
    ALL_PROJECTS,
    EVERY_SHARD,
    NOT_OF_DELETED_PROJECTS,
    CountedMeasure,
    EventType,
)
from event_trigger.models.base import LARGEST_ID
from event_trigger.models.event import CURRENT_XID
from event_trigger.models.minute_count import NO_DURATION, add_to_minutes, bucket_of, minute_of

_SHORT = timedelta(minutes=1)  # a partition that is counted at once
_ACROSS = {ACROSS_SHARDS: "retention"}

# a restored dump has rows whose transaction numbers are another server's
_LIST_UNCOUNTED = text(f"""
    SELECT event_partitions.starts_at, event_partitions.ends_at,
        event_partitions.closed_at IS NOT NULL,
        CASE WHEN counted.xid % 4294967296 = CAST(CAST(counted.xmin AS text) AS bigint)
            THEN counted.below END,
        counted.counted_until,
        CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)
    FROM event_partitions LEFT JOIN minute_partitions AS counted USING (starts_at)
    WHERE event_partitions.starts_at <= now()
        AND (counted.below IS NULL OR counted.below < {LARGEST_ID})
    ORDER BY counted.starts_at IS NULL, event_partitions.starts_at DESC
""")  # noqa: S608
_LIST_GONE = text("""
    SELECT starts_at, ends_at FROM minute_partitions
    WHERE starts_at NOT IN (SELECT starts_at FROM event_partitions)
""")
_WITHIN = "triggered_at >= :starts_at AND triggered_at < :ends_at AND xid < :below"
# a partition has nothing to count yet if its first events come after all that may be counted: Citus
# needs a column in a subquery that it runs apart
_BEGIN = text(f"""
    INSERT INTO minute_partitions (starts_at, ends_at, counted_until, below, xid)
    SELECT CAST(:starts_at AS timestamptz), CAST(:ends_at AS timestamptz),
        CASE WHEN EXISTS (SELECT 1 FROM events WHERE {_WITHIN})
            THEN CAST(:starts_at AS timestamptz) ELSE CAST(:ends_at AS timestamptz) END,
        CAST(:below AS bigint), {CURRENT_XID.text}
    ON CONFLICT (starts_at) DO UPDATE SET ends_at = excluded.ends_at,
        counted_until = excluded.counted_until, below = excluded.below, xid = excluded.xid
""")  # noqa: S608
_NOTE_COUNTED = text(f"""
    UPDATE minute_partitions SET counted_until = :counted_until, below = :below,
        xid = {CURRENT_XID.text}
    WHERE starts_at = :starts_at
""")  # noqa: S608
_LAG = "extract(epoch FROM triggered_at - scheduled_for) * 1000"
_STORED = f"""
    SELECT shard, owner_id, minute, type, count(*) AS count,
        CASE WHEN is_planned THEN {bucket_of("lag")} END AS bucket,
        max(lag) FILTER (WHERE is_planned) AS longest_ms
    FROM (
        SELECT shard, owner_id, type, CAST({_LAG} AS float8) AS lag,
            GREATEST({minute_of("triggered_at")}, :partition_starts_at) AS minute,
            type IN ('{EventType.SCHEDULED}', '{EventType.HEARTBEAT}') AND NOT is_test
                AND scheduled_for IS NOT NULL AS is_planned
        FROM events WHERE {_WITHIN} {{indexed}} AND {NOT_OF_DELETED_PROJECTS}
    ) AS new
    GROUP BY shard, owner_id, minute, type, bucket
"""  # noqa: S608
_SUMS = f"""
    SELECT part.shard, part.owner_id, part.measure, minute, type, 0, part.bucket, 0,
        CAST(sum(count) AS bigint),
        CASE WHEN part.measure = '{CountedMeasure.LAG}' THEN max(longest_ms) END
    FROM ({{stored}}) AS stored
    CROSS JOIN LATERAL (
        VALUES (stored.shard, stored.owner_id, '{CountedMeasure.EVENTS}', {NO_DURATION}),
            (0, {ALL_PROJECTS}, '{CountedMeasure.EVENTS}', {NO_DURATION}),
            (stored.shard, stored.owner_id, '{CountedMeasure.LAG}', stored.bucket),
            (0, {ALL_PROJECTS}, '{CountedMeasure.LAG}', stored.bucket)
    ) AS part (shard, owner_id, measure, bucket)
    WHERE part.bucket IS NOT NULL
    GROUP BY part.shard, part.owner_id, part.measure, minute, type, part.bucket
"""  # noqa: S608


def _add(indexed: str) -> TextClause:
    return text(add_to_minutes(_SUMS.format(stored=_STORED.format(indexed=indexed))))


_ADD_ALL = _add("")
_ADD_NEW = _add(f"AND xid >= :above AND xid > 0 AND {EVERY_SHARD}")
_FORGET = text(f"""
    DELETE FROM minute_counts
    WHERE {EVERY_SHARD} AND measure IN ('{CountedMeasure.EVENTS}', '{CountedMeasure.LAG}')
        AND minute >= :starts_at AND minute < :ends_at
""")  # noqa: S608
_DELETE = text("DELETE FROM minute_partitions WHERE starts_at = :starts_at")


class Uncounted(NamedTuple):
    """A partition that may have uncounted events: those from transaction `below` on.

    `below` is None if it was never counted, or on another server. Events before `counted_until` of
    earlier transactions are counted. Transactions before `oldest_running` have ended.
    """

    starts_at: datetime
    ends_at: datetime
    is_closed: bool
    below: int | None
    counted_until: datetime | None
    oldest_running: int

    @property
    def next_slot(self) -> tuple[datetime, datetime] | None:
        """The part that is counted next; None if only events of new transactions are left."""
        if self.counted_until is None or self.counted_until >= self.ends_at:
            return None
        partition = Partition(self.starts_at, self.ends_at)
        edges = [] if self.ends_at - self.starts_at < _SHORT else partition.slots
        later = [one for one in edges if one > self.counted_until]
        return self.counted_until, min(later, default=self.ends_at)


@dataclass(frozen=True)
class EventMinutes:
    """Counts in short steps: each counts one partition's new events, or a twelfth of old ones.

    Firing writes nothing for it: new events are found by their transaction numbers. In a cluster of
    Citus, where events can appear late, a few may be missed.
    """

    session: AsyncSession

    async def list_uncounted(self) -> list[Uncounted]:
        """Lists the partitions that have begun and are not counted for good.

        Those that were never counted come last, newest first: they may take long.
        """
        return [*map(Uncounted._make, await self.session.execute(_LIST_UNCOUNTED))]

    async def count(self, one: Uncounted) -> bool:
        """Counts the next part of a partition; returns whether all of it is counted now."""
        if one.below is None:
            await self._begin(one)
            return False
        if (slot := one.next_slot) is not None:
            await self._execute(_ADD_ALL, one, slot, below=one.below)
            await self._note(one, counted_until=slot[1], below=one.below)
            return False
        below = LARGEST_ID if one.is_closed else one.oldest_running
        whole = one.starts_at, one.ends_at
        added = await self._execute(_ADD_NEW, one, whole, below=below, above=one.below)
        if added or one.is_closed:
            await self._note(one, counted_until=one.ends_at, below=below)
        return True

    async def forget_gone(self) -> None:
        """Deletes the counts of partitions that have been purged."""
        for starts_at, ends_at in (await self.session.execute(_LIST_GONE)).all():
            await self._forget(starts_at, ends_at)
            await self.session.execute(_DELETE, {"starts_at": starts_at})

    async def _begin(self, one: Uncounted) -> None:
        if one.counted_until is not None:
            await self._forget(one.starts_at, one.ends_at)
        values = {
            "starts_at": one.starts_at,
            "ends_at": one.ends_at,
            "below": one.oldest_running,
        }
        await self.session.execute(_BEGIN, values, execution_options=_ACROSS)

    async def _execute(
        self, add: TextClause, one: Uncounted, bounds: tuple[datetime, datetime], **xids: int
    ) -> bool:
        values: dict[str, Any] = {
            "partition_starts_at": one.starts_at,
            "starts_at": bounds[0],
            "ends_at": bounds[1],
            **xids,
        }
        added = await self.session.execute(add, values, execution_options=_ACROSS)
        return bool(added.rowcount)  # type: ignore[attr-defined]

    async def _note(self, one: Uncounted, *, counted_until: datetime, below: int) -> None:
        values = {"starts_at": one.starts_at, "counted_until": counted_until, "below": below}
        await self.session.execute(_NOTE_COUNTED, values)

    async def _forget(self, starts_at: datetime, ends_at: datetime) -> None:
        values = {"starts_at": starts_at, "ends_at": ends_at}
        await self.session.execute(_FORGET, values, execution_options=_ACROSS)
