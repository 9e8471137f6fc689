"""How long deliveries stay: as long as events if they arrived, a week if they were given up."""

from datetime import timedelta

from event_trigger.db.batches import BATCH, in_batches
from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.deliveries.giving_up import GIVEN_UP_AFTER, UndeliverableQueue
from event_trigger.deliveries.waiting import WaitingList
from event_trigger.destinations.repository import Destinations
from event_trigger.models import DeliveryStatus


async def retain_deliveries(sessions: Sessions, keep_for: timedelta) -> None:
    """Gives up what has been due for a week, and purges what is past keeping, in short steps."""
    async with sessions() as session:
        waiting = WaitingList(session, in_cluster=await is_in_cluster(session))
        neglected = await waiting.list_neglected(GIVEN_UP_AFTER)
    for shard, destination_id in neglected:
        await _give_up(sessions, shard, destination_id)
    await _purge(sessions, DeliveryStatus.DELIVERED, keep_for)
    await _purge(sessions, DeliveryStatus.EXHAUSTED, max(GIVEN_UP_AFTER, keep_for))
    async with sessions.begin() as session:
        now = await database_now(session)
        await Destinations(session).purge_deleted_before(now - keep_for)


async def _give_up(sessions: Sessions, shard: int, destination_id: int) -> None:
    await in_batches(
        sessions,
        lambda session: UndeliverableQueue(session).give_up_expired(
            shard, destination_id, limit=BATCH
        ),
    )


async def _purge(sessions: Sessions, status: DeliveryStatus, after: timedelta) -> None:
    await in_batches(
        sessions,
        lambda session: UndeliverableQueue(session).purge(status, after=after, limit=BATCH),
    )
