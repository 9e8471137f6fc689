"""Keeps the counts of the overview: new events by minute, and then each project by state.

It adds up the parts of counts that transactions have stored, so that reading them stays quick.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.engine import Sessions
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.db.transactions import BATCH_ROWS, in_batches
from event_trigger.models import EVERY_SHARD, SHARDS, CountedMeasure
from event_trigger.models.minute_count import MERGED_PART, add_to_minutes
from event_trigger.overview.census import Census
from event_trigger.overview.event_minutes import EventMinutes

SHARDS_PER_STEP = 16
EVENTS_SECONDS = 0.25
REST_FACTOR = 10  # a pass that takes long is followed by so much more rest,
LONGEST_REST = 15  # but by no more than so many intervals
_COUNT_LOCK = 0x6576_636E  # "evcn", an advisory lock

# Later statements are planned for their values: a generic plan would not use the index of `xid`.
# They have one process of the server at most: the others are left to firing.
_TRY_LOCK = text("""
    SELECT pg_try_advisory_xact_lock(:lock)
    FROM set_config('plan_cache_mode', 'force_custom_plan', true) AS planned,
        set_config('max_parallel_workers_per_gather', '0', true) AS alone
""")
_READ_PASS = text("""
    SELECT clock_timestamp(),
        CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint),
        CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint),
        last.passed_at, last.next_at, last.next_xid, last.seconds
    FROM (SELECT 1) AS always LEFT JOIN count_passes AS last ON last.id = 1
""")
_NOTE_PASS = text("""
    INSERT INTO count_passes (id, passed_at, counted_at, next_at, next_xid, seconds)
    VALUES (1, :passed_at, :counted_at, :next_at, :next_xid, :seconds)
    ON CONFLICT (id) DO UPDATE SET
        counted_at = coalesce(excluded.counted_at, count_passes.counted_at),
        passed_at = excluded.passed_at, next_at = excluded.next_at, next_xid = excluded.next_xid,
        seconds = excluded.seconds
""")
_MEASURES = ", ".join(f"'{one}'" for one in CountedMeasure)
_PURGE = text(f"""
    WITH purged AS (
        DELETE FROM minute_counts
        WHERE (shard, owner_id, measure, minute, series, destination_id, bucket, part) IN (
            SELECT shard, owner_id, measure, minute, series, destination_id, bucket, part
            FROM minute_counts
            WHERE {EVERY_SHARD} AND measure IN ({_MEASURES}) AND minute < :before LIMIT :limit
        )
        RETURNING shard
    )
    SELECT count(*) FROM purged
""")  # noqa: S608
MINUTE = timedelta(minutes=1)
_SUMS = f"""
    SELECT shard, owner_id, measure, minute, series, destination_id, bucket, {MERGED_PART},
        CAST(sum(count) AS bigint), max(longest_ms)
    FROM parts GROUP BY shard, owner_id, measure, minute, series, destination_id, bucket
"""  # noqa: S608
_MERGE = text(f"""
    WITH parts AS (
        DELETE FROM minute_counts
        WHERE shard = :shard AND ctid = ANY (ARRAY(
            SELECT ctid FROM minute_counts
            WHERE shard = :shard
                AND measure IN ('{CountedMeasure.ATTEMPTS}', '{CountedMeasure.UNFIRED}')
                AND minute >= :since AND minute < :until AND part <> {MERGED_PART}
            LIMIT :limit FOR UPDATE SKIP LOCKED
        ))
        RETURNING *
    ), merged AS ({add_to_minutes(_SUMS)})
    SELECT count(*) FROM parts
