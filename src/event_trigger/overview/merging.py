"""Adds up the parts of counts that transactions have stored, so that reading them stays quick."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.transactions import BATCH_ROWS
from event_trigger.models import CountedMeasure
from event_trigger.models.minute_count import MERGED_PART, add_to_minutes

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
