"""Stores deliveries in the transaction that stores their events: both are there, or neither."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.notify import DELIVERIES_CHANGED, notify

_STORE = text("""
    INSERT INTO deliveries
        (shard, owner_id, destination_id, trigger_id, trigger_name, event_id, event_type,
        triggered_at, scheduled_for, is_test, replay_of, hops, payload, payload_size)
    SELECT events.shard, events.owner_id, destinations.id, triggers.id, triggers.name, events.id,
        events.type, events.triggered_at, events.scheduled_for, events.is_test, events.replay_of,
        events.hops, events.payload, coalesce(octet_length(CAST(events.payload AS text)), 0)
    FROM events
    JOIN triggers ON triggers.shard = :shard AND triggers.id = events.trigger_id
    JOIN destinations ON destinations.shard = :shard
        AND destinations.id = ANY (triggers.destination_ids)
        AND destinations.owner_id = events.owner_id AND destinations.deleted_at IS NULL
    WHERE events.shard = :shard AND events.id = ANY (CAST(:event_ids AS bigint[]))
        AND events.triggered_at >= :first_at AND events.triggered_at <= :last_at
    ORDER BY events.id
""")


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event that this transaction has stored."""

    id: int
    triggered_at: datetime


async def store_deliveries(
    session: AsyncSession, shard: int, events: Sequence[StoredEvent]
) -> None:
    """One delivery for each event and each destination that its trigger names."""
    await session.execute(
        _STORE,
        {
            "shard": shard,
            "event_ids": [event.id for event in events],
            "first_at": min(event.triggered_at for event in events),
            "last_at": max(event.triggered_at for event in events),
        },
    )
    await notify(session, DELIVERIES_CHANGED)
