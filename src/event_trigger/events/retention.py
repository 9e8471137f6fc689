"""Makes partitions ahead, archives those that left the active window, purges those past keeping.

Each step is one short transaction under an advisory lock, so that of several replicas one works;
a lock that is not had within milliseconds is left to the next sweep, so that firing never waits.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.config import Settings
from event_trigger.db.clock import database_now
from event_trigger.db.engine import ACROSS_SHARDS, LOCK_NOT_AVAILABLE, Sessions, sqlstate
from event_trigger.events.partitions import Partition, missing_partitions
from event_trigger.models import Event, EventCount, EventPartition

log = structlog.get_logger()

_LOCK = 0x6576_7273  # "evrs"
_PATIENCE = "100ms"
_CLOSED = "closed"


@dataclass(frozen=True)
class Partitions:
    """The partitions of the events, as tables and as rows of `event_partitions`."""

    session: AsyncSession

    async def list_all(self) -> list[Partition]:
        rows = await self.session.execute(select(EventPartition.starts_at, EventPartition.ends_at))
        return [Partition(starts_at, ends_at) for starts_at, ends_at in rows]

    async def get_oldest(self, *, ended_by: datetime, only_open: bool) -> Partition | None:
        statement = (
            select(EventPartition.starts_at, EventPartition.ends_at)
            .where(EventPartition.ends_at <= ended_by)
            .order_by(EventPartition.starts_at)
            .limit(1)
        )
        if only_open:
            statement = statement.where(EventPartition.closed_at.is_(None))
        row = (await self.session.execute(statement)).one_or_none()
        return None if row is None else Partition(*row)

    async def add(self, partition: Partition) -> None:
        """Attaches a ready table: that lets firing go on, where `PARTITION OF` would stop it."""
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

    async def close(self, partition: Partition) -> None:
        """Fences the partition off for good, then writes its final counts."""
        fence = f"ALTER TABLE {partition.table} ADD CONSTRAINT {_CLOSED} CHECK (false) NOT VALID"
        await self.session.execute(text(fence))
        counted = (
            select(
                Event.shard,
                text(":starts_at ::timestamptz"),
                Event.trigger_id,
                Event.type,
                Event.is_test,
                Event.owner_id,
                func.count(),
            )
            .where(Event.triggered_at >= partition.starts_at)
            .where(Event.triggered_at < partition.ends_at)
            .group_by(Event.shard, Event.owner_id, Event.trigger_id, Event.type, Event.is_test)
        )
        columns = ["shard", "partition_starts_at", "trigger_id", "type", "is_test", "owner_id"]
        await self.session.execute(
            insert(EventCount).from_select([*columns, "count"], counted),
            {"starts_at": partition.starts_at},
            execution_options={ACROSS_SHARDS: "retention"},
        )
        await self.session.execute(
            update(EventPartition)
            .where(EventPartition.starts_at == partition.starts_at)
            .values(closed_at=func.now())
        )

    async def purge(self, partition: Partition) -> None:
        await self.session.execute(text(f"DROP TABLE {partition.table}"))
        for table, column in (
            (EventCount, EventCount.partition_starts_at),
            (EventPartition, EventPartition.starts_at),
        ):
            await self.session.execute(
                delete(table).where(column == partition.starts_at),
                execution_options={ACROSS_SHARDS: "retention"},
            )


async def make_partitions(sessions: Sessions, settings: Settings) -> None:
    """Sees to it that events of the near future have a place; waits for a replica that is at it."""
    async with sessions.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        partitions = Partitions(session)
        missing = missing_partitions(
            await partitions.list_all(),
            now=await database_now(session),
            ahead=settings.partitions_ahead,
            width=settings.partition_width,
        )
        for partition in missing:
            await partitions.add(partition)


async def archive(sessions: Sessions, settings: Settings) -> None:
    """Closes, oldest first, every partition that lies wholly outside the active window."""
    await _each(
        sessions, settings.active_for, only_open=True, step=Partitions.close, say="archived"
    )


async def purge(sessions: Sessions, settings: Settings) -> None:
    """Drops every partition whose youngest event is past keeping."""
    await _each(sessions, settings.keep_for, only_open=False, step=Partitions.purge, say="purged")


async def _each(
    sessions: Sessions,
    age: timedelta,
    *,
    only_open: bool,
    step: Callable[[Partitions, Partition], Awaitable[None]],
    say: str,
) -> None:
    while partition := await _one(sessions, age, only_open=only_open, step=step):
        log.info(f"partition_{say}", partition=partition.table)


async def _one(
    sessions: Sessions,
    age: timedelta,
    *,
    only_open: bool,
    step: Callable[[Partitions, Partition], Awaitable[None]],
) -> Partition | None:
    try:
        async with sessions.begin() as session:
            if not await session.scalar(select(func.pg_try_advisory_xact_lock(_LOCK))):
                return None
            await session.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
            partitions = Partitions(session)
            ended_by = await database_now(session) - age
            partition = await partitions.get_oldest(ended_by=ended_by, only_open=only_open)
            if partition is not None:
                await step(partitions, partition)
            return partition
    except DBAPIError as error:
        if sqlstate(error) != LOCK_NOT_AVAILABLE:
            raise
        log.info("partition_busy", note="left to the next sweep")
        return None


async def sweep(sessions: Sessions, settings: Settings) -> None:
    """The archive-and-purge coroutine: everything that the age of events asks for, once."""
    await make_partitions(sessions, settings)
    await archive(sessions, settings)
    await purge(sessions, settings)
