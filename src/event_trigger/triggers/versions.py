"""What accounts for the past: schedules that have ended, and instants that did not fire."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.batches import BATCH, in_batches
from event_trigger.db.engine import Sessions
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.models import ScheduleVersion
from event_trigger.triggers.schedule.plan import Unfired

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
_PURGE = """
    WITH purged AS (
        DELETE FROM {table} WHERE ({key}) IN (
            SELECT {key} FROM {table} WHERE {ended} <= :since ORDER BY {ended} LIMIT :limit
        )
        RETURNING shard
    )
    SELECT count(*) FROM purged
"""
_PURGE_UNFIRED = text(_PURGE.format(table="unfired_ranges", key="shard, id", ended="recorded_at"))
_PURGE_VERSIONS = text(
    _PURGE.format(table="schedule_versions", key="shard, trigger_id, version", ended="ends_at")
)


@dataclass(frozen=True, slots=True)
class UnfiredOf:
    """Instants that did not fire, of one version of a trigger's schedule."""

    owner_id: int
    trigger_id: int
    version: int
    unfired: Unfired


@dataclass(frozen=True)
class History:
    session: AsyncSession

    async def record_unfired(self, shard: int, found: Sequence[UnfiredOf]) -> None:
        stretches = [one.unfired.stretch for one in found]
        await self.session.execute(
            _INSERT_UNFIRED,
            {
                "shard": shard,
                "owner_ids": [one.owner_id for one in found],
                "trigger_ids": [one.trigger_id for one in found],
                "versions": [one.version for one in found],
                "first_ats": [one.first for one in stretches],
                "last_ats": [one.last for one in stretches],
                "counts": [one.count for one in stretches],
                "reasons": [one.unfired.reason for one in found],
            },
        )

    async def record_version(self, version: ScheduleVersion) -> None:
        """Keeps a schedule that has just ended."""
        self.session.add(version)
        await self.session.flush()


async def retain_history(sessions: Sessions, since: datetime) -> None:
    """Forgets what is older, in short steps: what did not fire before the schedules it was of."""

    def purge(statement: TextClause) -> Callable[[AsyncSession], Awaitable[int]]:
        async def work(session: AsyncSession) -> int:
            wanted, options = {"since": since, "limit": BATCH}, {ACROSS_SHARDS: "retention"}
            return await session.scalar(statement, wanted, execution_options=options) or 0

        return work

    if await in_batches(sessions, purge(_PURGE_UNFIRED)):
        await in_batches(sessions, purge(_PURGE_VERSIONS))
