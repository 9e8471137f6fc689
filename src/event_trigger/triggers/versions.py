"""Records ended schedules and unfired instants, by which the past is accounted for."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    TextClause,
    insert,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.citus.few_rows import FewRows
from event_trigger.db.citus.minutes import Counted, count_by_minute
from event_trigger.db.engine import Sessions
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import ACROSS_SHARDS, OwnedId
from event_trigger.db.transactions import BATCH_ROWS, after_commit, in_batches
from event_trigger.models import CountedMeasure, ScheduleVersion, shard_of
from event_trigger.models.minute_count import (
    NO_DURATION,
    OWN_PART,
    add_to_minutes,
    minute_of,
)
from event_trigger.telemetry import count_unfired
from event_trigger.triggers.schedule.plan import UnfiredInstants

# each statement also counts the instants, in the minute in which they are recorded
_COUNT_UNFIRED = add_to_minutes(f"""
    SELECT CAST(:shard AS smallint), owner_id, '{CountedMeasure.UNFIRED}', {minute_of("now()")},
        reason, 0, {NO_DURATION}, {OWN_PART}, CAST(sum(count) AS bigint), CAST(NULL AS float8)
    FROM unfired GROUP BY owner_id, reason
""")  # noqa: S608
_INSERT_UNFIRED = text(f"""
    WITH unfired AS MATERIALIZED (
        SELECT * FROM unnest(
            CAST(:owner_ids AS bigint[]), CAST(:trigger_ids AS bigint[]),
            CAST(:versions AS bigint[]), CAST(:first_ats AS timestamptz[]),
            CAST(:last_ats AS timestamptz[]), CAST(:counts AS bigint[]), CAST(:reasons AS text[])
        ) AS new (owner_id, trigger_id, version, first_at, last_at, count, reason)
    ), counted AS ({_COUNT_UNFIRED})
    INSERT INTO unfired_ranges
        (shard, owner_id, trigger_id, version, first_at, last_at, count, reason)
    SELECT CAST(:shard AS smallint), unfired.* FROM unfired
""")  # noqa: S608
_EXTEND = """
    UPDATE unfired_ranges SET
        last_at = new.last_at, count = unfired_ranges.count + new.count,
        recorded_at = now()
    FROM unnest(
        CAST(:trigger_ids AS bigint[]), CAST(:versions AS bigint[]),
        CAST(:afters AS timestamptz[]), CAST(:last_ats AS timestamptz[]),
        CAST(:counts AS bigint[]), CAST(:reasons AS text[])
    ) AS new (trigger_id, version, after, last_at, count, reason)
    WHERE unfired_ranges.shard = :shard AND unfired_ranges.trigger_id = new.trigger_id
        AND unfired_ranges.last_at = new.after AND unfired_ranges.version = new.version
        AND unfired_ranges.reason = new.reason
    RETURNING unfired_ranges.trigger_id
"""
_EXTEND_UNFIRED = text(f"""
    WITH unfired AS ({_EXTEND}, unfired_ranges.owner_id, new.count, new.reason),
    counted AS ({_COUNT_UNFIRED})
    SELECT trigger_id FROM unfired
