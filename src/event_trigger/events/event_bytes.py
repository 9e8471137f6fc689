"""Reads and writes the bytes of events by project and partition."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.events.partitions import Partition
from event_trigger.models import EVERY_SHARD, shard_of
from event_trigger.models.base import LARGEST_ID
from event_trigger.models.event import CURRENT_XID

EVENT_ROW_BYTES = 100  # of one event's row, without payload, source and index entries
# for statements on the triggers of some shards, which read the array once for all of them
_HAS_NO_ROOM = """triggers.owner_id = ANY (ARRAY(
    SELECT owner_id FROM event_bytes WHERE {shards} AND reached IS NOT NULL))"""
HAS_NO_ROOM = _HAS_NO_ROOM.format(shards="shard = :shard")
HAS_NO_ROOM_IN_SHARDS = _HAS_NO_ROOM.format(shards="shard = ANY (CAST(:shards AS smallint[]))")
_SHORT = timedelta(minutes=1)  # a partition that is summed up at once
_MEASURE_LOCK = 0x6576_6274  # "evbt", an advisory lock
_ACROSS = {ACROSS_SHARDS: "retention"}

# later statements are planned for their values: a generic plan would not use the index of `xid`
_TRY_LOCK = text("""
    SELECT pg_try_advisory_xact_lock(:lock)
    FROM set_config('plan_cache_mode', 'force_custom_plan', true)
""")
# a restored dump has rows whose transaction numbers are another server's
_LIST_UNMEASURED = text(f"""
    SELECT event_partitions.starts_at, event_partitions.ends_at,
        event_partitions.closed_at IS NOT NULL,
        CASE WHEN measured.xid % 4294967296 = CAST(CAST(measured.xmin AS text) AS bigint)
            THEN measured.below END,
        measured.starts_at IS NOT NULL,
        CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)
    FROM event_partitions
    LEFT JOIN measured_partitions AS measured USING (starts_at)
    WHERE event_partitions.starts_at <= now()
        AND (measured.below IS NULL OR measured.below < {LARGEST_ID})
    ORDER BY measured.starts_at IS NOT NULL, random()
""")  # noqa: S608
_LIST_GONE = text("""
    SELECT starts_at FROM measured_partitions
    WHERE starts_at NOT IN (SELECT starts_at FROM event_partitions)
""")
# pg_column_size() reads no value that is stored out of line: the row knows its size
_SUM = f"""
    SELECT shard, owner_id, CAST(sum(
        {EVENT_ROW_BYTES} + coalesce(pg_column_size(payload), 0)
        + coalesce(pg_column_size(source), 0)) AS bigint) AS bytes
    FROM events
    WHERE triggered_at >= :starts_at AND triggered_at < :ends_at AND xid < :below
"""  # noqa: S608
_SUM_ALL = text(f"{_SUM} GROUP BY shard, owner_id")
_SUM_NEW = f"{_SUM} AND xid >= :above AND xid > 0 AND {EVERY_SHARD} GROUP BY shard, owner_id"
_GIVEN = """
    SELECT * FROM unnest(
        CAST(:shards AS smallint[]), CAST(:owner_ids AS bigint[]), CAST(:sizes AS bigint[])
    ) AS given (shard, owner_id, bytes)
"""
_ADD = """
    INSERT INTO event_bytes (shard, is_total, starts_at, owner_id, bytes)
    SELECT stored.shard, part.is_total, part.starts_at, stored.owner_id, stored.bytes
    FROM ({stored}) AS stored
    CROSS JOIN (
        VALUES (false, CAST(:starts_at AS timestamptz)), (true, CAST('-infinity' AS timestamptz))
    ) AS part (is_total, starts_at)
    ON CONFLICT (shard, is_total, starts_at, owner_id)
        DO UPDATE SET bytes = event_bytes.bytes + excluded.bytes
"""
_ADD_NEW = text(_ADD.format(stored=_SUM_NEW))
_ADD_GIVEN = text(_ADD.format(stored=_GIVEN))
_NOTE_MEASURED = text(f"""
    INSERT INTO measured_partitions (starts_at, below, xid)
    VALUES (:starts_at, :below, {CURRENT_XID.text})
    ON CONFLICT (starts_at) DO UPDATE SET below = excluded.below, xid = excluded.xid
""")  # noqa: S608
_SUBTRACT = text(f"""
    UPDATE event_bytes AS total SET bytes = total.bytes - gone.bytes
    FROM event_bytes AS gone
    WHERE total.shard = gone.shard AND total.is_total AND total.owner_id = gone.owner_id
        AND gone.{EVERY_SHARD} AND NOT gone.is_total AND gone.starts_at = :starts_at
""")  # noqa: S608
_DELETE_GONE = text(f"""
    DELETE FROM event_bytes
    WHERE {EVERY_SHARD} AND ((NOT is_total AND starts_at = :starts_at) OR (is_total AND bytes = 0))
