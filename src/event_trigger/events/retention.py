"""Makes the partitions of the event log ahead, and sweeps it: purges, archives and counts.

Each step is one short transaction under an advisory lock, so that one replica works at a time. A
step of the sweep gives up a lock after 100 ms and is tried again later, so that firing never waits
longer. Making partitions waits up to 20 s, and blocks no firing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog
from sqlalchemy import ColumnElement, func, not_, or_, select, text
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
from event_trigger.events.partition_tables import IN_NO_BLOCK, PARTITIONS_PER_BLOCK, Partitions
from event_trigger.events.partitions import SLOTS, Partition, missing_partitions
from event_trigger.models import EventPartition
from event_trigger.models.event import counted_here

log = structlog.get_logger()
_failures = FailureLog(log, "count_failed", outage="count_failed")

_SWEEP_LOCK = 0x6576_7273  # "evrs", an advisory lock
_LOCK_TIMEOUT = "100ms"  # firing may queue behind a waiting step for as long
_RETRY_SECONDS = 0.3

Step = Callable[[Partitions, Partition], Awaitable[str | None]]  # gives the event to log, if any
Conditions = tuple[ColumnElement[bool], ...]
ConditionsAt = Callable[[datetime], Conditions]  # of the partitions to work on, at an instant


async def sweep(sessions: Sessions, settings: Settings) -> None:
    """Does all work that the age of events requires, once.

    1. Purge the partitions past their retention: before the next steps, since they need no counts.
    2. Archive the partitions outside the active window, and write their final counts.
    3. Sum up blocks of archived partitions.
    4. Count the new events of open partitions.
    """
    await purge(sessions, settings)
    await archive(sessions, settings)
    await sum_blocks(sessions, settings)
    await count(sessions, settings)


async def make_partitions(sessions: Sessions, settings: Settings) -> None:
    """Makes the partitions that are missing for events of the near future.

    Only if one is missing, it waits up to 20 s for another replica's step.
    """
    async with sessions.begin() as session:
        if not await _missing(session, settings):
            return
        await session.execute(text("SET LOCAL lock_timeout = '20s'"))
        await session.execute(select(func.pg_advisory_xact_lock(_SWEEP_LOCK)))
        for partition in await _missing(session, settings):
            await Partitions(session).add(partition)


async def is_free_of_sweeps(session: AsyncSession) -> bool:
    """Keeps sweeps from counting until the commit; returns False if one is counting now."""
    statement = select(func.pg_try_advisory_xact_lock(_SWEEP_LOCK))
    return bool(await session.scalar(statement))


async def seconds_ahead(session: AsyncSession) -> float:
    """Returns the seconds from now, by the database's clock, for which there are partitions."""
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

    def inactive(now: datetime) -> Conditions:
        is_inactive = EventPartition.ends_at <= now - settings.active_for
        return is_inactive, EventPartition.closed_at.is_(None)

    await _repeat(sessions, settings, inactive, Partitions.close)


async def purge(sessions: Sessions, settings: Settings) -> None:
    """Drops every partition whose newest event is past EVENT_TRIGGER_KEEP_FOR."""

    def expired(now: datetime) -> Conditions:
        return (EventPartition.ends_at <= now - settings.keep_for,)

    await _repeat(sessions, settings, expired, Partitions.purge)


async def sum_blocks(sessions: Sessions, settings: Settings) -> None:
    """Sums up the counts of closed partitions in blocks, from the oldest on."""
    single = select(func.count()).select_from(EventPartition).where(*IN_NO_BLOCK)
    are_enough = single.scalar_subquery() >= PARTITIONS_PER_BLOCK

    def summable(_: datetime) -> Conditions:
        return *IN_NO_BLOCK, are_enough

    await _repeat_or_log("sum_blocks", sessions, settings, summable, Partitions.sum_block)


async def count(sessions: Sessions, settings: Settings) -> None:
    """Counts new events of each open partition, once per slot width or sweep, whichever is longer.

    It counts nothing in a cluster of Citus, where events of a transaction below the oldest that
    runs can still appear.
    """
    async with sessions() as session:
        if await is_in_cluster(session):
            return
    every = max(settings.partition_width / SLOTS, settings.sweep_every)

    def uncounted(now: datetime) -> Conditions:
        is_uncounted = or_(
            EventPartition.counted_at.is_(None),
            EventPartition.counted_at <= now - every,
            not_(counted_here()),
        )
        return EventPartition.starts_at <= now, EventPartition.closed_at.is_(None), is_uncounted

    await _repeat_or_log("count", sessions, settings, uncounted, Partitions.count)


async def _repeat_or_log(
    name: str, sessions: Sessions, settings: Settings, conditions: ConditionsAt, step: Step
) -> None:
    """Repeats a step; logs its failure and goes on, since counts only speed up reads."""
    try:
        await _repeat(sessions, settings, conditions, step)
    except DBAPIError as error:
        if is_outage(error) and sqlstate(error) != QUERY_CANCELED:
            raise
        _failures.failed(name, error, step=name)
    else:
        _failures.succeeded(name)


async def _repeat(
    sessions: Sessions, settings: Settings, conditions: ConditionsAt, step: Step
) -> None:
    """Takes a step for each partition that meets the conditions, oldest first.

    A step whose lock is not free is tried again, for a quarter of the time between two sweeps.
    """
    clock = asyncio.get_running_loop().time
    give_up_at = clock() + settings.sweep_every.total_seconds() / 4
    while clock() < give_up_at:
        try:
            if not await _take(sessions, conditions, step):
                return
        except DBAPIError as error:
            if sqlstate(error) != LOCK_NOT_AVAILABLE:
                raise
            await asyncio.sleep(_RETRY_SECONDS)
    log.info("partition_busy", note="left to the next sweep")


async def _take(sessions: Sessions, conditions: ConditionsAt, step: Step) -> bool:
    """Takes a step for the oldest partition that meets the conditions; False if none does."""
    async with sessions.begin() as session:
        await session.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
        await session.execute(select(func.pg_advisory_xact_lock(_SWEEP_LOCK)))
        partitions = Partitions(session)
        partition = await partitions.get_oldest(*conditions(await database_now(session)))
        done = None if partition is None else await step(partitions, partition)
    if partition is not None and done is not None:
        log.info(done, partition=partition.table)
    return partition is not None
