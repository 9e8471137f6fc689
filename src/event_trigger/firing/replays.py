"""Replays events: alone in the transaction of a request, or as calls that share commits."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.page_sessions import PageSessions
from event_trigger.db.planning import use_generic_plan
from event_trigger.db.shards import OwnedId
from event_trigger.db.shared_lookup import SharedLookup
from event_trigger.deliveries.http.hops import MOST_HOPS, LoopDetected
from event_trigger.events.source import EventSource
from event_trigger.firing.called_events import NewEvent, store_events
from event_trigger.firing.fire import ReplayedEvent
from event_trigger.firing.refusals import events_full
from event_trigger.firing.repository import CalledTriggers
from event_trigger.models import Event
from event_trigger.triggers.repository import Triggers

_MOST_A_READ = 8  # events, each with a payload of up to a MiB
_READ = text("""
    SELECT events.owner_id, events.id, CAST(events.payload AS text), events.hops, events.is_test,
        events.triggered_at, triggers.id, triggers.key, triggers.name
    FROM events JOIN triggers ON triggers.shard = events.shard AND triggers.id = events.trigger_id
    WHERE events.shard = :shard AND events.id = ANY (CAST(:ids AS bigint[]))
        AND events.triggered_at >= :since
""")


class ReplayableEvent(NamedTuple):
    """An event whose trigger is there, with the names of that."""

    replayed: ReplayedEvent
    is_test: bool
    triggered_at: datetime
    trigger_id: int
    trigger_key: str | None
    trigger_name: str | None


class _Wanted(NamedTuple):
    """An event that was fired at `since` or later."""

    owned: OwnedId
    since: datetime


class ReplayableEvents:
    """Events that share commits with calls; those of deleted triggers are left out.

    Replays that arrive during a query share the next one, by a generic plan: planning for the
    partitions of each event's values takes longer than reading it.
    """

    def __init__(self, pages: PageSessions) -> None:
        self._pages = pages
        self._lookup = SharedLookup[_Wanted, ReplayableEvent](self._read, most=_MOST_A_READ)

    async def get(self, owned: OwnedId, *, since: datetime) -> ReplayableEvent | None:
        """Returns an event of a project that was fired at `since` or later; may raise Pooled."""
        return await self._lookup.find(_Wanted(owned, since))

    async def _read(self, wanted: Collection[_Wanted]) -> dict[_Wanted, ReplayableEvent]:
        since, ids = min(one.since for one in wanted), defaultdict[int, set[int]](set)
        for owned, _ in wanted:
            ids[owned.shard].add(owned.id)
        found = dict[OwnedId, ReplayableEvent]()
        async with self._pages.open() as session:
            await use_generic_plan(session)
            for shard, each in ids.items():
                values = {"shard": shard, "ids": sorted(each), "since": since}
                for owner_id, *event, is_test, at, trigger_id, key, name in await session.execute(
                    _READ, values
                ):
                    replayed = ReplayedEvent(*event)
                    found[OwnedId(owner_id, replayed.id)] = ReplayableEvent(
                        replayed, is_test, at, trigger_id, key, name
                    )
        events = ((one, found.get(one.owned)) for one in wanted)
        return {one: event for one, event in events if event and event.triggered_at >= one.since}


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
