"""Makes partitions ahead, counts, archives those that left the active window, purges the old.

Each step is one short transaction under an advisory lock, so that of several replicas one works;
a lock that is not had within milliseconds is left to the next sweep, so that firing never waits.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import (
    ColumnElement,
    case,
    delete,
    func,
    insert,
    not_,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.config import Settings
from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.clock import database_now
from event_trigger.db.engine import (
    LOCK_NOT_AVAILABLE,
    QUERY_CANCELED,
    Sessions,
    is_outage,
    sqlstate,
)
from event_trigger.db.errors import FailureLog
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.events.partitions import SLOTS, Partition, missing_partitions
from event_trigger.events.rollups import Rollups
from event_trigger.models import EVERY_SHARD, SHARDS, BlockCount, EventCount, EventPartition
from event_trigger.models.event import OWN_XID, counted_here

log = structlog.get_logger()
_failures = FailureLog(log, "count_failed", outage="count_failed")

_LOCK = 0x6576_7273  # "evrs"
_PATIENCE = "100ms"  # firing queues behind us for as long at the most
_PAUSE = 0.3  # seconds between two tries
_CLOSED = "closed"
_WRITE_FINAL_COUNTS = text("""
    INSERT INTO event_counts
        (shard, owner_id, trigger_id, type, is_test, partition_starts_at, count)
    SELECT shard, owner_id, trigger_id, type, is_test, :starts_at, count(*)
    FROM events
    WHERE triggered_at >= :starts_at AND triggered_at < :ends_at
    GROUP BY shard, owner_id, trigger_id, type, is_test
""")
BLOCK = 6  # partitions: of 48, some 8 blocks and 5 others are left to add
_ADD_UP = text(f"""
    INSERT INTO block_counts (shard, starts_at, owner_id, trigger_id, type, is_test, count)
    SELECT shard, :starts_at, owner_id, trigger_id, type, is_test, CAST(sum(count) AS bigint)
    FROM event_counts
    WHERE {EVERY_SHARD}
        AND partition_starts_at >= :starts_at AND partition_starts_at < :ends_at
    GROUP BY shard, owner_id, trigger_id, type, is_test
""")  # noqa: S608
_IN_NO_BLOCK = (EventPartition.closed_at.is_not(None), EventPartition.block_starts_at.is_(None))
_KEEPS_COUNT = {"counted_xid": case((counted_here(), OWN_XID))}  # the row is written anew


@dataclass(frozen=True)
class Partitions:
    """The partitions of the events, as tables and as rows of `event_partitions`."""

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

    async def close(self, partition: Partition) -> str | None:
        """Fences the partition off for good; called again, writes its final counts.

        Counting takes a while, so it must not happen under the lock that the fence needs.
        """
        if not await self._is_fenced(partition):
            fence = f"ADD CONSTRAINT {_CLOSED} CHECK (false) NOT VALID"
            await self.session.execute(text(f"ALTER TABLE {partition.table} {fence}"))
            return None
        bounds = {"starts_at": partition.starts_at, "ends_at": partition.ends_at}
        options = {ACROSS_SHARDS: "retention"}
        await self.session.execute(_WRITE_FINAL_COUNTS, bounds, execution_options=options)
        await self.session.execute(
            update(EventPartition)
            .where(EventPartition.starts_at == partition.starts_at)
            .values(closed_at=func.now(), **_KEEPS_COUNT)
        )
        return "partition_archived"

    async def add_up(self, first: Partition) -> None:
        """Makes a block of closed partitions, from one that is in none."""
        members = (
            select(EventPartition.starts_at, EventPartition.ends_at)
            .where(*_IN_NO_BLOCK, EventPartition.starts_at >= first.starts_at)
            .order_by(EventPartition.starts_at)
            .limit(BLOCK)
        )
        last = (await self.session.execute(members)).all()[-1]
        bounds = {"starts_at": first.starts_at, "ends_at": last.ends_at}
        options = {ACROSS_SHARDS: "retention"}
        await self.session.execute(_ADD_UP, bounds, execution_options=options)
        await self.session.execute(
            update(EventPartition)
            .where(EventPartition.starts_at.between(first.starts_at, last.starts_at))
            .values(block_starts_at=first.starts_at, **_KEEPS_COUNT)
        )

    async def count(self, partition: Partition) -> None:
        await Rollups(self.session).count_on(partition)

    async def _is_fenced(self, partition: Partition) -> bool:
        statement = text(
            "SELECT EXISTS (SELECT FROM pg_constraint"
            " WHERE conrelid = to_regclass(:partition) AND conname = :name)"
        )
        names = {"partition": partition.table, "name": _CLOSED}
        return bool(await self.session.scalar(statement, names))

    async def purge(self, partition: Partition) -> str:
        """Drops the table last, since from there to the commit nobody else fires."""
        for counts in (
            delete(EventCount).where(
                EventCount.shard.in_(range(SHARDS)),  # so that the primary key serves
                EventCount.partition_starts_at == partition.starts_at,
            ),
            delete(BlockCount).where(
                BlockCount.shard.in_(range(SHARDS)), BlockCount.starts_at <= partition.starts_at
            ),
        ):
            await self.session.execute(counts, execution_options={ACROSS_SHARDS: "retention"})
        await Rollups(self.session).forget(partition)
        await self.session.execute(
            delete(EventPartition).where(EventPartition.starts_at == partition.starts_at)
        )
        await self.session.execute(text(f"DROP TABLE {partition.table}"))
        return "partition_purged"


# gives the event to log once it has committed, if there is one
Step = Callable[[Partitions, Partition], Awaitable[str | None]]
Conditions = tuple[ColumnElement[bool], ...]
Which = Callable[[datetime], Conditions]  # by the database's clock


async def make_partitions(sessions: Sessions, settings: Settings) -> None:
    """Sees to it that events of the near future have a place.

    Waits for a replica that is at it, or archiving, only if there is something to make.
    """
    async with sessions.begin() as session:
        if not await _missing(session, settings):
            return
        await session.execute(text("SET LOCAL lock_timeout = '20s'"))
        await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        for partition in await _missing(session, settings):
            await Partitions(session).add(partition)


async def seconds_ahead(session: AsyncSession) -> float:
    """How much time of the near future has partitions, by the database's clock."""
    last = func.max(EventPartition.ends_at)
    left = await session.scalar(select(func.extract("epoch", last - func.clock_timestamp())))
    return 0.0 if left is None else float(left)


