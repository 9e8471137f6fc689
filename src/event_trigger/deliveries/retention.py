"""Gives up deliveries that have been due for a week, and purges finished ones."""

from datetime import timedelta

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.db.transactions import BATCH_ROWS, in_batches
from event_trigger.deliveries.queue.cleanup import EXPIRES_AFTER, QueueCleanup
from event_trigger.deliveries.queue.queued import QueuedDestinations
from event_trigger.destinations.repository import Destinations
from event_trigger.models import DeliveryStatus


async def retain_deliveries(sessions: Sessions, keep_for: timedelta) -> None:
    """Sweeps all deliveries, in batches.

    1. Gives up deliveries that have been due for EXPIRES_AFTER.
    2. Purges delivered ones after `keep_for`, like events, and exhausted ones after a week or more,
       so that they can be sent again.
    3. Purges destinations that were deleted `keep_for` ago, once no delivery refers to them.
    """
    async with sessions() as session:
        destinations = QueuedDestinations(session, in_cluster=await is_in_cluster(session))
        expired = await destinations.list_expired(EXPIRES_AFTER)
    for shard, destination_id in expired:
        await _give_up(sessions, shard, destination_id)
    await _purge(sessions, DeliveryStatus.DELIVERED, keep_for)
    await _purge(sessions, DeliveryStatus.EXHAUSTED, max(EXPIRES_AFTER, keep_for))
    async with sessions.begin() as session:
        now = await database_now(session)
        await Destinations(session).purge_deleted_before(now - keep_for)


async def _give_up(sessions: Sessions, shard: int, destination_id: int) -> None:
    await in_batches(
        sessions,
        lambda session: QueueCleanup(session).give_up_expired(
            shard, destination_id, limit=BATCH_ROWS
        ),
    )


async def _purge(sessions: Sessions, status: DeliveryStatus, after: timedelta) -> None:
    await in_batches(
        sessions,
        lambda session: QueueCleanup(session).purge(status, after=after, limit=BATCH_ROWS),
    )
