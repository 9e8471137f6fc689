"""Locks, cancels and queues many deliveries of one project, each in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.models import DeliveryStatus, Destination, shard_of

_ROWS_PER_READ = 1_000  # so that reading holds the event loop for a few milliseconds
_READ = """
    SELECT id, status, destination_id, event_id, triggered_at, payload_size,
        payload IS NOT NULL AS has_own_payload, next_attempt_at IS NOT NULL AS is_waiting,
        coalesce(leased_until > now(), false) AS is_in_flight
    FROM deliveries
    WHERE shard = :shard AND owner_id = :owner_id AND id = ANY (CAST(:ids AS bigint[]))
    ORDER BY id
"""
# a sender locks deliveries in another order: waiting for it could end in a deadlock
_READ_ALL, _LOCK_FREE = text(_READ), text(_READ + "FOR UPDATE SKIP LOCKED")
_CANCEL = text("""
    WITH cancelled AS (
        UPDATE deliveries SET status = :exhausted, error = NULL, leased_until = NULL,
            next_attempt_at = NULL, finished_at = statement_timestamp()
        WHERE shard = :shard AND id = ANY (CAST(:ids AS bigint[]))
        RETURNING id
    )
    DELETE FROM delivery_requests USING cancelled
    WHERE delivery_requests.shard = :shard AND delivery_id = cancelled.id
""")
_QUEUE_AGAIN = text("""
    UPDATE deliveries SET status = :pending, tries = 0, error = NULL, finished_at = NULL,
        leased_until = NULL, hops = greatest(hops, CAST(:hops AS smallint)),
        queued_at = statement_timestamp(),
        next_attempt_at = least(next_attempt_at, queued.first_at)
    FROM unnest(CAST(:ids AS bigint[]), CAST(:first_ats AS timestamptz[])) AS queued (id, first_at)
    WHERE deliveries.shard = :shard AND deliveries.id = queued.id
""")


class ActedDelivery(NamedTuple):
    """A delivery, as far as an action depends on it.

    `is_waiting` is False for a finished one; `is_in_flight` means an attempt under a valid lease.
    """

    id: int
    status: str
    destination_id: int
    event_id: int
    triggered_at: datetime
    payload_size: int
    has_own_payload: bool
    is_waiting: bool
    is_in_flight: bool


@dataclass(frozen=True)
class ManyDeliveries:
    """Deliveries of one project; those that are changed must have been locked."""

    session: AsyncSession
    owner_id: int

    @property
    def shard(self) -> int:
        return shard_of(self.owner_id)

    async def read(self, ids: Sequence[int], *, lock: bool) -> list[ActedDelivery]:
        """Reads deliveries by id; with `lock`, only those that no sender has locked just now."""
        found: list[ActedDelivery] = []
        for start in range(0, len(ids), _ROWS_PER_READ):
            part = ids[start : start + _ROWS_PER_READ]
            wanted = {"shard": self.shard, "owner_id": self.owner_id, "ids": part}
            rows = await self.session.execute(_LOCK_FREE if lock else _READ_ALL, wanted)
            found += map(ActedDelivery._make, rows)
        return found

    async def list_rate_limits(self, destination_ids: Sequence[int]) -> dict[int, float | None]:
        """Returns the rate limits of those destinations that are not deleted."""
        statement = select(Destination.id, Destination.rate_limit).where(
            Destination.shard == self.shard,
            Destination.owner_id == self.owner_id,
            Destination.id.in_(destination_ids),
            Destination.deleted_at.is_(None),
        )
        return {row.id: row.rate_limit for row in await self.session.execute(statement)}

    async def cancel(self, ids: Sequence[int]) -> None:
        wanted = {"shard": self.shard, "ids": ids, "exhausted": DeliveryStatus.EXHAUSTED}
        await self.session.execute(_CANCEL, wanted)

    async def queue_again(
        self, ids: Sequence[int], first_ats: Sequence[datetime], *, hops: int
    ) -> None:
        """Starts a new series of attempts, at these times or when one was due already."""
        wanted = {
            "shard": self.shard,
            "ids": ids,
            "first_ats": first_ats,
            "hops": hops,
            "pending": DeliveryStatus.PENDING,
        }
        await self.session.execute(_QUEUE_AGAIN, wanted)
