"""Counts refused calls in memory, and stores the counts now and then.

So a flood of them costs no statement of its own.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

import structlog
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.engine import Sessions
from event_trigger.db.shards import ACROSS_SHARDS, OwnedId
from event_trigger.db.transactions import BATCH_ROWS, in_batches
from event_trigger.models import HookRefusal

logger = structlog.get_logger()

MOST_COUNTED = 10_000  # triggers, minutes and reasons that wait to be stored
_MINUTE = timedelta(minutes=1)
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
REFUSALS_KEPT_FOR = timedelta(days=7)


class RefusalKey(NamedTuple):
    """A trigger, a minute and a reason: the calls that are one record."""

    trigger: OwnedId
    minute: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class RefusedCalls:
    """Calls of one record: how many, and the answer, method, address and time of the last one."""

    status: int
    method: str
    address: str | None
    count: int
    last_at: datetime


class RefusalLog:
    """The refused calls of one process that are not stored yet; a kill loses those of 2 s."""

    def __init__(self) -> None:
        self._counted: dict[RefusalKey, RefusedCalls] = {}

    def count(self, trigger: OwnedId, reason: str, calls: RefusedCalls) -> None:
        """Adds calls to their record; drops them if there are too many records already."""
        at = calls.last_at
        minute = at - (at - datetime.fromtimestamp(0, tz=at.tzinfo)) % _MINUTE
        self._add(RefusalKey(trigger, minute, reason), calls)

    def take(self) -> Sequence[tuple[RefusalKey, RefusedCalls]]:
        """Removes all records, in the order of their keys, to be stored."""
        taken, self._counted = self._counted, {}
        return sorted(taken.items(), key=lambda one: _order(one[0]))

    def put_back(self, records: Sequence[tuple[RefusalKey, RefusedCalls]]) -> None:
        """Adds records that could not be stored to those that came since."""
        for key, calls in records:
            self._add(key, calls)

    def _add(self, key: RefusalKey, calls: RefusedCalls) -> None:
        known = self._counted.get(key)
        if known is not None:
            latest = max(known, calls, key=lambda one: one.last_at)
            self._counted[key] = replace(latest, count=known.count + calls.count)
        elif len(self._counted) < MOST_COUNTED:
            self._counted[key] = calls


def _order(key: RefusalKey) -> tuple[int, int, datetime, str]:
    return key.trigger.shard, key.trigger.id, key.minute, key.reason


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


async def record_refusals(sessions: Sessions, log: RefusalLog) -> None:
    """Stores counted calls: two short transactions for each shard that has some.

    1. Add them to the records of their minutes.
    2. Delete records of their triggers beyond the newest 50: in a transaction of its own, so that
       it never waits for a replica that waits for this one.

    If a shard fails, its calls and those of later shards are counted again.
    """
    records = log.take()
    stored = 0
    try:
        for shard, group in groupby(records, key=lambda one: one[0].trigger.shard):
            of_shard = [*group]
            async with sessions.begin() as session:
                await HookRefusals(session).add(shard, of_shard)
            stored += len(of_shard)
            for key, calls in of_shard:
                logger.info(
                    "hook_refused",
                    trigger_id=key.trigger.id,
                    reason=key.reason,
                    status=calls.status,
                    count=calls.count,
                )
            async with sessions.begin() as session:
                ids = {key.trigger.id for key, _ in of_shard}
                await HookRefusals(session).trim(shard, ids)
    finally:
        log.put_back(records[stored:])


async def purge_refusals(sessions: Sessions, before: datetime) -> None:
    async def work(session: AsyncSession) -> int:
        return await HookRefusals(session).purge(before, limit=BATCH_ROWS)

    await in_batches(sessions, work)
