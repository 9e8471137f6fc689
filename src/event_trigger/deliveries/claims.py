"""Takes what is due under a lease: as much as a destination, and this process, can take on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from event_trigger.db.engine import Sessions
from event_trigger.deliveries.completer import breaker_of
from event_trigger.deliveries.giving_up import UndeliverableQueue
from event_trigger.deliveries.interruption import InterruptedAttempts
from event_trigger.deliveries.queue import Claimed, Granted, Queue
from event_trigger.deliveries.waiting import Waiting
from event_trigger.destinations.circuit_breaker import room
from event_trigger.destinations.token_bucket import TokenBucket

HELD_WAIT = 0.02  # a destination in another replica's hands is looked at again soon
LEASE_MARGIN = timedelta(seconds=15)  # a slow record must not look like a crash
LARGEST_GIVE_UP = 5_000


@dataclass(frozen=True, slots=True)
class Part:
    """What this process keeps free for a destination: so many attempts, of so many bytes."""

    destination: Waiting
    count: int
    size: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Deliveries with their destinations, and the seconds after which more may be had."""

    taken: Sequence[tuple[Claimed, Claimed]]
    waits: Sequence[float]


async def claim(
    sessions: Sessions, shard: int, parts: Sequence[Part], *, installation: str
) -> Claim:
    """Claims what is due at some destinations of a shard, and gives up what deleted ones had."""
    wanted = {one.destination.destination_id: one for one in parts}
    async with sessions.begin() as session:
        queue = Queue(session)
        locked = await queue.lock_destinations(shard, sorted(wanted), wait=False)
        waits = [HELD_WAIT] if len(locked) < len(wanted) else []
        if deleted := [one.id for one in locked if one.deleted_at is not None]:
            given_up = await UndeliverableQueue(session).give_up_deleted(
                shard, deleted, limit=LARGEST_GIVE_UP
            )
            waits += [0.0] if given_up == LARGEST_GIVE_UP else []
        if abandoned := [one.id for one in locked if one.abandoned]:
            await InterruptedAttempts(session).take_over(shard, abandoned)
        open_ones = {one.id: one for one in locked if one.deleted_at is None}
        granted = [
            Granted(one.id, count, wanted[one.id].size, _lease_end(one))
            for one in open_ones.values()
            if (count := min(wanted[one.id].count, _room(one))) > 0
        ]
        rows: Sequence[Claimed] = ()
        if granted:
            rows = await queue.claim(shard, granted, installation=installation)
        if empty := [row.id for row in rows if row.payload is None and row.payload_size > 0]:
            await UndeliverableQueue(session).give_up_empty(shard, empty)
            rows = [row for row in rows if row.id not in empty]
        claimed = _count(rows)
        buckets = {
            one.id: bucket.taken(claimed.get(one.id, 0))
            for one in open_ones.values()
            if (bucket := _bucket(one)) is not None
        }
        if buckets:
            await queue.save_buckets(shard, list(buckets.items()))
    waits += [one.seconds_until_next for one in buckets.values() if one.tokens < 1]
    for one in granted:  # was it only this process that set the limit? then there may be more
        if claimed.get(one.destination_id) == one.count == wanted[one.destination_id].count:
            waits.append(0.0)
    return Claim([(row, open_ones[row.destination_id]) for row in rows], waits)


def _count(rows: Sequence[Claimed]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for row in rows:
        counts[row.destination_id] = counts.get(row.destination_id, 0) + 1
    return counts


def _lease_end(destination: Claimed) -> datetime:
    end: datetime = destination.now + timedelta(seconds=destination.timeout) + LEASE_MARGIN
    return end


def _room(destination: Claimed) -> int:
    return room(
        breaker_of(destination),
        _bucket(destination),
        widest=destination.max_concurrency,
        in_flight=destination.in_flight,
        held_until=destination.held_until,
        now=destination.now,
    )


def _bucket(destination: Claimed) -> TokenBucket | None:
    if destination.rate_limit is None:
        return None
    bucket = TokenBucket(destination.rate_limit, destination.tokens, destination.tokens_at)
    return bucket.filled(now=destination.now)
