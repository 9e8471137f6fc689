"""Stores the refused calls that a process has counted, and purges old records."""

from datetime import datetime, timedelta
from itertools import groupby

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.batches import BATCH_ROWS, in_batches
from event_trigger.db.engine import Sessions
from event_trigger.hooks.refusals.log import RefusalLog
from event_trigger.hooks.refusals.repository import HookRefusals

logger = structlog.get_logger()

REFUSALS_KEPT_FOR = timedelta(days=7)


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
