"""Attempts that were cut off, by a death or a shutdown: on record, and due for somebody else."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.models import DeliveryError

# whether it arrived nobody knows; it is on record, and costs none of the retries
_INTERRUPT = """
    WITH interrupted AS (
        UPDATE deliveries SET leased_until = NULL, next_attempt_at = now(),
            attempt_count = attempt_count + 1
        WHERE shard = :shard AND leased_until IS NOT NULL AND {condition}
        RETURNING id, attempt_count, leased_at
    )
    INSERT INTO delivery_attempts (shard, delivery_id, number, attempted_at, error)
    SELECT :shard, id, attempt_count, leased_at, :interrupted FROM interrupted
"""
_TAKE_OVER = text(
    _INTERRUPT.format(
        condition="destination_id = ANY (CAST(:ids AS bigint[])) AND leased_until <= now()"
    )
)
_GIVE_BACK = text(
    _INTERRUPT.format(
        condition="(id, lease) IN (SELECT * FROM unnest(CAST(:ids AS bigint[]),"
        " CAST(:leases AS bigint[])))"
    )
)


@dataclass(frozen=True)
class InterruptedAttempts:
    session: AsyncSession

    async def take_over(self, shard: int, destination_ids: Sequence[int]) -> None:
        """Makes due what was leased by somebody who has not been heard of since."""
        values = {
            "shard": shard,
            "ids": list(destination_ids),
            "interrupted": DeliveryError.INTERRUPTED,
        }
        await self.session.execute(_TAKE_OVER, values)

    async def give_back(self, shard: int, leases: Sequence[tuple[int, int]]) -> None:
        """Ends leases (delivery, number) of one's own, so that others need not wait for that."""
        values = {
            "shard": shard,
            "ids": [one for one, _ in leases],
            "leases": [lease for _, lease in leases],
            "interrupted": DeliveryError.INTERRUPTED,
        }
        await self.session.execute(_GIVE_BACK, values)
