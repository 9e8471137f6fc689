"""Payloads on their way: each is stored once for its event, for as long as a delivery needs it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.models import shard_of

_LIST_NEW = text("""
    SELECT shard, event_id FROM delivery_payloads WHERE counted IS NULL
    ORDER BY shard, event_id LIMIT :limit
""")
_LIST_AFTER = text("""
    SELECT shard, event_id FROM delivery_payloads
    WHERE (shard, event_id) > (CAST(:shard AS smallint), CAST(:event_id AS bigint))
    ORDER BY shard, event_id LIMIT :limit
""")
_LOOK = text("""
    SELECT event_id, owner_id, payload_size, counted, coalesce(waits, false),
        coalesce(is_needed, false)
    FROM delivery_payloads CROSS JOIN LATERAL (
        SELECT bool_or(next_attempt_at IS NOT NULL) AS waits,
            bool_or(status <> 'delivered') AS is_needed
        FROM deliveries
        WHERE deliveries.shard = :shard AND deliveries.event_id = delivery_payloads.event_id
    ) AS of_event
    WHERE shard = :shard AND event_id = ANY (CAST(:ids AS bigint[]))
""")
_LOCK = """
    SELECT event_id FROM delivery_payloads
    WHERE shard = :shard AND event_id = ANY (CAST(:ids AS bigint[]))
    ORDER BY event_id FOR UPDATE
"""
_LOCK_ALL, _LOCK_FREE = text(_LOCK), text(_LOCK + "SKIP LOCKED")
_DELETE = text("""
    DELETE FROM delivery_payloads
    WHERE shard = :shard AND event_id = ANY (CAST(:ids AS bigint[]))
""")
_MARK = text("""
    UPDATE delivery_payloads SET counted = :counted
    WHERE shard = :shard AND event_id = ANY (CAST(:ids AS bigint[]))
""")
_ADD = text("""
    INSERT INTO delivery_backlogs (shard, owner_id, bytes)
    SELECT CAST(:shard AS smallint), changed.owner_id, changed.bytes
    FROM unnest(CAST(:owner_ids AS bigint[]), CAST(:bytes AS bigint[])) AS changed (owner_id, bytes)
    ORDER BY changed.owner_id
    ON CONFLICT (shard, owner_id) DO UPDATE SET bytes = delivery_backlogs.bytes + excluded.bytes
""")
_JUDGE = text("""
    UPDATE delivery_backlogs SET is_full = NOT is_full
    WHERE is_full <> (bytes >= CAST(:most AS bigint) AND CAST(:most AS bigint) > 0)
""")
_FORGET = text("DELETE FROM delivery_backlogs WHERE bytes = 0")
_RESTORE = text("""
    INSERT INTO delivery_payloads (shard, event_id, owner_id, payload_size, payload)
    SELECT events.shard, events.id, events.owner_id, octet_length(CAST(events.payload AS text)),
        events.payload
    FROM events
    WHERE events.shard = :shard AND events.id = ANY (CAST(:ids AS bigint[]))
        AND events.triggered_at >= :first_at AND events.triggered_at <= :last_at
        AND events.payload IS NOT NULL
    ORDER BY events.id
    ON CONFLICT (shard, event_id) DO UPDATE SET payload_size = excluded.payload_size
    RETURNING event_id
""")
_IS_FULL = text("""
    SELECT is_full FROM delivery_backlogs WHERE shard = :shard AND owner_id = :owner_id
""")


class PayloadPosition(NamedTuple):
    """A payload, in the order of the primary key."""

    shard: int
    event_id: int


class StoredPayload(NamedTuple):
    """A payload and its use: some delivery waits to be sent, or may be sent again if asked."""

    event_id: int
    owner_id: int
    size: int
    counted: bool | None
    waits: bool
    is_needed: bool

    @property
    def is_settled(self) -> bool:
        return self.is_needed and self.counted is self.waits

    @property
    def change(self) -> int:
        """By how many bytes the owner's backlog changes when this is settled."""
        return self.size * (int(self.waits) - int(bool(self.counted)))


@dataclass(frozen=True)
class Payloads:
    session: AsyncSession

    async def list_new(self, *, limit: int) -> list[PayloadPosition]:
        """Those that nobody has looked at yet."""
        options = {ACROSS_SHARDS: "retention"}
        rows = await self.session.execute(_LIST_NEW, {"limit": limit}, execution_options=options)
        return [*map(PayloadPosition._make, rows)]

    async def list_after(self, place: PayloadPosition, *, limit: int) -> list[PayloadPosition]:
        wanted = {**place._asdict(), "limit": limit}
        options = {ACROSS_SHARDS: "retention"}
        rows = await self.session.execute(_LIST_AFTER, wanted, execution_options=options)
        return [*map(PayloadPosition._make, rows)]

    async def look(self, shard: int, event_ids: Iterable[int]) -> list[StoredPayload]:
        rows = await self.session.execute(_LOOK, {"shard": shard, "ids": [*event_ids]})
        return [*map(StoredPayload._make, rows)]

    async def lock(self, shard: int, event_ids: Iterable[int], *, wait: bool) -> Sequence[int]:
        """Gives the events whose payload is there; it stays until the end of the transaction.

        Without `wait`, those in somebody else's hands are passed over.
        """
        statement = _LOCK_ALL if wait else _LOCK_FREE
        wanted = {"shard": shard, "ids": [*event_ids]}
        return (await self.session.scalars(statement, wanted)).all()

    async def delete(self, shard: int, event_ids: Sequence[int]) -> None:
        await self.session.execute(_DELETE, {"shard": shard, "ids": event_ids})

    async def mark(self, shard: int, event_ids: Sequence[int], *, counted: bool) -> None:
        wanted = {"shard": shard, "ids": event_ids, "counted": counted}
        await self.session.execute(_MARK, wanted)

    async def add_to_backlogs(self, shard: int, changes: Mapping[int, int]) -> None:
        """Adds so many bytes to each owner's backlog."""
        values = {"shard": shard, "owner_ids": [*changes], "bytes": [*changes.values()]}
        await self.session.execute(_ADD, values)

    async def judge_backlogs(self, most: int) -> None:
        """Says of each backlog whether it has reached so many bytes; 0 is no limit."""
        options = {ACROSS_SHARDS: "retention"}
        await self.session.execute(_JUDGE, {"most": most}, execution_options=options)
        await self.session.execute(_FORGET, execution_options=options)

    async def restore(self, shard: int, events: Mapping[int, datetime]) -> set[int]:
        """Stores the payloads of events, by id and `triggered_at`, again; gives those there are."""
        wanted = {
            "shard": shard,
            "ids": [*events],
            "first_at": min(events.values()),
            "last_at": max(events.values()),
        }
        return set((await self.session.scalars(_RESTORE, wanted)).all())

    async def is_full(self, owner_id: int) -> bool:
        """Whether the owner's backlog has reached its limit."""
        wanted = {"shard": shard_of(owner_id), "owner_id": owner_id}
        return bool(await self.session.scalar(_IS_FULL, wanted))
