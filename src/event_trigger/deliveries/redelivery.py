"""Sending again: one delivery, or all that a destination has missed, at a pace it can take."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.db.notify import DELIVERIES_CHANGED, notify
from event_trigger.deliveries.repository import Deliveries
from event_trigger.deliveries.schemas import Redelivery
from event_trigger.destinations.repository import Destinations
from event_trigger.errors import Conflict, Invalid, NotFound
from event_trigger.models import Delivery, DeliveryStatus
from event_trigger.triggers.repository import OwnedId
from event_trigger.web.trail import record

_PACE = timedelta(milliseconds=20)  # new events come in between
_BATCH = 5_000


class UnderWay(Conflict):
    slug, title = "attempt-under-way", "An attempt is under way"
    default_detail = "An attempt of this delivery is under way. Look at it again in a moment."


class DestinationGone(Conflict):
    slug, title = "destination-deleted", "The destination was deleted"
    default_detail = "The destination of this delivery was deleted, so it cannot be sent again."


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
    delivery.status = DeliveryStatus.PENDING
    delivery.tries = 0
    delivery.hops = max(delivery.hops, hops)
    delivery.error = delivery.finished_at = delivery.leased_until = None
    delivery.queued_at = delivery.next_attempt_at = now
    await session.flush()
    await record(session, "delivery", delivery.id, after={"status": delivery.status})
    await notify(session, DELIVERIES_CHANGED)
    return delivery


async def redeliver_exhausted(sessions: Sessions, key: OwnedId, wanted: Redelivery) -> int:
    """Gives how many; half of the destination's rate is left for what is new.

    However many there are, no transaction is long; what fails again meanwhile is not taken twice.
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
    count = 0
    while True:
        async with sessions.begin() as session:
            done = await Deliveries(session).redeliver_exhausted(
                key,
                since=wanted.since,
                until=wanted.until,
                before=start,
                start=start + count * pace,
                pace=pace,
                limit=_BATCH,
            )
            await notify(session, DELIVERIES_CHANGED)
            if done:
                await record(session, "destination", key.id, after={"redelivered": done})
        count += done
        if done < _BATCH:
            return count
