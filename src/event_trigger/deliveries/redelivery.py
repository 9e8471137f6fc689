"""Sends deliveries again: a single one, or all exhausted ones of a destination, at a pace."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import record
from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.db.notify import DELIVERIES_CHANGED, notify
from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.payloads.repository import Payloads
from event_trigger.deliveries.repository import Deliveries, Exhausted
from event_trigger.deliveries.schemas import Redelivery
from event_trigger.destinations.repository import Destinations
from event_trigger.errors import Conflict, Invalid, LimitReached, NotFound
from event_trigger.models import Delivery, DeliveryStatus

_PACE = timedelta(milliseconds=20)  # between two deliveries: new events come in between
_REDELIVERY_BATCH = 5_000
MOST_RESTORED_BYTES = 32 * 1024 * 1024  # of payloads, in one transaction


class AttemptUnderWay(Conflict):
    slug, title = "attempt-under-way", "An attempt is under way"
    default_detail = "An attempt of this delivery is under way. Try again in a moment."


class DestinationGone(Conflict):
    slug, title = "destination-deleted", "The destination was deleted"
    default_detail = "The destination of this delivery was deleted, so it cannot be sent again."


class PayloadGone(Conflict):
    slug, title = "payload-gone", "The payload is gone"
    default_detail = (
        "The payload of this delivery is not stored any more, and its event is gone, so it cannot"
        " be sent again."
    )


class BacklogFull(LimitReached):
    slug, title = "backlog-full", "The backlog is full"
    counted, setting = "bytes of undelivered payloads", "EVENT_TRIGGER_MAX_BACKLOG_BYTES"
    instead = "This delivery's payload would be one more: try again when fewer are waiting"


async def redeliver(session: AsyncSession, key: OwnedId, *, hops: int, most_bytes: int) -> Delivery:
    """Starts a new round of attempts now, whether or not the last one succeeded.

    `hops` is the request's count of hops, so that a loop of redeliveries ends too. `most_bytes` is
    the limit of a project's backlog. Raises NotFound, DestinationGone, AttemptUnderWay, PayloadGone
    or BacklogFull.
    """
    delivery = await Deliveries(session).get_locked(key)
    if delivery is None:
        raise NotFound
    destination = OwnedId(delivery.owner_id, delivery.destination_id)
    if await Destinations(session).get(destination) is None:
        raise DestinationGone
    now = await database_now(session)
    if delivery.leased_until is not None and delivery.leased_until > now:
        raise AttemptUnderWay(headers={"Retry-After": "1"})
    await _keep_payload(session, key, delivery, most_bytes)
    delivery.status = DeliveryStatus.PENDING
    delivery.tries = 0
    delivery.hops = max(delivery.hops, hops)
    delivery.error = delivery.finished_at = delivery.leased_until = None
    delivery.queued_at = delivery.next_attempt_at = now
    await session.flush()
    await record(
        session,
        "delivery",
        delivery.id,
        after={"status": delivery.status},
        project_id=delivery.owner_id,
    )
    await notify(session, DELIVERIES_CHANGED)
    return delivery


async def _keep_payload(
    session: AsyncSession, key: OwnedId, delivery: Delivery, most_bytes: int
) -> None:
    """Locks the payload or stores it again; raises PayloadGone or BacklogFull."""
    payloads = Payloads(session)
    if delivery.payload_size == 0 or await payloads.lock(key.shard, [delivery.event_id], wait=True):
        return
    if await Deliveries(session).has_own_payload(key):
        return
    if await payloads.is_full(key.owner_id):
        raise BacklogFull(used=await payloads.backlog_of(key.owner_id), most=most_bytes)
    if not await payloads.restore(key.shard, {delivery.event_id: delivery.triggered_at}):
        raise PayloadGone


async def redeliver_exhausted(sessions: Sessions, key: OwnedId, wanted: Redelivery) -> int:
    """Queues exhausted deliveries of a span again, in batches; gives their number.

    They take half of the destination's rate limit, and leave the rest for new events. A delivery
    that fails again during the call is not queued twice. A delivery whose payload is not stored
    any more stays exhausted if its event is gone too, or if the owner's backlog is full.
    """
    if wanted.until <= wanted.since:
        raise Invalid.at(["until"], "`until` must be later than `since`.")
    async with sessions() as session:
        destination = await Destinations(session).get(key)
        start = await database_now(session)
    if destination is None:
        raise NotFound
    pace = pace_of(destination.rate_limit)
    count, last = 0, None
    while True:
        async with sessions.begin() as session:
            chosen = await Deliveries(session).choose_exhausted(
                key,
                since=wanted.since,
                until=wanted.until,
                before=start,
                after=last,
                limit=_REDELIVERY_BATCH,
            )
            batch = _limit_restored(chosen)
            ids = await _list_sendable(session, key, batch)
            if ids:
                first_at = start + count * pace
                await Deliveries(session).redeliver(key.shard, ids, start=first_at, pace=pace)
                await notify(session, DELIVERIES_CHANGED)
                await record(
                    session,
                    "destination",
                    key.id,
                    after={"redelivered": len(ids)},
                    project_id=key.owner_id,
                )
        count += len(ids)
        if len(batch) == len(chosen) < _REDELIVERY_BATCH:
            return count
        last = batch[-1]


def pace_of(rate_limit: float | None) -> timedelta:
    """Returns the time between two deliveries that are sent again to one destination."""
    return _PACE if rate_limit is None else max(_PACE, timedelta(seconds=2 / rate_limit))


def _limit_restored(chosen: Sequence[Exhausted]) -> Sequence[Exhausted]:
    """Cuts the list off where more bytes of payloads would be restored than a transaction may."""
    size = 0
    for place, one in enumerate(chosen):
        size += 0 if one.is_stored else one.payload_size
        if size > MOST_RESTORED_BYTES and place > 0:
            return chosen[:place]
    return chosen


async def _list_sendable(
    session: AsyncSession, key: OwnedId, chosen: Sequence[Exhausted]
) -> list[int]:
    """Returns the ids of those whose payload is stored, or was stored again now."""
    payloads, restored = Payloads(session), set[int]()
    missing = {one.event_id: one.triggered_at for one in chosen if not one.is_stored}
    if missing and not await payloads.is_full(key.owner_id):
        restored = await payloads.restore(key.shard, missing)
    return [one.id for one in chosen if one.is_stored or one.event_id in restored]
