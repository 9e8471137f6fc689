"""Tells every replica that triggers have changed."""

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.notify import SCHEDULE_CHANGED, TRIGGERS_CHANGED, notify, notify_rows
from event_trigger.db.shards import OwnedId


async def announce(session: AsyncSession, *triggers: OwnedId) -> None:
    """Wakes the dispatchers, and tells open streams, when the transaction commits."""
    await notify(session, SCHEDULE_CHANGED)
    await notify_rows(session, TRIGGERS_CHANGED, [(one.owner_id, one.id) for one in triggers])
