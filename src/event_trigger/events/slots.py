"""Counts what was stored in a partition, part by part, while it is still open."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.clock import database_now
from event_trigger.db.engine import ACROSS_SHARDS
from event_trigger.events.partitions import Partition
from event_trigger.events.repository import Events
from event_trigger.models import SHARDS, EventPartition, SlotCount

_COUNT_ON = text("""
    INSERT INTO slot_counts
        (shard, is_whole, starts_at, owner_id, trigger_id, type, is_test, below, count)
    SELECT shard, CAST(:is_whole AS boolean), slot_starts_at, owner_id, trigger_id, type, is_test,
        CAST(:below AS bigint), count(*)
    FROM (
        SELECT shard, owner_id, trigger_id, type, is_test, (CAST(:slots AS timestamptz[]))[
            width_bucket(triggered_at, CAST(:slots AS timestamptz[]))] AS slot_starts_at
        FROM events
        WHERE triggered_at >= :starts_at AND triggered_at < :ends_at
            AND xid >= :above AND xid < :below
    ) AS stored
    GROUP BY shard, slot_starts_at, owner_id, trigger_id, type, is_test
""")
_ACROSS = {ACROSS_SHARDS: "retention"}


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is to be counted: of a partition, stored by transactions from one up to another."""

    partition: Partition
    above: int
    below: int


@dataclass(frozen=True)
class Slots:
    session: AsyncSession

    async def count_on(self, partition: Partition) -> None:
        """Adds what was stored since the last time, by transactions that were over by now.

        Whatever is stored later has a larger number. A number that this server has not reached came
        with a dump from another: then all is counted anew.
        """
        row = EventPartition.starts_at == partition.starts_at
        counted = select(EventPartition.counted_at, EventPartition.counted_below).where(row)
        counted_at, above = (await self.session.execute(counted)).one()
        now, below = await database_now(self.session), await self._oldest_running()
        if above is not None and above > below:
            await self.forget(partition)
            counted_at = above = None
        parts = _Parts(partition, above or 0, below)
        await self._add(parts, partition.slots)
        if now >= partition.ends_at:
            was_over = counted_at is not None and counted_at >= partition.ends_at
            await self._add(parts if was_over else replace(parts, above=0), None)
        counted_at = now if counted_at is None else max(counted_at, now)
        await self.session.execute(
            update(EventPartition).where(row).values(counted_at=counted_at, counted_below=below)
        )

    async def _oldest_running(self) -> int:
        return (await Events(self.session).get_horizon()).oldest

    async def _add(self, parts: _Parts, slots: list[datetime] | None) -> None:
        """None is the partition as a whole."""
        values = {
            "is_whole": slots is None,
            "slots": slots or [parts.partition.starts_at],
            "starts_at": parts.partition.starts_at,
            "ends_at": parts.partition.ends_at,
            "above": parts.above,
            "below": parts.below,
        }
        await self.session.execute(_COUNT_ON, values, execution_options=_ACROSS)

    async def forget(self, partition: Partition) -> None:
        statement = delete(SlotCount).where(
            SlotCount.shard.in_(range(SHARDS)),  # so that the primary key serves
            SlotCount.is_whole.in_((False, True)),
            SlotCount.starts_at >= partition.starts_at,
            SlotCount.starts_at < partition.ends_at,
        )
        await self.session.execute(statement, execution_options=_ACROSS)
