"""How long deliveries stay: as long as events if they arrived, a week if they were given up."""

from datetime import timedelta

from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.deliveries.queue import GIVEN_UP_AFTER, Queue
from event_trigger.destinations.repository import Destinations
from event_trigger.models import DeliveryStatus

_BATCH = 5_000
_MOST_BATCHES = 100  # the next sweep goes on


async def retain_deliveries(sessions: Sessions, keep_for: timedelta) -> None:
    """Gives up what has waited for a week, and purges what is past keeping, in short steps."""
    async with sessions.begin() as session:
        await Queue(session).give_up_expired()
    for status, after in (
        (DeliveryStatus.DELIVERED, keep_for),
        (DeliveryStatus.EXHAUSTED, max(GIVEN_UP_AFTER, keep_for)),
    ):
        for _ in range(_MOST_BATCHES):
            async with sessions.begin() as session:
                if await Queue(session).purge(status, after=after, limit=_BATCH) < _BATCH:
                    break
    async with sessions.begin() as session:
        now = await database_now(session)
        await Destinations(session).purge_deleted_before(now - keep_for)
