"""Deliveries that nobody waits for any longer: given up on record, and in the end purged."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.models import DeliveryError, DeliveryStatus

GIVEN_UP_AFTER = timedelta(days=7)

# an attempt that is under way is not given up: whoever holds the lease records what came of it
_GIVE_UP = """
    UPDATE deliveries SET status = :exhausted, error = :error, leased_until = NULL,
        next_attempt_at = NULL, finished_at = statement_timestamp()
    WHERE shard = :shard AND {which}
"""
_OF_DESTINATIONS = """ctid = ANY (ARRAY(
        SELECT ctid FROM deliveries
        WHERE shard = :shard AND destination_id = ANY (CAST(:ids AS bigint[]))
            AND {condition} AND (leased_until IS NULL OR leased_until < now())
        LIMIT :limit FOR UPDATE SKIP LOCKED
    ))"""
_GIVE_UP_DELETED, _GIVE_UP_EXPIRED = (
    text(_GIVE_UP.format(which=_OF_DESTINATIONS.format(condition=condition)))
    for condition in (
        "next_attempt_at IS NOT NULL",
        "next_attempt_at < now() - CAST(:after AS interval)",
    )
)
_GIVE_UP_EMPTY = text(_GIVE_UP.format(which="id = ANY (CAST(:ids AS bigint[]))"))
# statuses are written out, because a partial index serves only what is known when planning
_PURGE = """
    WITH purged AS (
        DELETE FROM deliveries WHERE (shard, id) IN (
            SELECT shard, id FROM deliveries
            WHERE status = '{status}' AND finished_at < now() - CAST(:after AS interval)
            ORDER BY finished_at LIMIT :limit
        )
        RETURNING shard, id
    ), attempts AS (
        DELETE FROM delivery_attempts USING purged
        WHERE delivery_attempts.shard = purged.shard AND delivery_id = purged.id
    )
    SELECT count(*) FROM purged
"""
_PURGES = {one: text(_PURGE.format(status=one)) for one in DeliveryStatus}


@dataclass(frozen=True)
class UndeliverableQueue:
    """All in short steps: a statement that takes too long is cancelled, and would be for ever."""

    session: AsyncSession

    async def give_up_deleted(self, shard: int, ids: Sequence[int], *, limit: int) -> int:
        """Puts on record that nothing more goes to destinations that were deleted."""
        wanted = {"shard": shard, "ids": list(ids), "limit": limit}
        return await self._give_up(_GIVE_UP_DELETED, DeliveryError.DESTINATION_DELETED, wanted)

    async def give_up_expired(self, shard: int, destination_id: int, *, limit: int) -> int:
        """Puts on record that what has been due for a week is not waited for any longer."""
        wanted = {"shard": shard, "ids": [destination_id], "limit": limit, "after": GIVEN_UP_AFTER}
        return await self._give_up(_GIVE_UP_EXPIRED, DeliveryError.EXPIRED, wanted)

    async def give_up_empty(self, shard: int, delivery_ids: Sequence[int]) -> None:
        """Puts on record that these cannot be sent: their payload is nowhere any more."""
        wanted = {"shard": shard, "ids": list(delivery_ids)}
        await self._give_up(_GIVE_UP_EMPTY, DeliveryError.PAYLOAD_GONE, wanted)

    async def _give_up(
        self, statement: TextClause, error: DeliveryError, wanted: dict[str, Any]
    ) -> int:
        values = {**wanted, "exhausted": DeliveryStatus.EXHAUSTED, "error": error}
        done = await self.session.execute(statement, values)
        return done.rowcount  # type: ignore[attr-defined, no-any-return]

    async def purge(self, status: DeliveryStatus, *, after: timedelta, limit: int) -> int:
        """Deletes some that were finished longer ago than that, with their attempts."""
        options = {ACROSS_SHARDS: "retention"}
        wanted = {"after": after, "limit": limit}
        count = await self.session.scalar(_PURGES[status], wanted, execution_options=options)
        return int(count or 0)
