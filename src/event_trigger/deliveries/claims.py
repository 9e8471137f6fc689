"""Claims due deliveries under a lease, as many as their destinations and this process can take."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from event_trigger.db.engine import Sessions
from event_trigger.deliveries.queue.cleanup import QueueCleanup
from event_trigger.deliveries.queue.deliveries import ClaimedDelivery, ClaimLimit, DeliveryQueue
from event_trigger.deliveries.queue.destinations import (
    LockedDestination,
    QueuedDestination,
    QueueDestinations,
)

LOCKED_RETRY_SECONDS = 0.02  # another replica has the destination, for the length of a claim
LEASE_MARGIN = timedelta(seconds=15)  # a slow record must not look like a crash
GIVE_UPS_PER_BATCH = 5_000


@dataclass(frozen=True, slots=True)
class Reservation:
    """The capacity that this process keeps free for a destination: attempts, and their bytes."""

    destination: QueuedDestination
    count: int
    size: int


@dataclass(frozen=True, slots=True)
class Claims:
    """Claimed deliveries with their destinations; after each of `waits` (seconds) try again."""

    deliveries: Sequence[tuple[ClaimedDelivery, LockedDestination]]
    waits: Sequence[float]


async def claim_deliveries(
    sessions: Sessions, shard: int, reservations: Sequence[Reservation], *, installation: str
) -> Claims:
    """Claims due deliveries to some destinations of a shard, in one transaction.

    1. Locks the destinations that no other process has locked.
    2. Gives up deliveries to deleted destinations, and recovers expired leases.
    3. Claims for each destination as many as its breaker, its bucket and the reservation allow.
    4. Gives up claimed deliveries whose payload is gone, and takes the tokens of the others.
    """
    reserved = {one.destination.destination_id: one for one in reservations}
    async with sessions.begin() as session:
        destinations, queue = QueueDestinations(session), DeliveryQueue(session)
        cleanup = QueueCleanup(session)
        locked = await destinations.lock_enabled(shard, sorted(reserved))
        waits = [LOCKED_RETRY_SECONDS] if len(locked) < len(reserved) else []
        if await _end_stale(queue, cleanup, shard, locked):
            waits.append(0.0)
        active = {one.id: one for one in locked if one.deleted_at is None}
        limits = [
            limit for one in active.values() if (limit := _limit(one, reserved[one.id])).count > 0
        ]
        claimed: Sequence[ClaimedDelivery] = ()
        if limits:
            claimed = await queue.claim(shard, limits, installation=installation)
            claimed = await _without_lost_payloads(cleanup, shard, claimed)
        counts = Counter(one.destination_id for one in claimed)
        buckets = [
            (one.id, bucket.spent(counts[one.id]))
            for one in active.values()
            if (bucket := one.bucket) is not None
        ]
        if buckets:
            await destinations.save_buckets(shard, buckets)
    waits += [bucket.seconds_until_next for _, bucket in buckets if bucket.tokens < 1]
    if any(_may_have_more(one, counts, reserved) for one in limits):
        waits.append(0.0)
    return Claims([(one, active[one.destination_id]) for one in claimed], waits)


async def _end_stale(
    queue: DeliveryQueue, cleanup: QueueCleanup, shard: int, locked: Sequence[LockedDestination]
) -> bool:
    """Gives up deliveries to deleted destinations, and recovers expired leases.

    Gives True when there may be more to give up than a batch.
    """
    count = 0
    if deleted := [one.id for one in locked if one.deleted_at is not None]:
        count = await cleanup.give_up_deleted(shard, deleted, limit=GIVE_UPS_PER_BATCH)
    if interrupted := [one.id for one in locked if one.expired_leases]:
        await queue.recover_leases(shard, interrupted)
    return count == GIVE_UPS_PER_BATCH


def _limit(destination: LockedDestination, reservation: Reservation) -> ClaimLimit:
    return ClaimLimit(
        destination.id,
        min(reservation.count, destination.free_slots),
        reservation.size,
        destination.now + timedelta(seconds=destination.timeout) + LEASE_MARGIN,
    )


async def _without_lost_payloads(
    cleanup: QueueCleanup, shard: int, claimed: Sequence[ClaimedDelivery]
) -> Sequence[ClaimedDelivery]:
    lost = {one.id for one in claimed if one.payload is None and one.payload_size > 0}
    if not lost:
        return claimed
    await cleanup.give_up_without_payload(shard, sorted(lost))
    return [one for one in claimed if one.id not in lost]


def _may_have_more(
    limit: ClaimLimit, counts: Counter[int], reserved: dict[int, Reservation]
) -> bool:
    """Whether a claim was full, and limited by this process alone and not by the destination."""
    reservation = reserved[limit.destination_id]
    return counts[limit.destination_id] == limit.count == reservation.count
