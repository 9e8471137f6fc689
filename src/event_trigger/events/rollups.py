"""Counts the events of open partitions step by step, so that readers need not count rows."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import TextClause, delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.clock import database_now
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.events.partitions import Partition
from event_trigger.events.repository import Events
from event_trigger.models import EVERY_SHARD, SHARDS, EventPartition, SlotCount
from event_trigger.models.event import OWN_XID, counted_here

_ADD_SLOTS = """
    INSERT INTO slot_counts
        (shard, is_whole, starts_at, owner_id, trigger_id, type, is_test, below, count)
    SELECT shard, false, slot_starts_at, owner_id, trigger_id, type, is_test,
        CAST(:below AS bigint), count(*)
    FROM (
        SELECT shard, owner_id, trigger_id, type, is_test, (CAST(:slots AS timestamptz[]))[
            width_bucket(triggered_at, CAST(:slots AS timestamptz[]))] AS slot_starts_at
        FROM events
        WHERE triggered_at >= :starts_at AND triggered_at < :ends_at
            AND xid >= :above AND xid < :below {indexed}
    ) AS stored
    GROUP BY shard, slot_starts_at, owner_id, trigger_id, type, is_test
"""
_ADD_ALL_TO_SLOTS = text(_ADD_SLOTS.format(indexed=""))
_ADD_NEW_TO_SLOTS = text(_ADD_SLOTS.format(indexed=f"AND xid > 0 AND {EVERY_SHARD}"))
_ADD_SLOTS_TO_WHOLE = """
    INSERT INTO slot_counts
        (shard, is_whole, starts_at, owner_id, trigger_id, type, is_test, below, count)
    SELECT shard, true, CAST(:starts_at AS timestamptz), owner_id, trigger_id, type, is_test,
        CAST(:below AS bigint), CAST(sum(count) AS bigint)
    FROM slot_counts
    WHERE {every_shard} AND is_whole = false AND below > :above
        AND starts_at >= :starts_at AND starts_at < :ends_at
    GROUP BY shard, owner_id, trigger_id, type, is_test
"""
_ADD_TO_WHOLE = text(_ADD_SLOTS_TO_WHOLE.format(every_shard=EVERY_SHARD))
_PLAN_WITH_VALUES = text("SET LOCAL plan_cache_mode = force_custom_plan")
_ACROSS = {ACROSS_SHARDS: "retention"}


@dataclass(frozen=True)
class Rollups:
    session: AsyncSession

    async def count_new(self, partition: Partition) -> None:
        """Adds the events of a partition that were stored since it was last counted.

        1. Forget its counts if they came with a dump: transaction numbers are a server's own.
        2. Add to its slots the events of transactions from `counted_below` to before the oldest
           that still runs. All events stored later have that number or a larger one.
        3. Once the partition is over, add its slots, or only their new parts, to its whole count.
        4. Move `counted_below` on.
        """
        await self.session.execute(_PLAN_WITH_VALUES)
        row = EventPartition.starts_at == partition.starts_at
        counted = select(
            EventPartition.counted_at, EventPartition.counted_below, counted_here()
        ).where(row)
        counted_at, above, is_of_this_server = (await self.session.execute(counted)).one()
        now, below = await database_now(self.session), await self._oldest_running()
        if above is not None and not is_of_this_server:
            await self.forget(partition)
            counted_at = above = None
        values = {
            "starts_at": partition.starts_at,
            "ends_at": partition.ends_at,
            "above": above or 0,
            "below": below,
        }
        add = _ADD_NEW_TO_SLOTS if above else _ADD_ALL_TO_SLOTS
        await self._execute(add, {**values, "slots": partition.slots})
        if now >= partition.ends_at:
            was_over = counted_at is not None and counted_at >= partition.ends_at
            uncounted = values if was_over else {**values, "above": 0}
            await self._execute(_ADD_TO_WHOLE, uncounted)
        await self.session.execute(
            update(EventPartition)
            .where(row)
            .values(
                counted_at=now if counted_at is None else max(counted_at, now),
                counted_below=below,
                counted_xid=OWN_XID,
            )
        )

    async def _oldest_running(self) -> int:
        return (await Events(self.session).get_horizon()).oldest

    async def _execute(self, statement: TextClause, values: dict[str, Any]) -> None:
        await self.session.execute(statement, values, execution_options=_ACROSS)

    async def forget(self, partition: Partition) -> None:
        """Deletes the counts of a partition."""
        statement = delete(SlotCount).where(
            SlotCount.shard.in_(range(SHARDS)),  # so that the primary key is used
            SlotCount.is_whole.in_((False, True)),
            SlotCount.starts_at >= partition.starts_at,
            SlotCount.starts_at < partition.ends_at,
        )
        await self.session.execute(statement, execution_options=_ACROSS)
