"""Counts waiting deliveries at once, for tests that do not wait for the counting job."""

from typing import Any

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.deliveries.payloads.backlog import BacklogCount


async def count_backlogs(database_url: str, *, most_bytes: int = 0) -> None:
    engine = create_engine(database_url)
    await BacklogCount(create_sessions(engine), most_bytes=most_bytes).update()
    await engine.dispose()


async def payloads_of(database: Any) -> list[int]:
    """Gives the ids of the events whose payloads are stored for deliveries."""
    rows = await database.fetch("SELECT event_id FROM delivery_payloads ORDER BY event_id")
    return [row[0] for row in rows]


async def purge_events(database: Any) -> None:
    """Deletes all events, as the sweep does when they are too old to keep."""
    await database.execute("DELETE FROM events")
