"""Claims due deliveries under a lease, as many as their destinations and this process can take."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from event_trigger.db.shards import OwnedId, by_shard
from event_trigger.db.transactions import Transactions
from event_trigger.deliveries.mail.allowances import MailAllowances
from event_trigger.deliveries.queue.cleanup import QueueCleanup
from event_trigger.deliveries.queue.deliveries import ClaimedDelivery, ClaimLimit, DeliveryQueue
from event_trigger.deliveries.queue.destinations import (
    LockedDestination,
    QueueDestinations,
)
from event_trigger.deliveries.queue.queued import QueuedDestination

LOCKED_RETRY_SECONDS = 0.02  # another replica has the destination, for the length of a claim
LEASE_MARGIN = timedelta(seconds=15)  # a slow record must not look like a crash
GIVE_UPS_PER_CLAIM = 500  # of all shards: the transaction holds every due destination


@dataclass(frozen=True, slots=True)
class Reservation:
    """The capacity that this process keeps free for a destination: attempts, and their bytes."""

    destination: QueuedDestination
    count: int
    size: int

    @property
    def shard(self) -> int:
        return self.destination.shard


@dataclass(frozen=True, slots=True)
class Claims:
    """Claimed deliveries with their destinations; after each of `waits` (seconds) try again."""

    deliveries: Sequence[tuple[ClaimedDelivery, LockedDestination]]
    waits: Sequence[float]


async def claim_deliveries(
    transactions: Transactions,
    reservations: Sequence[Reservation],
    *,
    installation: str,
    mails: MailAllowances,
) -> Claims:
    """Claims due deliveries to some destinations in one transaction; in a cluster, of one shard.

    1. Locks the destinations that no other process has locked.
    2. Gives up deliveries to deleted destinations, and recovers expired leases.
    3. Claims for each destination as many as its breaker, its bucket and the reservation allow, and
       mails as the project may send.
    4. Gives up claimed deliveries whose payload is gone, and takes the tokens of the others.
    """
    reserved = {one.destination.destination_id: one for one in reservations}
    async with transactions.begin() as session:
        destinations, queue = QueueDestinations(session), DeliveryQueue(session)
        cleanup = QueueCleanup(session)
        wanted = [
            OwnedId(one.destination.owner_id, one.destination.destination_id)
            for one in reservations
        ]
        locked = await destinations.lock_enabled(wanted)
        waits = [LOCKED_RETRY_SECONDS] if len(locked) < len(reserved) else []
        if await _end_stale(queue, cleanup, [one for one in locked if one.is_stale]):
            waits.append(0.0)
        active = {one.id: one for one in locked if one.deleted_at is None}
        limits = _limits(active.values(), reserved, mails)
        claimed: Sequence[ClaimedDelivery] = ()
        if limits:
            claimed = await queue.claim(limits, installation=installation)
            claimed = await _without_lost_payloads(cleanup, claimed)
        counts = Counter(one.destination_id for one in claimed)
        buckets = {
            one.id: bucket.spent(counts[one.id])
            for one in active.values()
            if (bucket := one.bucket) is not None
        }
        for shard, limited in by_shard(active[one] for one in buckets).items():
            await destinations.save_buckets(shard, [(one.id, buckets[one.id]) for one in limited])
    waits += _count_mails(active.values(), counts, mails)
    waits += [one.seconds_until_next for one in buckets.values() if one.tokens < 1]
    if any(_may_have_more(one, counts, reserved) for one in limits):
        waits.append(0.0)
    return Claims([(one, active[one.destination_id]) for one in claimed], waits)


async def _end_stale(
    queue: DeliveryQueue, cleanup: QueueCleanup, stale: Iterable[LockedDestination]
) -> bool:
    """Gives up deliveries to deleted destinations, and recovers expired leases.

    Gives True when there may be more to give up than a claim does.
    """
    left = GIVE_UPS_PER_CLAIM
    for shard, locked in by_shard(stale).items():
        deleted = [one.id for one in locked if one.deleted_at is not None]
        if deleted and left:
            left -= await cleanup.give_up_deleted(shard, deleted, limit=left)
        if interrupted := [one.id for one in locked if one.expired_leases]:
            await queue.recover_leases(shard, interrupted)
    return left == 0


def _limits(
    destinations: Iterable[LockedDestination],
    reserved: Mapping[int, Reservation],
    mails: MailAllowances,
) -> list[ClaimLimit]:
    """Limits the claim for each destination; leaves out those that may get nothing now."""
    limits, planned = [], Counter[int]()
    for one in destinations:
        limit = _limit(one, reserved[one.id])
        if one.form.is_mail:
            wanted = planned[one.owner_id] + limit.count
            count = mails.room(one.owner_id, wanted) - planned[one.owner_id]
            planned[one.owner_id] += count
            limit = replace(limit, count=count)
        if limit.count > 0:
            limits.append(limit)
    return limits


def _count_mails(
    destinations: Iterable[LockedDestination], counts: Counter[int], mails: MailAllowances
) -> list[float]:
    """Counts claimed mails; gives the seconds until projects may send more that may now not."""
    owners = {one.id: one.owner_id for one in destinations if one.form.is_mail}
    for destination_id, owner_id in owners.items():
        mails.take(owner_id, counts[destination_id])
    waits = map(mails.seconds_until_next, {*owners.values()})
    return [seconds for seconds in waits if seconds > 0]


def _limit(destination: LockedDestination, reservation: Reservation) -> ClaimLimit:
    return ClaimLimit(
        destination.shard,
        destination.id,
        min(reservation.count, destination.free_slots),
        reservation.size,
        destination.now + timedelta(seconds=destination.timeout) + LEASE_MARGIN,
    )


async def _without_lost_payloads(
    cleanup: QueueCleanup, claimed: Sequence[ClaimedDelivery]
) -> Sequence[ClaimedDelivery]:
    lost = [one for one in claimed if one.payload is None and one.payload_size > 0]
    if not lost:
        return claimed
    for shard, group in by_shard(lost).items():
        await cleanup.give_up_without_payload(shard, sorted(one.id for one in group))
    return [one for one in claimed if one not in lost]


def _may_have_more(
    limit: ClaimLimit, counts: Counter[int], reserved: dict[int, Reservation]
) -> bool:
    """Whether a claim was full, and limited by this process alone and not by the destination."""
    reservation = reserved[limit.destination_id]
    return counts[limit.destination_id] == limit.count == reservation.count
