"""Measures the events that are kept, by project, while firing goes on."""

import asyncio
from collections.abc import Collection
from datetime import datetime

from event_trigger.db.engine import Sessions
from event_trigger.events.event_bytes import StoredBytes, Unmeasured
from event_trigger.models.base import LARGEST_ID

MEASURING_SECONDS = 0.1  # jobs share two connections, and partitions must be made in time


async def measure(sessions: Sessions, *, most_bytes: int) -> None:
    """Counts the bytes of new events, and marks the projects that have reached the limit.

    Firing writes nothing for it: a run reads the rows that were stored since the run before, by
    their transaction numbers. Any number of processes may call it; one of them works at a time.
    Each step is one transaction, so that the sweep can drop partitions in between. In a cluster of
    Citus, where events can appear late, it may miss a few: a limit can bear that.

    1. Add the new events of each partition, for a tenth of a second and one partition. The rest is
       left to the next run: after an upgrade, there are two days of events to count.
    2. Subtract the partitions that were purged, and mark the projects that have `most_bytes` or
       more; 0 is no limit.
    """
    clock = asyncio.get_running_loop().time
    stop_at, done = clock() + MEASURING_SECONDS, set[datetime]()
    while clock() < stop_at and (measured := await _measure_one(sessions, done)) is not None:
        done.add(measured)
    async with sessions.begin() as session:
        stored = StoredBytes(session)
        if not await stored.try_lock():
            return
        for starts_at in await stored.list_gone():
            await stored.forget(starts_at)
        await stored.mark_reached(most_bytes)


async def _measure_one(sessions: Sessions, done: Collection[datetime]) -> datetime | None:
    """Measures the first partition that is not done; returns its start, or None without one."""
    async with sessions.begin() as session:
        stored = StoredBytes(session)
        if not await stored.try_lock():
            return None
        left = [one for one in await stored.list_unmeasured() if one.starts_at not in done]
        if not left:
            return None
        await _add_new(stored, left[0])
    return left[0].starts_at


async def _add_new(stored: StoredBytes, one: Unmeasured) -> None:
    """Adds a partition's events of transactions that have ended; of a closed one, all for good.

    An idle partition is not written to, so that an idle service writes nothing.
    """
    below = LARGEST_ID if one.is_closed else one.oldest_running
    if one.below:
        has_new = await stored.add_new(one.partition, above=one.below, below=below)
    else:
        has_new = True
        sums = await stored.sum_all(one.partition, below=below)
        if one.is_known:
            await stored.forget(one.starts_at)
        await stored.add(one.partition, sums)
    if has_new or one.is_closed:
        await stored.note_measured(one.partition, below=below)
