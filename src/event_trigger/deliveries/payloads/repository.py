"""Reads and writes payloads, stored once for each event, and the sums of their bytes by owner."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.models import shard_of

_LIST_NEW_PAYLOADS = text("""
    SELECT shard, event_id FROM delivery_payloads WHERE counted IS NULL
    ORDER BY shard, event_id LIMIT :limit
""")
_LIST_PAYLOADS_AFTER = text("""
    SELECT shard, event_id FROM delivery_payloads
    WHERE (shard, event_id) > (CAST(:shard AS smallint), CAST(:event_id AS bigint))
    ORDER BY shard, event_id LIMIT :limit
""")
_LIST_STALE = text("""
    SELECT event_id, owner_id, payload_size, counted, is_queued, is_needed
    FROM delivery_payloads CROSS JOIN LATERAL (
        SELECT coalesce(bool_or(next_attempt_at IS NOT NULL), false) AS is_queued,
            coalesce(bool_or(status <> 'delivered'), false) AS is_needed
        FROM deliveries
        WHERE deliveries.shard = :shard AND deliveries.event_id = delivery_payloads.event_id
    ) AS of_event
    WHERE shard = :shard AND event_id = ANY (CAST(:ids AS bigint[]))
        AND (NOT is_needed OR counted IS DISTINCT FROM is_queued)
""")
_LOCK_PAYLOADS = """
    SELECT event_id FROM delivery_payloads
    WHERE shard = :shard AND event_id = ANY (CAST(:ids AS bigint[]))
    ORDER BY event_id FOR UPDATE
"""
_LOCK_OR_WAIT, _LOCK_OR_SKIP = text(_LOCK_PAYLOADS), text(_LOCK_PAYLOADS + "SKIP LOCKED")
_DELETE = text("""
    DELETE FROM delivery_payloads
    WHERE shard = :shard AND event_id = ANY (CAST(:ids AS bigint[]))
""")
_MARK = text("""
    UPDATE delivery_payloads SET counted = :counted
    WHERE shard = :shard AND event_id = ANY (CAST(:ids AS bigint[]))
""")
_ADD_TO_BACKLOGS = text("""
    INSERT INTO delivery_backlogs (shard, owner_id, bytes)
    SELECT CAST(:shard AS smallint), changed.owner_id, changed.bytes
    FROM unnest(CAST(:owner_ids AS bigint[]), CAST(:bytes AS bigint[])) AS changed (owner_id, bytes)
    ORDER BY changed.owner_id
    ON CONFLICT (shard, owner_id) DO UPDATE SET bytes = delivery_backlogs.bytes + excluded.bytes
""")
_MARK_FULL_BACKLOGS = text("""
    UPDATE delivery_backlogs SET is_full = NOT is_full
    WHERE is_full <> (bytes >= CAST(:most AS bigint) AND CAST(:most AS bigint) > 0)
    RETURNING owner_id, is_full
""")
_DELETE_EMPTY_BACKLOGS = text("DELETE FROM delivery_backlogs WHERE bytes = 0")
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
# the ids of notices are of the sequence of events
_RESTORE_NOTICES = text("""
    INSERT INTO delivery_payloads (shard, event_id, owner_id, payload_size, payload)
    SELECT notices.shard, notices.id, notices.owner_id, octet_length(CAST(notices.data AS text)),
        notices.data
    FROM notices
    WHERE notices.shard = :shard AND notices.id = ANY (CAST(:ids AS bigint[]))
    ORDER BY notices.id
    ON CONFLICT (shard, event_id) DO UPDATE SET payload_size = excluded.payload_size
    RETURNING event_id
""")
_BACKLOG_OF = text("""
    SELECT bytes FROM delivery_backlogs WHERE shard = :shard AND owner_id = :owner_id
""")
_IS_FULL = text("""
    SELECT is_full FROM delivery_backlogs WHERE shard = :shard AND owner_id = :owner_id
""")


class PayloadPosition(NamedTuple):
    """The primary key of a payload, by which payloads are paged."""

    shard: int
    event_id: int


class PayloadUse(NamedTuple):
    """The use of a payload by its event's deliveries.

    `is_queued`: one of them is not finished. `is_needed`: one of them was not delivered, and may
    be sent again. `counted` says whether its bytes are in the owner's backlog; None for a new one.
    """

    event_id: int
    owner_id: int
    size: int
    counted: bool | None
    is_queued: bool
    is_needed: bool

    @property
    def change(self) -> int:
        """The bytes that the owner's backlog gains or loses when its count is updated."""
        return self.size * (int(self.is_queued) - int(bool(self.counted)))


