"""Stores, lists and purges records of refused calls."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import ACROSS_SHARDS, OwnedId
from event_trigger.hooks.refusals.log import RefusalKey, RefusedCalls
from event_trigger.models import HookRefusal

MOST_KEPT = 50  # records of a trigger
_ADD = text("""
    INSERT INTO hook_refusals
        (shard, trigger_id, owner_id, minute, reason, status, method, address, count, last_at)
    SELECT CAST(:shard AS smallint), new.* FROM unnest(
        CAST(:trigger_ids AS bigint[]), CAST(:owner_ids AS bigint[]),
        CAST(:minutes AS timestamptz[]), CAST(:reasons AS text[]), CAST(:statuses AS smallint[]),
        CAST(:methods AS text[]), CAST(:addresses AS text[]), CAST(:counts AS bigint[]),
        CAST(:last_ats AS timestamptz[])
    ) AS new (trigger_id, owner_id, minute, reason, status, method, address, count, last_at)
    ORDER BY new.trigger_id, new.minute, new.reason
    ON CONFLICT (shard, trigger_id, minute, reason) DO UPDATE SET
        count = hook_refusals.count + excluded.count, status = excluded.status,
        method = excluded.method, address = excluded.address,
        last_at = GREATEST(hook_refusals.last_at, excluded.last_at)
""")
# those that another replica has locked are trimmed by it, or next time
_TRIM = text("""
    DELETE FROM hook_refusals WHERE shard = :shard AND (trigger_id, minute, reason) IN (
        SELECT trigger_id, minute, reason FROM hook_refusals
        WHERE shard = :shard AND (trigger_id, minute, reason) IN (
            SELECT trigger_id, minute, reason FROM (
                SELECT trigger_id, minute, reason, row_number() OVER (
                    PARTITION BY trigger_id ORDER BY minute DESC, reason) AS place
                FROM hook_refusals
                WHERE shard = :shard AND trigger_id = ANY (CAST(:trigger_ids AS bigint[]))
            ) AS ranked WHERE place > :most
        )
        FOR UPDATE SKIP LOCKED
    )
""")
_PURGE = text("""
    WITH purged AS (
        DELETE FROM hook_refusals WHERE (shard, trigger_id, minute, reason) IN (
            SELECT shard, trigger_id, minute, reason FROM hook_refusals
            WHERE minute < :before ORDER BY minute LIMIT :limit
        )
        RETURNING shard
    )
    SELECT count(*) FROM purged
""")


@dataclass(frozen=True)
class HookRefusals:
    session: AsyncSession

    async def add(self, shard: int, records: Sequence[tuple[RefusalKey, RefusedCalls]]) -> None:
        """Adds records of one shard, in the order of their keys, to those of other replicas."""
        keys, calls = zip(*records, strict=True)
        values = {
            "shard": shard,
            "trigger_ids": [one.trigger.id for one in keys],
            "owner_ids": [one.trigger.owner_id for one in keys],
            "minutes": [one.minute for one in keys],
            "reasons": [one.reason for one in keys],
            "statuses": [one.status for one in calls],
            "methods": [one.method for one in calls],
            "addresses": [one.address for one in calls],
            "counts": [one.count for one in calls],
            "last_ats": [one.last_at for one in calls],
        }
        await self.session.execute(_ADD, values)

    async def trim(self, shard: int, trigger_ids: Collection[int]) -> None:
        """Deletes all but the newest records of these triggers."""
        values = {"shard": shard, "trigger_ids": [*trigger_ids], "most": MOST_KEPT}
        await self.session.execute(_TRIM, values)

    async def list_newest(self, trigger: OwnedId) -> Sequence[HookRefusal]:
        """Lists the newest records of a trigger, newest first."""
        statement = (
            select(HookRefusal)
            .where(HookRefusal.shard == trigger.shard, HookRefusal.trigger_id == trigger.id)
            .order_by(HookRefusal.minute.desc(), HookRefusal.reason)
            .limit(MOST_KEPT)
        )
        found = (await self.session.scalars(statement)).all()
        return sorted(found, key=lambda one: one.last_at, reverse=True)

    async def purge(self, before: datetime, *, limit: int) -> int:
        """Deletes a batch of older records of all triggers; gives their number."""
        values, options = {"before": before, "limit": limit}, {ACROSS_SHARDS: "retention"}
        return await self.session.scalar(_PURGE, values, execution_options=options) or 0
