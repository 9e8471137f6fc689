"""Calls in the database: those of a shard take a handful of statements, however many they are."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import JSON, Executable, Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.outbox import StoredEvent, store_deliveries
from event_trigger.events.event_writer import EventWriter
from event_trigger.models import Event, EventType

log = structlog.get_logger()

_AT_ONCE = 4 * 1024 * 1024  # characters of payloads, after which another statement begins
# written out, because putting them together takes longer than PostgreSQL takes to answer
_SELECT = """
    SELECT id, owner_id, status, CAST(payload AS text) AS payload, details -> 'schema' AS schema,
        cardinality(destination_ids) > 0 AS has_destinations
    FROM triggers WHERE shard = :shard AND id = ANY (CAST(:ids AS bigint[]))
"""
_READ, _LOCK, _LOCK_FREE = (
    text(_SELECT + lock).columns(schema=JSON)
    for lock in (
        "",
        "ORDER BY id FOR NO KEY UPDATE",
        "ORDER BY id FOR NO KEY UPDATE SKIP LOCKED",
    )
)
_INSERT_EVENTS = """
    INSERT INTO events (shard, owner_id, trigger_id, type, payload, is_test, replay_of, hops, xid)
    SELECT CAST(:shard AS smallint), called.owner_id, called.trigger_id, :type,
        CAST(called.payload AS json), called.is_test, called.replay_of, called.hops, {xid}
    FROM unnest(
        CAST(:owner_ids AS bigint[]), CAST(:trigger_ids AS bigint[]), CAST(:payloads AS text[]),
        CAST(:are_tests AS boolean[]), CAST(:replays_of AS bigint[]), CAST(:hops AS smallint[])
    ) WITH ORDINALITY AS called (owner_id, trigger_id, payload, is_test, replay_of, hops, place)
    ORDER BY called.place
    RETURNING id, triggered_at
"""
_COUNT_CALLS = """
    UPDATE triggers SET
        fire_count = triggers.fire_count + called.count,
        last_fired_at = statement_timestamp()
    FROM unnest(CAST(:ids AS bigint[]), CAST(:counts AS bigint[])) AS called (id, count)
    WHERE triggers.shard = :shard AND triggers.id = called.id
"""
_NOTE_LOOPS = text("""
    UPDATE triggers SET loop_refused_at = statement_timestamp()
    WHERE shard = :shard AND id = ANY (ARRAY(
        SELECT id FROM triggers WHERE shard = :shard AND id = ANY (CAST(:ids AS bigint[]))
            AND (loop_refused_at IS NULL OR loop_refused_at < now() - interval '1 minute')
        FOR NO KEY UPDATE SKIP LOCKED
    ))
    RETURNING id
""")
_READ_PAYLOAD = text("""
    SELECT CAST(payload AS text) FROM events
    WHERE shard = :shard AND id = :id AND triggered_at = :triggered_at
""")
_STORING = EventWriter(_INSERT_EVENTS, _COUNT_CALLS)

CalledTrigger = Row[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class NewEvent:
    """The event of a call, before it is stored; a trigger counts those that fired it.

    `payload` is JSON text, which is stored as it is: what was sent keeps its spelling.
    """

    trigger: OwnedId
    payload: str | None
    is_test: bool
    has_destinations: bool
    replay_of: int | None = None
    hops: int = 0

    @property
    def is_counted(self) -> bool:
        return not self.is_test and self.replay_of is None


@dataclass(frozen=True)
class Calls:
    """Calls of triggers of one shard."""

    session: AsyncSession
    shard: int

    async def read_triggers(self, ids: Collection[int]) -> dict[int, CalledTrigger]:
        return await self._fetch(_READ, ids)

    async def lock_triggers(self, ids: Collection[int], *, waits: bool) -> dict[int, CalledTrigger]:
        """Locks triggers: until the commit, nobody fires, changes or deletes them.

        Passes over those that others hold, unless it `waits` for them.
        """
        return await self._fetch(_LOCK if waits else _LOCK_FREE, ids)

    async def _fetch(self, statement: Executable, ids: Collection[int]) -> dict[int, CalledTrigger]:
        if not ids:
            return {}
        rows = await self.session.execute(statement, {"shard": self.shard, "ids": [*ids]})
        return {row.id: row for row in rows}

    async def read_payload(self, event: Event) -> str | None:
        """The JSON text of an event's payload, as it is stored."""
        wanted = {"shard": self.shard, "id": event.id, "triggered_at": event.triggered_at}
        found: str | None = await self.session.scalar(_READ_PAYLOAD, wanted)
        return found

    async def note_loops(self, ids: Collection[int]) -> None:
        """Has triggers say that a call of theirs was refused as a loop; at most once a minute."""
        noted = await self.session.scalars(_NOTE_LOOPS, {"shard": self.shard, "ids": [*ids]})
        for trigger_id in noted:
            log.warning("loop_refused", trigger_id=trigger_id)

    async def store(self, new: Sequence[NewEvent]) -> list[int]:
        """Writes the events, and what they are to be delivered as; gives their ids, in order.

        Their triggers have counted them.
        """
        stored: list[StoredEvent] = []
        for some in _cut(new):
            stored += await self._store(some)
        delivered = [event for event, one in zip(stored, new, strict=True) if one.has_destinations]
        if delivered:
            await store_deliveries(self.session, self.shard, delivered)
        return [event.id for event in stored]

    async def _store(self, new: Sequence[NewEvent]) -> list[StoredEvent]:
        counts = Counter(one.trigger.id for one in new if one.is_counted)
        rows = await _STORING.execute(
            self.session,
            {one.trigger.owner_id for one in new},
            {
                "shard": self.shard,
                "type": EventType.API,
                "owner_ids": [one.trigger.owner_id for one in new],
                "trigger_ids": [one.trigger.id for one in new],
                "payloads": [one.payload for one in new],
                "are_tests": [one.is_test for one in new],
                "replays_of": [one.replay_of for one in new],
                "hops": [one.hops for one in new],
                "ids": [*counts],
                "counts": [*counts.values()],
            },
        )
        return sorted((StoredEvent(*row) for row in rows), key=lambda event: event.id)


def _cut(new: Sequence[NewEvent]) -> Iterator[list[NewEvent]]:
    """Cuts events into as many as go into one statement."""
    some: list[NewEvent] = []
    size = 0
    for one in new:
        some.append(one)
        size += len(one.payload or "")
        if size > _AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some