@dataclass(frozen=True)
class Payloads:
    session: AsyncSession

    async def list_new(self, *, limit: int) -> list[PayloadPosition]:
        """Lists payloads that have not been counted yet."""
        options = {ACROSS_SHARDS: "retention"}
        rows = await self.session.execute(
            _LIST_NEW_PAYLOADS, {"limit": limit}, execution_options=options
        )
        return [*map(PayloadPosition._make, rows)]

    async def list_after(self, position: PayloadPosition, *, limit: int) -> list[PayloadPosition]:
        wanted = {**position._asdict(), "limit": limit}
        options = {ACROSS_SHARDS: "retention"}
        rows = await self.session.execute(_LIST_PAYLOADS_AFTER, wanted, execution_options=options)
        return [*map(PayloadPosition._make, rows)]

    async def list_stale(self, shard: int, event_ids: Iterable[int]) -> list[PayloadUse]:
        """Lists those of the payloads whose count is out of date, or which may be deleted."""
        rows = await self.session.execute(_LIST_STALE, {"shard": shard, "ids": [*event_ids]})
        return [*map(PayloadUse._make, rows)]

    async def lock(self, shard: int, event_ids: Iterable[int], *, wait: bool) -> Sequence[int]:
        """Locks stored payloads until the end of the transaction, and gives their events.

        Without `wait`, skips those that another transaction has locked.
        """
        statement = _LOCK_OR_WAIT if wait else _LOCK_OR_SKIP
        wanted = {"shard": shard, "ids": [*event_ids]}
        return (await self.session.scalars(statement, wanted)).all()

    async def delete(self, shard: int, event_ids: Sequence[int]) -> None:
        await self.session.execute(_DELETE, {"shard": shard, "ids": event_ids})

    async def mark(self, shard: int, event_ids: Sequence[int], *, counted: bool) -> None:
        wanted = {"shard": shard, "ids": event_ids, "counted": counted}
        await self.session.execute(_MARK, wanted)

    async def add_to_backlogs(self, shard: int, changes: Mapping[int, int]) -> None:
        """Adds bytes, by owner, to the backlogs."""
        values = {"shard": shard, "owner_ids": [*changes], "bytes": [*changes.values()]}
        await self.session.execute(_ADD_TO_BACKLOGS, values)

    async def mark_full_backlogs(self, most_bytes: int) -> list[int]:
        """Marks backlogs of `most_bytes` or more as full, and unmarks others; 0 is no limit.

        Gives the owners of those that are full now and were not before.
        """
        options = {ACROSS_SHARDS: "retention"}
        marked = await self.session.execute(
            _MARK_FULL_BACKLOGS, {"most": most_bytes}, execution_options=options
        )
        full = [owner_id for owner_id, is_full in marked if is_full]
        await self.session.execute(_DELETE_EMPTY_BACKLOGS, execution_options=options)
        return full

    async def restore(self, shard: int, events: Mapping[int, datetime]) -> set[int]:
        """Stores payloads again from their events or notices, given as id and `triggered_at`.

        Gives the ids of those that exist and have a payload.
        """
        wanted = {
            "shard": shard,
            "ids": [*events],
            "first_at": min(events.values()),
            "last_at": max(events.values()),
        }
        found = set((await self.session.scalars(_RESTORE, wanted)).all())
        if others := [*events.keys() - found]:
            notices = {"shard": shard, "ids": others}
            found |= set((await self.session.scalars(_RESTORE_NOTICES, notices)).all())
        return found

    async def backlog_of(self, owner_id: int) -> int:
        """Returns the bytes of the owner's backlog, as of some seconds ago."""
        wanted = {"shard": shard_of(owner_id), "owner_id": owner_id}
        return int(await self.session.scalar(_BACKLOG_OF, wanted) or 0)

    async def is_full(self, owner_id: int) -> bool:
        """Whether the owner's backlog has reached its limit."""
        wanted = {"shard": shard_of(owner_id), "owner_id": owner_id}
        return bool(await self.session.scalar(_IS_FULL, wanted))
