"""Ends deliveries that wait, at the request of a user."""

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import record
from event_trigger.db.clock import database_now
from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.queue.requests import KeptRequests
from event_trigger.deliveries.redelivery import AttemptUnderWay
from event_trigger.deliveries.repository import Deliveries
from event_trigger.errors import Conflict, NotFound
from event_trigger.models import Delivery, DeliveryError, DeliveryStatus


class DeliveryFinished(Conflict):
    slug, title = "delivery-finished", "The delivery is finished"
    default_detail = "This delivery is finished: no attempt of it is due, so nothing is cancelled."


CANCELLED = {"status": DeliveryStatus.EXHAUSTED, "error": DeliveryError.CANCELLED}  # in the audit


async def cancel(session: AsyncSession, key: OwnedId) -> Delivery:
    """Ends a delivery that waits for an attempt; see Delivery for how that is stored.

    Raises NotFound, DeliveryFinished, or AttemptUnderWay: nobody knows the result of an attempt
    before its end.
    """
    delivery = await Deliveries(session).get_locked(key)
    if delivery is None:
        raise NotFound
    if delivery.next_attempt_at is None:
        raise DeliveryFinished
    now = await database_now(session)
    if delivery.leased_until is not None and delivery.leased_until > now:
        raise AttemptUnderWay(headers={"Retry-After": "1"})
    before = {"status": delivery.status}
    delivery.status, delivery.finished_at = DeliveryStatus.EXHAUSTED, now
    delivery.error = delivery.leased_until = delivery.next_attempt_at = None
    await session.flush()
    await KeptRequests(session).forget(key.shard, [delivery.id])
    await record(
        session,
        "delivery",
        delivery.id,
        before=before,
        after=CANCELLED,
        project_id=delivery.owner_id,
    )
    return delivery
