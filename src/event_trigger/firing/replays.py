"""Replays events: alone in the transaction of a request, or as calls that share commits."""

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.page_sessions import PageSessions
from event_trigger.db.shards import OwnedId
from event_trigger.db.transactions import use_generic_plan
from event_trigger.deliveries.http.hops import MOST_HOPS, LoopDetected
from event_trigger.events.source import EventSource
from event_trigger.events.window import TimeWindow
from event_trigger.firing.called_events import NewEvent, store_events
from event_trigger.firing.fire import ReplayedEvent
from event_trigger.firing.refusals import events_full
from event_trigger.firing.repository import CalledTriggers
from event_trigger.models import Event
from event_trigger.triggers.repository import Triggers

# the ORDER BYs let no index but the primary keys fit: a plan that was made while a table was small
# stays as the table grows, and another index would be read from end to end for each replay
_READ = text("""
    SELECT event.id, CAST(event.payload AS text), event.hops, event.is_test, its_trigger.id,
        its_trigger.key, its_trigger.name
    FROM (
        SELECT id, payload, hops, is_test, trigger_id FROM events
        WHERE shard = :shard AND id = :id AND triggered_at >= :since AND triggered_at < :until
            AND CASE WHEN owner_id = :owner_id THEN true END
        ORDER BY triggered_at DESC LIMIT 1
    ) AS event CROSS JOIN LATERAL (
        SELECT id, key, name FROM triggers
        WHERE shard = :shard AND id >= event.trigger_id AND id <= event.trigger_id
        ORDER BY id LIMIT 1
    ) AS its_trigger
""")


class ReplayableEvent(NamedTuple):
    """An event whose trigger is there, with the names of that."""

    replayed: ReplayedEvent
    is_test: bool
    trigger_id: int
    trigger_key: str | None
    trigger_name: str | None


@dataclass(frozen=True, slots=True)
class ReplayableEvents:
    """Events that share commits with calls; those of deleted triggers are left out.

    Planning for the partitions of each event's values takes longer than reading it.
    """

    pages: PageSessions

    async def get(self, owned: OwnedId, window: TimeWindow) -> ReplayableEvent | None:
        """Returns an event of a project that was fired in a window; may raise Pooled."""
        values = {
            "shard": owned.shard,
            "owner_id": owned.owner_id,
            "id": owned.id,
            "since": window.start,
            "until": window.end,
        }
        async with self.pages.open() as session:
            await use_generic_plan(session)
            rows = (await session.execute(_READ, values)).all()
        return ReplayableEvent(ReplayedEvent(*rows[0][:3]), *rows[0][3:]) if rows else None


async def replay(session: AsyncSession, event: Event, *, hops: int, source: EventSource) -> int:
    """Stores a new event with the payload of an old one, and gives its id.

    The trigger may have been paused or deleted since, and is left alone. The new event goes to
    the destinations that the trigger names now. Raises LoopDetected and EventsFull.
    """
    key = OwnedId(event.owner_id, event.trigger_id)
    trigger = await Triggers(session).get(key)
    has_destinations = trigger is not None and bool(trigger.destinations)
    triggers = CalledTriggers(session)
    if hops >= MOST_HOPS:
        await triggers.note_loops({key})
        raise LoopDetected
    if (reached := await triggers.read_reached(key.owner_id)) is not None:
        raise events_full(reached)
    payload = await triggers.read_payload(event)
    new = NewEvent(
        key,
        payload,
        event.is_test,
        has_destinations,
        replay_of=event.id,
        hops=max(event.hops, hops),
        source=source,
    )
    [stored] = await store_events(session, [new], announces=True)
    return stored.id
