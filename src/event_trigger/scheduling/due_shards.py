"""Asks which shards have something due, or soon will: a probe or two of the index for each."""

from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.models import EVERY_SHARD, SHARDS

LATE = timedelta(seconds=1)
FORESEEN = timedelta(seconds=2)  # whoever asks is back before that

# In any order: replicas rarely meet, and a shard that is held up is not always first. The clock is
# looked at last, since who asks counts the seconds from the answer on.
_LIST_PLANNED = text(f"""
    SELECT shard, extract(epoch FROM at - clock_timestamp()), has_late, has_on_time
    FROM (
        SELECT every.shard, first.at,
            first.at < now() - CAST(:late AS interval) AS has_late,
            first.at <= now() AND (
                SELECT next_fire_at FROM triggers
                WHERE triggers.shard = every.shard AND next_fire_at <= now()
                ORDER BY next_fire_at DESC LIMIT 1
            ) >= now() - CAST(:late AS interval) AS has_on_time
        FROM generate_series(0, {SHARDS - 1}) AS every (shard)
        CROSS JOIN LATERAL (
            SELECT next_fire_at AS at FROM triggers
            WHERE triggers.shard = every.shard
                AND next_fire_at <= now() + CAST(:foreseen AS interval)
            ORDER BY next_fire_at LIMIT 1
        ) AS first
        ORDER BY random()
    ) AS planned
""")  # noqa: S608
# Citus goes along no index for each of some shards: this reads all that is due
_LIST_PLANNED_IN_CLUSTER = text(f"""
    SELECT shard, extract(epoch FROM min(next_fire_at) - clock_timestamp()),
        min(next_fire_at) < now() - CAST(:late AS interval),
        coalesce(max(next_fire_at) FILTER (WHERE next_fire_at <= now())
            >= now() - CAST(:late AS interval), false)
    FROM triggers
    WHERE {EVERY_SHARD} AND next_fire_at <= now() + CAST(:foreseen AS interval)
    GROUP BY shard
    ORDER BY random()
""")  # noqa: S608


class DueShard(NamedTuple):
    """A shard with something planned: its first instant is in so many seconds.

    Less than 0 is due; whether some of it is late already, and some on time, is said too.
    """

    shard: int
    seconds: float
    has_late: bool
    has_on_time: bool

    @property
    def is_due(self) -> bool:
        return self.has_late or self.has_on_time


async def list_due_shards(session: AsyncSession) -> list[DueShard]:
    """The shards in which something is due by the database's clock, or will be in 2 seconds."""
    statement = _LIST_PLANNED_IN_CLUSTER if await is_in_cluster(session) else _LIST_PLANNED
    rows = await session.execute(
        statement,
        {"late": LATE, "foreseen": FORESEEN},
        execution_options={ACROSS_SHARDS: "due shards"},
    )
    return [
        DueShard(shard, float(seconds), has_late, has_on_time)
        for shard, seconds, has_late, has_on_time in rows
    ]