""")  # noqa: S608
_EXTEND_IN_CLUSTER = text(_EXTEND)
_INSERT_IN_CLUSTER = FewRows(
    """
    INSERT INTO unfired_ranges
        (shard, owner_id, trigger_id, version, first_at, last_at, count, reason)
    """,
    """(
    CAST(:shard AS smallint), (CAST(:owner_ids AS bigint[]))[{place}],
    (CAST(:trigger_ids AS bigint[]))[{place}], (CAST(:versions AS bigint[]))[{place}],
    (CAST(:first_ats AS timestamptz[]))[{place}], (CAST(:last_ats AS timestamptz[]))[{place}],
    (CAST(:counts AS bigint[]))[{place}], (CAST(:reasons AS text[]))[{place}])""",
)
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
_PURGE_CHANGES = text(
    _PURGE_OLD.format(table="heartbeat_changes", key="shard, id", ended="changed_at")
)
_PURGE_VERSIONS = text(
    _PURGE_OLD.format(table="schedule_versions", key="shard, trigger_id, version", ended="ends_at")
)


@dataclass(frozen=True, slots=True)
class NewUnfiredRange:
    """A range of unfired instants to record, of one version of a trigger's schedule.

    `after` is the last instant before it, if a range on record may end there and go on with it.
    """

    owner_id: int
    trigger_id: int
    version: int
    unfired: UnfiredInstants
    after: datetime | None = None

    @property
    def shard(self) -> int:
        return shard_of(self.owner_id)


@dataclass(frozen=True)
class UnfiredRanges:
    session: ReadSession

    async def record(self, shard: int, new: Sequence[NewUnfiredRange]) -> None:
        """Records ranges; those with `after` extend the range with the same reason that ends there.

        So a trigger that fails for hours every second has one row, and not thousands. In a cluster
        the instants are counted by a statement of their own.
        """
        going_on = [one for one in new if one.after is not None]
        extended = await self._extend(shard, going_on) if going_on else set()
        added = [one for one in new if one.after is None or one.trigger_id not in extended]
        in_cluster = await is_in_cluster(self.session)
        if added and in_cluster:
            await _INSERT_IN_CLUSTER.insert_all(self.session, _columns(added), shard=shard)
        elif added:
            await self.session.execute(_INSERT_UNFIRED, {"shard": shard, **_columns(added)})
        if in_cluster:
            counted = [
                Counted(one.owner_id, one.unfired.reason, one.unfired.instants.count) for one in new
            ]
            await count_by_minute(self.session, shard, CountedMeasure.UNFIRED, counted)
        counts = [(one.unfired.reason, one.unfired.instants.count) for one in new]
        after_commit(self.session, lambda: count_unfired(counts))

    async def _extend(self, shard: int, new: Sequence[NewUnfiredRange]) -> set[int]:
        """Extends ranges, one of each trigger at most; returns the ids of their triggers."""
        values = {"shard": shard, **_columns(new), "afters": [one.after for one in new]}
        in_cluster = await is_in_cluster(self.session)
        extend = _EXTEND_IN_CLUSTER if in_cluster else _EXTEND_UNFIRED
        return {row[0] for row in await self.session.execute(extend, values)}


@dataclass(frozen=True)
class ScheduleHistory:
    session: AsyncSession

    async def list_newest(self, trigger: OwnedId, *, limit: int) -> Sequence[ScheduleVersion]:
        """Lists the former schedules of a trigger, newest first."""
        statement = (
            select(ScheduleVersion)
            .where(
                ScheduleVersion.shard == trigger.shard,
                ScheduleVersion.trigger_id == trigger.id,
            )
            .order_by(ScheduleVersion.version.desc())
            .limit(limit)
        )
        return (await self.session.scalars(statement)).all()

    async def record_version(self, *versions: ScheduleVersion) -> None:
        """Records schedules that have just ended."""
        names = ScheduleVersion.__table__.columns.keys()
        rows = [{name: getattr(one, name) for name in names} for one in versions]
        if rows:
            await self.session.execute(insert(ScheduleVersion), rows)


def _columns(new: Sequence[NewUnfiredRange]) -> dict[str, list[Any]]:
    ranges = [one.unfired.instants for one in new]
    return {
        "owner_ids": [one.owner_id for one in new],
        "trigger_ids": [one.trigger_id for one in new],
        "versions": [one.version for one in new],
        "first_ats": [one.first for one in ranges],
        "last_ats": [one.last for one in ranges],
        "counts": [one.count for one in ranges],
        "reasons": [one.unfired.reason for one in new],
    }


async def purge_history(sessions: Sessions, before: datetime) -> None:
    """Deletes older records in batches; the schedules last, since unfired ranges refer to them."""

    def purge(statement: TextClause) -> Callable[[AsyncSession], Awaitable[int]]:
        async def work(session: AsyncSession) -> int:
            values, options = {"before": before, "limit": BATCH_ROWS}, {ACROSS_SHARDS: "retention"}
            return await session.scalar(statement, values, execution_options=options) or 0

        return work

    await in_batches(sessions, purge(_PURGE_CHANGES))
    if await in_batches(sessions, purge(_PURGE_UNFIRED)):
        await in_batches(sessions, purge(_PURGE_VERSIONS))