""")  # noqa: S608


class _Pass(NamedTuple):
    """The start of a pass, the transactions then running, and the notes of the last pass.

    All transactions before `oldest_running` have ended; none from `newest` on had begun.
    """

    started_at: datetime
    oldest_running: int
    newest: int
    passed_at: datetime | None
    next_at: datetime | None
    next_xid: int | None
    seconds: float | None

    def is_early(self, every: timedelta) -> bool:
        """Whether the last pass is so recent that this one would load the database too much."""
        if self.passed_at is None or self.seconds is None:
            return False
        rest = max(every / 2, timedelta(seconds=REST_FACTOR * self.seconds))
        rest = min(rest, LONGEST_REST * every)
        return timedelta() <= self.started_at - self.passed_at < rest

    @property
    def complete_at(self) -> datetime | None:
        """The instant before which all transactions of then have ended by now, if it is known."""
        if self.next_xid is None or self.next_xid > self.oldest_running:
            return None
        return self.next_at


async def count_all(sessions: Sessions, *, every: timedelta) -> None:
    """Counts new events, and then all projects unless a replica has just done so.

    Firing and requests write nothing for it. Any number of processes may call it. Each step is a
    short transaction that one process at a time runs; a process that dies in between leaves counts
    that are right, and a pass unnoted.

    1. Count the new events by minute, for a quarter of a second; after an upgrade, the rest of two
       days is left to the next calls.
    2. Once a minute, merge the parts of the counts of minutes that are over.
    3. Count the projects of 16 shards at a time; the longer that takes, the less often.
    4. Note how old the counts may be. If events are left, they stay as old as they were.
    """
    clock = asyncio.get_running_loop().time
    async with sessions() as session:
        this = _Pass(*(await session.execute(_READ_PASS)).one())
    is_complete = await _count_events(sessions)
    if this.is_early(every):
        return
    if not await _merge(sessions, this):
        return
    started = clock()
    for first in range(0, SHARDS, SHARDS_PER_STEP):
        async with _step(sessions) as session:
            if session is None:
                return
            await Census(session).count(range(first, first + SHARDS_PER_STEP))
    async with _step(sessions) as session:
        if session is not None:
            await Census(session).delete_empty()
            await _note(session, this, is_complete=is_complete, seconds=clock() - started)


async def purge_minutes(sessions: Sessions, before: datetime) -> None:
    """Deletes the counts of minutes before an instant, in batches."""

    async def work(session: AsyncSession) -> int:
        values, options = {"before": before, "limit": BATCH_ROWS}, {ACROSS_SHARDS: "retention"}
        return await session.scalar(_PURGE, values, execution_options=options) or 0

    await in_batches(sessions, work)


@asynccontextmanager
async def _step(sessions: Sessions) -> AsyncIterator[AsyncSession | None]:
    """Opens the transaction of a step; gives None while another process is in one."""
    async with sessions.begin() as session:
        is_free = await session.scalar(_TRY_LOCK, {"lock": _COUNT_LOCK})
        yield session if is_free else None


async def _count_events(sessions: Sessions) -> bool:
    """Counts new events for a quarter of a second; returns whether none are left."""
    clock = asyncio.get_running_loop().time
    stop_at, done = clock() + EVENTS_SECONDS, set[datetime]()
    while clock() < stop_at:
        async with _step(sessions) as session:
            if session is None:
                return False
            minutes = EventMinutes(session)
            left = [one for one in await minutes.list_uncounted() if one.starts_at not in done]
            if not left:
                await minutes.forget_gone()
                return True
            if await minutes.count(left[0]):
                done.add(left[0].starts_at)
    return False


async def _merge(sessions: Sessions, this: _Pass) -> bool:
    """Merges a batch of each of 16 shards at a time; returns False if another process does."""
    minutes = minutes_to_merge(this.passed_at or this.started_at, this.started_at)
    if minutes is None:
        return True
    for first in range(0, SHARDS, SHARDS_PER_STEP):
        left = [*range(first, first + SHARDS_PER_STEP)]
        while left:
            async with _step(sessions) as session:
                if session is None:
                    return False
                left = [one for one in left if await merge_parts(session, one, minutes)]
    return True


async def _note(session: AsyncSession, this: _Pass, *, is_complete: bool, seconds: float) -> None:
    waits = this.next_xid is not None and this.oldest_running < this.next_xid <= this.newest
    values = {
        "passed_at": this.started_at,
        "counted_at": this.complete_at if is_complete else None,
        "next_at": this.next_at if waits else this.started_at,
        "next_xid": this.next_xid if waits else this.newest,
        "seconds": seconds,
    }
    await session.execute(_NOTE_PASS, values)


def minutes_to_merge(passed_at: datetime, now: datetime) -> tuple[datetime, datetime] | None:
    """Returns the minutes that have ended between two passes; None if no minute has.

    Each is merged a minute after its end, and again in the next pass, since an attempt counts in
    the minute in which it began. The rare later parts stay as they are, and are read as well.
    """
    first, last = (one.replace(second=0, microsecond=0) for one in (passed_at, now))
    return (first - 2 * MINUTE, last - MINUTE) if first < last else None


async def merge_parts(
    session: AsyncSession, shard: int, minutes: tuple[datetime, datetime]
) -> bool:
    """Merges a batch of one shard; returns whether parts may be left."""
    since, until = minutes
    values = {"shard": shard, "since": since, "until": until, "limit": BATCH_ROWS}
    return bool(await session.scalar(_MERGE, values) == BATCH_ROWS)
