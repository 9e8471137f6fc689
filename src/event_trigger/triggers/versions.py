"""Records ended schedules and unfired instants, by which the past is accounted for."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.batches import BATCH_ROWS, in_batches
from event_trigger.db.engine import Sessions
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.models import ScheduleVersion
from event_trigger.triggers.schedule.plan import UnfiredInstants

_INSERT_UNFIRED = text("""
    INSERT INTO unfired_ranges
        (shard, owner_id, trigger_id, version, first_at, last_at, count, reason)
    SELECT CAST(:shard AS smallint), unfired.*
    FROM unnest(
        CAST(:owner_ids AS bigint[]), CAST(:trigger_ids AS bigint[]), CAST(:versions AS bigint[]),
        CAST(:first_ats AS timestamptz[]), CAST(:last_ats AS timestamptz[]),
        CAST(:counts AS bigint[]), CAST(:reasons AS text[])
    ) AS unfired
""")
_PURGE_OLD = """
    WITH purged AS (
        DELETE FROM {table} WHERE ({key}) IN (
            SELECT {key} FROM {table} WHERE {ended} <= :before ORDER BY {ended} LIMIT :limit
        )
        RETURNING shard
    )
    SELECT count(*) FROM purged
"""
_PURGE_UNFIRED = text(
    _PURGE_OLD.format(table="unfired_ranges", key="shard, id", ended="recorded_at")
)
_PURGE_VERSIONS = text(
    _PURGE_OLD.format(table="schedule_versions", key="shard, trigger_id, version", ended="ends_at")
)


@dataclass(frozen=True, slots=True)
class NewUnfiredRange:
    """A range of unfired instants to record, of one version of a trigger's schedule."""

    owner_id: int
    trigger_id: int
    version: int
    unfired: UnfiredInstants


@dataclass(frozen=True)
class ScheduleHistory:
    session: AsyncSession

    async def record_unfired(self, shard: int, new: Sequence[NewUnfiredRange]) -> None:
        ranges = [one.unfired.instants for one in new]
        await self.session.execute(
            _INSERT_UNFIRED,
            {
                "shard": shard,
                "owner_ids": [one.owner_id for one in new],
                "trigger_ids": [one.trigger_id for one in new],
                "versions": [one.version for one in new],
                "first_ats": [one.first for one in ranges],
                "last_ats": [one.last for one in ranges],
                "counts": [one.count for one in ranges],
                "reasons": [one.unfired.reason for one in new],
            },
        )

    async def record_version(self, version: ScheduleVersion) -> None:
        """Records a schedule that has just ended."""
        self.session.add(version)
        await self.session.flush()


async def purge_history(sessions: Sessions, before: datetime) -> None:
    """Deletes older records in batches; the schedules last, since unfired ranges refer to them."""

    def purge(statement: TextClause) -> Callable[[AsyncSession], Awaitable[int]]:
        async def work(session: AsyncSession) -> int:
            values, options = {"before": before, "limit": BATCH_ROWS}, {ACROSS_SHARDS: "retention"}
            return await session.scalar(statement, values, execution_options=options) or 0

        return work

    if await in_batches(sessions, purge(_PURGE_UNFIRED)):
        await in_batches(sessions, purge(_PURGE_VERSIONS))
