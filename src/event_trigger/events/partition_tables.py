"""Makes, closes, counts and drops the partitions of the log in the database."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, case, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.citus.tables import change_parts_one_by_one
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.events.partitions import Partition
from event_trigger.events.rollups import Rollups
from event_trigger.models import EVERY_SHARD, SHARDS, BlockCount, EventCount, EventPartition
from event_trigger.models.event import OWN_XID, counted_here

PARTITIONS_PER_BLOCK = 6  # two days are then 8 blocks and some 5 single partitions
_FENCE = "closed"  # the name of a check constraint
_WRITE_FINAL_COUNTS = text("""
    INSERT INTO event_counts
        (shard, owner_id, trigger_id, type, is_test, partition_starts_at, count)
    SELECT shard, owner_id, trigger_id, type, is_test, :starts_at, count(*)
    FROM events
    WHERE triggered_at >= :starts_at AND triggered_at < :ends_at
    GROUP BY shard, owner_id, trigger_id, type, is_test
""")
_WRITE_BLOCK_COUNTS = text(f"""
    INSERT INTO block_counts (shard, starts_at, owner_id, trigger_id, type, is_test, count)
    SELECT shard, :starts_at, owner_id, trigger_id, type, is_test, CAST(sum(count) AS bigint)
    FROM event_counts
    WHERE {EVERY_SHARD}
        AND partition_starts_at >= :starts_at AND partition_starts_at < :ends_at
    GROUP BY shard, owner_id, trigger_id, type, is_test
""")  # noqa: S608
IN_NO_BLOCK = (EventPartition.closed_at.is_not(None), EventPartition.block_starts_at.is_(None))
_KEEPS_COUNT = {"counted_xid": case((counted_here(), OWN_XID))}  # each update is a new version
_ACROSS = {ACROSS_SHARDS: "retention"}


@dataclass(frozen=True)
class Partitions:
    """The partitions of the log, as tables and as rows of `event_partitions`."""

    session: AsyncSession

    async def list_all(self) -> list[Partition]:
        rows = await self.session.execute(select(EventPartition.starts_at, EventPartition.ends_at))
        return [Partition(starts_at, ends_at) for starts_at, ends_at in rows]

    async def get_oldest(self, *conditions: ColumnElement[bool]) -> Partition | None:
        statement = (
            select(EventPartition.starts_at, EventPartition.ends_at)
            .where(*conditions)
            .order_by(EventPartition.starts_at)
            .limit(1)
        )
        row = (await self.session.execute(statement)).one_or_none()
        return None if row is None else Partition(*row)

    async def add(self, partition: Partition) -> None:
        """Makes a table and attaches it, which lets firing go on, unlike `PARTITION OF`."""
        await change_parts_one_by_one(self.session)
        name = partition.table
        await self.session.execute(text(f"CREATE TABLE {name} (LIKE events INCLUDING DEFAULTS)"))
        await self.session.execute(
            text(
                f"ALTER TABLE events ATTACH PARTITION {name}"
                f" FOR VALUES FROM ('{partition.starts_at.isoformat()}')"
                f" TO ('{partition.ends_at.isoformat()}')"
            )
        )
        await self.session.execute(
            insert(EventPartition).values(starts_at=partition.starts_at, ends_at=partition.ends_at)
        )

    async def close(self, partition: Partition) -> str | None:
        """Fences a partition off for good when first called, and writes its final counts next.

        Counting takes a while, so it must not happen under the lock that the fence needs. Gives
        the event to log, if the partition is closed now.
        """
        if not await self._is_fenced(partition):
            fence = f"ADD CONSTRAINT {_FENCE} CHECK (false) NOT VALID"
            await self.session.execute(text(f"ALTER TABLE {partition.table} {fence}"))
            return None
        bounds = {"starts_at": partition.starts_at, "ends_at": partition.ends_at}
        await self.session.execute(_WRITE_FINAL_COUNTS, bounds, execution_options=_ACROSS)
        await self.session.execute(
            update(EventPartition)
            .where(EventPartition.starts_at == partition.starts_at)
            .values(closed_at=func.now(), **_KEEPS_COUNT)
        )
        return "partition_archived"

    async def sum_block(self, first: Partition) -> None:
        """Sums up the counts of a block of closed partitions, from the first that is in none."""
        members = (
            select(EventPartition.starts_at, EventPartition.ends_at)
            .where(*IN_NO_BLOCK, EventPartition.starts_at >= first.starts_at)
            .order_by(EventPartition.starts_at)
            .limit(PARTITIONS_PER_BLOCK)
        )
        last = (await self.session.execute(members)).all()[-1]
        bounds = {"starts_at": first.starts_at, "ends_at": last.ends_at}
        await self.session.execute(_WRITE_BLOCK_COUNTS, bounds, execution_options=_ACROSS)
        await self.session.execute(
            update(EventPartition)
            .where(EventPartition.starts_at.between(first.starts_at, last.starts_at))
            .values(block_starts_at=first.starts_at, **_KEEPS_COUNT)
        )

    async def count(self, partition: Partition) -> None:
        await Rollups(self.session).count_new(partition)

    async def _is_fenced(self, partition: Partition) -> bool:
        statement = text(
            "SELECT EXISTS (SELECT FROM pg_constraint"
            " WHERE conrelid = to_regclass(:partition) AND conname = :name)"
        )
        names = {"partition": partition.table, "name": _FENCE}
        return bool(await self.session.scalar(statement, names))

    async def purge(self, partition: Partition) -> str:
        """Deletes a partition's counts and drops its table; gives the event to log.

        The table comes last, since from there to the commit no other transaction can fire.
        """
        for counts in (
            delete(EventCount).where(
                EventCount.shard.in_(range(SHARDS)),  # so that the primary key is used
                EventCount.partition_starts_at == partition.starts_at,
            ),
            delete(BlockCount).where(
                BlockCount.shard.in_(range(SHARDS)), BlockCount.starts_at <= partition.starts_at
            ),
        ):
            await self.session.execute(counts, execution_options=_ACROSS)
        await Rollups(self.session).forget(partition)
        await self.session.execute(
            delete(EventPartition).where(EventPartition.starts_at == partition.starts_at)
        )
        await self.session.execute(text(f"DROP TABLE {partition.table}"))
        return "partition_purged"
