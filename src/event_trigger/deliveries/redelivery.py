"""Sending again: one delivery, or all that a destination has missed, at a pace it can take."""

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
from event_trigger.errors import Conflict, Invalid, NotFound
from event_trigger.models import Delivery, DeliveryStatus

_PACE = timedelta(milliseconds=20)  # new events come in between
_BATCH = 5_000
_RESTORED_AT_ONCE = 32 * 1024 * 1024  # bytes of payloads that a transaction stores again


class UnderWay(Conflict):
    slug, title = "attempt-under-way", "An attempt is under way"
    default_detail = "An attempt of this delivery is under way. Look at it again in a moment."


class DestinationGone(Conflict):
    slug, title = "destination-deleted", "The destination was deleted"
    default_detail = "The destination of this delivery was deleted, so it cannot be sent again."


class PayloadGone(Conflict):
    slug, title = "payload-gone", "The payload is gone"
    default_detail = (
        "The payload of this delivery is not stored any more, and its event is gone, so it cannot"
        " be sent again."
    )


class BacklogFull(Conflict):
    slug, title = "backlog-full", "Too much waits to be delivered"
    default_detail = (
        "The payload of this delivery would have to be stored again, and more than"
        " EVENT_TRIGGER_MAX_BACKLOG_BYTES waits to be delivered already. Try again when less does."
    )


async def redeliver(session: AsyncSession, key: OwnedId, *, hops: int) -> Delivery:
    """Begins a new round of attempts now, whatever came of the last one.

    `hops` deliveries have led to this, if a delivery asks for it: then this one counts on.
    """
    delivery = await Deliveries(session).get_locked(key)
    if delivery is None:
        raise NotFound
    destination = OwnedId(delivery.owner_id, delivery.destination_id)
    if await Destinations(session).get(destination) is None:
        raise DestinationGone
    now = await database_now(session)
    if delivery.leased_until is not None and delivery.leased_until > now:
        raise UnderWay(headers={"Retry-After": "1"})
    await _keep_payload(session, key, delivery)
    delivery.status = DeliveryStatus.PENDING
    delivery.tries = 0
    delivery.hops = max(delivery.hops, hops)
    delivery.error = delivery.finished_at = delivery.leased_until = None
    delivery.queued_at = delivery.next_attempt_at = now
    await session.flush()
    await record(session, "delivery", delivery.id, after={"status": delivery.status})
    await notify(session, DELIVERIES_CHANGED)
    return delivery


async def _keep_payload(session: AsyncSession, key: OwnedId, delivery: Delivery) -> None:
    """Sees to it that the payload is stored, and stays; raises PayloadGone or BacklogFull."""
    payloads = Payloads(session)
    if delivery.payload_size == 0 or await payloads.lock(key.shard, [delivery.event_id], wait=True):
        return
    if await Deliveries(session).has_its_own_payload(key):
        return
    if await payloads.is_full(key.owner_id):
        raise BacklogFull
    if not await payloads.restore(key.shard, {delivery.event_id: delivery.triggered_at}):
        raise PayloadGone


async def redeliver_exhausted(sessions: Sessions, key: OwnedId, wanted: Redelivery) -> int:
    """Gives how many; half of the destination's rate is left for what is new.

    However many there are, no transaction is long; what fails again meanwhile is not taken twice.
    Those whose payload would have to be stored again are left as they are if it is gone, or once
    the owner's backlog is full.
    """
    if wanted.until <= wanted.since:
        raise Invalid.at(["until"], "The end must come after the beginning.")
    async with sessions() as session:
        destination = await Destinations(session).get(key)
        start = await database_now(session)
    if destination is None:
        raise NotFound
    pace = _PACE
    if destination.rate_limit is not None:
        pace = max(pace, timedelta(seconds=2 / destination.rate_limit))
    count, last = 0, None
    while True:
        async with sessions.begin() as session:
            chosen = await Deliveries(session).choose_exhausted(
                key,
                since=wanted.since,
                until=wanted.until,
                before=start,
                after=last,
                limit=_BATCH,
            )
            some = _few_to_restore(chosen)
            ids = await _list_sendable(session, key, some)
            if ids:
                first_at = start + count * pace
                await Deliveries(session).redeliver(key.shard, ids, start=first_at, pace=pace)
                await notify(session, DELIVERIES_CHANGED)
                await record(session, "destination", key.id, after={"redelivered": len(ids)})
        count += len(ids)
        if len(some) == len(chosen) < _BATCH:
            return count
        last = some[-1]


def _few_to_restore(chosen: Sequence[Exhausted]) -> Sequence[Exhausted]:
    """As many as need no more stored again than a transaction should; one at least."""
    size = 0
    for place, one in enumerate(chosen):
        size += 0 if one.is_stored else one.payload_size
        if size > _RESTORED_AT_ONCE and place > 0:
            return chosen[:place]
    return chosen


async def _list_sendable(
    session: AsyncSession, key: OwnedId, chosen: Sequence[Exhausted]
) -> list[int]:
    """The ids of those whose payload is stored, or could be stored again."""
    payloads, restored = Payloads(session), set[int]()
    missing = {one.event_id: one.triggered_at for one in chosen if not one.is_stored}
    if missing and not await payloads.is_full(key.owner_id):
        restored = await payloads.restore(key.shard, missing)
    return [one.id for one in chosen if one.is_stored or one.event_id in restored]