async def _missing(session: AsyncSession, settings: Settings) -> list[Partition]:
    return missing_partitions(
        await Partitions(session).list_all(),
        now=await database_now(session),
        ahead=settings.partitions_ahead,
        width=settings.partition_width,
    )


async def archive(sessions: Sessions, settings: Settings) -> None:
    """Closes, oldest first, every partition that lies wholly outside the active window."""

    def has_left(now: datetime) -> Conditions:
        left = EventPartition.ends_at <= now - settings.active_for
        return left, EventPartition.closed_at.is_(None)

    await _each(sessions, settings, has_left, Partitions.close)


async def purge(sessions: Sessions, settings: Settings) -> None:
    """Drops every partition whose youngest event is past keeping."""
    await _each(
        sessions,
        settings,
        lambda now: (EventPartition.ends_at <= now - settings.keep_for,),
        Partitions.purge,
    )


async def add_up(sessions: Sessions, settings: Settings) -> None:
    """Makes blocks of what is closed, from the oldest on."""
    loose = select(func.count()).select_from(EventPartition).where(*_IN_NO_BLOCK)
    enough = *_IN_NO_BLOCK, loose.scalar_subquery() >= BLOCK
    await _try_each("add_up", sessions, settings, lambda _: enough, Partitions.add_up)


async def count(sessions: Sessions, settings: Settings) -> None:
    """Counts on in every partition that is open, once in the time of a slot, or of a sweep.

    Not in a cluster of Citus: there, a transaction below the oldest that runs can still appear.
    """
    async with sessions() as session:
        if await is_in_cluster(session):
            return
    every = max(settings.partition_width / SLOTS, settings.sweep_every)

    def has_more(now: datetime) -> Conditions:
        counted_by = now - every
        left = or_(
            EventPartition.counted_at.is_(None),
            EventPartition.counted_at <= counted_by,
            not_(counted_here()),
        )
        return EventPartition.starts_at <= now, EventPartition.closed_at.is_(None), left

    await _try_each("count", sessions, settings, has_more, Partitions.count)


async def _try_each(
    name: str, sessions: Sessions, settings: Settings, which: Which, step: Step
) -> None:
    """As `_each`; that it fails keeps nothing else from being done, as it only saves reading."""
    try:
        await _each(sessions, settings, which, step)
    except DBAPIError as error:
        if is_outage(error) and sqlstate(error) != QUERY_CANCELED:
            raise
        _failures.failed(name, error, step=name)
    else:
        _failures.succeeded(name)


async def _each(sessions: Sessions, settings: Settings, which: Which, step: Step) -> None:
    """Takes the steps that there are; one whose lock is not free is tried again, not for long.

    The next sweep must be in time, whoever is in the way: it makes the partitions for firing.
    """
    clock = asyncio.get_running_loop().time
    give_up_at = clock() + settings.sweep_every.total_seconds() / 4
    while clock() < give_up_at:
        try:
            if not await _take(sessions, which, step):
                return
        except DBAPIError as error:
            if sqlstate(error) != LOCK_NOT_AVAILABLE:
                raise
            await asyncio.sleep(_PAUSE)
    log.info("partition_busy", note="left to the next sweep")


async def _take(sessions: Sessions, which: Which, step: Step) -> bool:
    """Takes one step with the oldest of those partitions, if there is one."""
    async with sessions.begin() as session:
        await session.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
        await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        partitions = Partitions(session)
        partition = await partitions.get_oldest(*which(await database_now(session)))
        done = None if partition is None else await step(partitions, partition)
    if partition is not None and done is not None:
        log.info(done, partition=partition.table)
    return partition is not None


async def sweep(sessions: Sessions, settings: Settings) -> None:
    """The archive-and-purge coroutine: everything that the age of events asks for, once.

    What is dropped need not be counted first.
    """
    await make_partitions(sessions, settings)
    await purge(sessions, settings)
    await archive(sessions, settings)
    await add_up(sessions, settings)
    await count(sessions, settings)