""")  # noqa: S608
_DELETE_MEASURED = text("DELETE FROM measured_partitions WHERE starts_at = :starts_at")
_REACHED = "CASE WHEN bytes >= CAST(:most AS bigint) THEN nullif(CAST(:most AS bigint), 0) END"
_MARK_REACHED = text(f"""
    UPDATE event_bytes SET reached = {_REACHED}
    WHERE {EVERY_SHARD} AND is_total AND reached IS DISTINCT FROM {_REACHED}
""")  # noqa: S608
_TOTAL_OF = text("""
    SELECT bytes FROM event_bytes
    WHERE shard = :shard AND is_total AND starts_at = '-infinity' AND owner_id = :owner_id
""")

Sums = Mapping[tuple[int, int], int]  # bytes by shard and project


class Unmeasured(NamedTuple):
    """A partition with events that may be uncounted: those from transaction `below` on.

    `below` is None if it was never measured, or on another server; `is_known` then tells which.
    Transactions before `oldest_running` have ended.
    """

    starts_at: datetime
    ends_at: datetime
    is_closed: bool
    below: int | None
    is_known: bool
    oldest_running: int

    @property
    def partition(self) -> Partition:
        return Partition(self.starts_at, self.ends_at)


@dataclass(frozen=True)
class StoredBytes:
    session: AsyncSession

    async def try_lock(self) -> bool:
        """Keeps other processes from measuring until the commit; False if one is measuring."""
        return bool(await self.session.scalar(_TRY_LOCK, {"lock": _MEASURE_LOCK}))

    async def list_unmeasured(self) -> list[Unmeasured]:
        """Lists the partitions that have begun and are not counted for good.

        Those that were never counted come first. All others come in any order, so that each has
        its turn where a run has no time for all.
        """
        return [*map(Unmeasured._make, await self.session.execute(_LIST_UNMEASURED))]

    async def list_gone(self) -> Sequence[datetime]:
        """Lists the starts of partitions that were counted, and have been purged since."""
        return (await self.session.scalars(_LIST_GONE)).all()

    async def add_new(self, partition: Partition, *, above: int, below: int) -> bool:
        """Adds the events of transactions in `[above, below)`; tells whether there are any."""
        values = {
            "starts_at": partition.starts_at,
            "ends_at": partition.ends_at,
            "above": above,
            "below": below,
        }
        added = await self.session.execute(_ADD_NEW, values, execution_options=_ACROSS)
        assert isinstance(added, CursorResult)
        return added.rowcount > 0

    async def sum_all(self, partition: Partition, *, below: int) -> Sums:
        """Sums up the events of transactions before `below`, slot by slot.

        One statement for an hour of a busy service could run into its timeout. Nothing is written:
        a transaction with a number of its own would hold up readers that follow the log.
        """
        sums = Counter[tuple[int, int]]()
        is_short = partition.ends_at - partition.starts_at < _SHORT
        bounds = (partition.starts_at,) if is_short else partition.slots
        for starts_at, ends_at in pairwise((*bounds, partition.ends_at)):
            values = {"starts_at": starts_at, "ends_at": ends_at, "below": below}
            rows = await self.session.execute(_SUM_ALL, values, execution_options=_ACROSS)
            for shard, owner_id, size in rows:
                sums[shard, owner_id] += size
        return sums

    async def add(self, partition: Partition, sums: Sums) -> None:
        values = {
            "starts_at": partition.starts_at,
            "shards": [shard for shard, _ in sums],
            "owner_ids": [owner_id for _, owner_id in sums],
            "sizes": [*sums.values()],
        }
        await self.session.execute(_ADD_GIVEN, values, execution_options=_ACROSS)

    async def note_measured(self, partition: Partition, *, below: int) -> None:
        values = {"starts_at": partition.starts_at, "below": below}
        await self.session.execute(_NOTE_MEASURED, values)

    async def forget(self, starts_at: datetime) -> None:
        """Subtracts a partition's bytes from the totals, and deletes them."""
        values = {"starts_at": starts_at}
        await self.session.execute(_SUBTRACT, values, execution_options=_ACROSS)
        await self.session.execute(_DELETE_GONE, values, execution_options=_ACROSS)
        await self.session.execute(_DELETE_MEASURED, values)

    async def mark_reached(self, most: int) -> None:
        """Marks the totals of `most` bytes or more, and unmarks others; 0 is no limit."""
        await self.session.execute(_MARK_REACHED, {"most": most}, execution_options=_ACROSS)

    async def total_of(self, owner_id: int) -> int:
        """Returns the bytes of a project's events, as of some seconds ago."""
        wanted = {"shard": shard_of(owner_id), "owner_id": owner_id}
        return int(await self.session.scalar(_TOTAL_OF, wanted) or 0)
