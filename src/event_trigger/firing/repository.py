"""Reads and locks called triggers, and stores their events: a few statements for many calls."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog
from sqlalchemy import JSON, Executable, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.outbox import store_deliveries
from event_trigger.events.event_bytes import HAS_NO_ROOM
from event_trigger.events.event_writer import EventWriter, StoredEvent
from event_trigger.models import Event, EventType

log = structlog.get_logger()

_CHARACTERS_PER_STATEMENT = 4 * 1024 * 1024  # of payloads
_EVENTS_PER_STATEMENT = 1_000  # each may go to 50 destinations
# plain SQL: SQLAlchemy takes longer to compile it than PostgreSQL to answer
_SELECT_TRIGGERS = f"""
    SELECT id, owner_id, key, status, {{payload}}, {{payload_size}},
        details -> 'schema' AS schema, cardinality(destination_ids) > 0 AS has_destinations,
        CASE WHEN {HAS_NO_ROOM} THEN (
            SELECT ARRAY[bytes, reached] FROM event_bytes WHERE event_bytes.shard = :shard
                AND event_bytes.owner_id = triggers.owner_id AND reached IS NOT NULL) END AS reached
    FROM triggers WHERE shard = :shard AND id = ANY (CAST(:ids AS bigint[]))
"""  # noqa: S608
_WITH_PAYLOADS = _SELECT_TRIGGERS.format(payload="CAST(payload AS text)", payload_size="0")
# a payload that is too large in its stored form, which has a head of 4 bytes, is not even measured
_WITH_SIZES = _SELECT_TRIGGERS.format(
    payload="NULL",
    payload_size="""
        CASE WHEN pg_column_size(payload) - 4 > CAST(:most_bytes AS int)
        THEN pg_column_size(payload) - 4
        ELSE coalesce(octet_length(CAST(payload AS text)), 0) END""",
)
_LOCK = "ORDER BY id FOR NO KEY UPDATE"
_READ_TRIGGERS, _LOCK_TRIGGERS, _LOCK_FREE_TRIGGERS, _MEASURE_TRIGGERS, _LOCK_MEASURED = (
    text(statement).columns(schema=JSON)
    for statement in (
        _WITH_PAYLOADS,
        _WITH_PAYLOADS + _LOCK,
        _WITH_PAYLOADS + _LOCK + " SKIP LOCKED",
        _WITH_SIZES,
        _WITH_SIZES + _LOCK,
    )
)
_READ_PREDEFINED = text("""
    SELECT id, CAST(payload AS text) AS payload FROM triggers
    WHERE shard = :shard AND id = ANY (CAST(:ids AS bigint[]))
""")
_INSERT_CALLED_EVENTS = """
    INSERT INTO events (shard, owner_id, trigger_id, type, payload, is_test, replay_of, hops, xid)
    SELECT CAST(:shard AS smallint), called.owner_id, called.trigger_id, :type,
        CAST(called.payload AS json), called.is_test, called.replay_of, called.hops, {xid}
    FROM unnest(
        CAST(:owner_ids AS bigint[]), CAST(:trigger_ids AS bigint[]), CAST(:payloads AS text[]),
        CAST(:are_tests AS boolean[]), CAST(:replays_of AS bigint[]), CAST(:hops AS smallint[])
    ) WITH ORDINALITY AS called (owner_id, trigger_id, payload, is_test, replay_of, hops, place)
    ORDER BY called.place
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
_READ_REACHED = text("""
    SELECT ARRAY[bytes, reached] FROM event_bytes
    WHERE shard = :shard AND owner_id = :owner_id AND reached IS NOT NULL
""")
_READ_PAYLOAD = text("""
    SELECT CAST(payload AS text) FROM events
    WHERE shard = :shard AND id = :id AND triggered_at = :triggered_at
""")
_LIST_IDS = text("""
    SELECT key, id FROM triggers
    WHERE shard = :shard AND owner_id = :owner_id AND key = ANY (CAST(:keys AS text[]))
""")
_WRITER = EventWriter(_INSERT_CALLED_EVENTS, _COUNT_CALLS, is_returning=True)


class CalledTrigger(NamedTuple):
    """A trigger that was called; `payload` is its predefined one, as JSON text.

    A batch reads the size of the payload first, in bytes, and the payload only if there is room.
    `schema` is the JSON Schema of `details.schema`. `reached` is the bytes of its project's events
    and their limit, if they have reached it.
    """

    id: int
    owner_id: int
    key: str | None
    status: str
    payload: str | None
    payload_size: int
    schema: dict[str, Any] | None
    has_destinations: bool
    reached: Sequence[int] | None


@dataclass(frozen=True, slots=True)
class NewEvent:
    """The event of a call or a replay, before it is stored.

    `payload` is JSON text, stored to the letter: a body keeps its spelling.
    """

    trigger: OwnedId
    payload: str | None
    is_test: bool
    has_destinations: bool
    replay_of: int | None = None
    hops: int = 0

    @property
    def is_counted(self) -> bool:
        """Tells whether `fire_count` includes the event: tests and replays are left out."""
        return not self.is_test and self.replay_of is None


@dataclass(frozen=True)
class CalledTriggers:
    """The called triggers of one shard, and their events."""

    session: AsyncSession
    shard: int

    async def list_ids(self, owner_id: int, keys: Sequence[str]) -> dict[str, int]:
        """Finds an owner's triggers by key, in the index `ix_triggers_key`; gives ids by key."""
        wanted = {"shard": self.shard, "owner_id": owner_id, "keys": keys}
        rows = await self.session.execute(_LIST_IDS, wanted)
        return {row.key: row.id for row in rows}

    async def read_triggers(self, ids: Collection[int]) -> dict[int, CalledTrigger]:
        return await self._fetch(_READ_TRIGGERS, ids)

    async def lock_triggers(self, ids: Collection[int], *, waits: bool) -> dict[int, CalledTrigger]:
        """Locks triggers: until the commit, nobody else fires, changes or deletes them.

        Skips those that another transaction has locked, unless it `waits` for them.
        """
        return await self._fetch(_LOCK_TRIGGERS if waits else _LOCK_FREE_TRIGGERS, ids)

    async def _fetch(
        self, statement: Executable, ids: Collection[int], **values: int
    ) -> dict[int, CalledTrigger]:
        if not ids:
            return {}
        wanted = {"shard": self.shard, "ids": [*ids], **values}
        rows = await self.session.execute(statement, wanted)
        return {trigger.id: trigger for trigger in map(CalledTrigger._make, rows)}

    async def read_predefined(self, ids: Collection[int]) -> dict[int, str | None]:
        """Reads the predefined payloads of triggers, as JSON text."""
        rows = await self.session.execute(_READ_PREDEFINED, {"shard": self.shard, "ids": [*ids]})
        return {row.id: row.payload for row in rows}

    async def read_reached(self, owner_id: int) -> Sequence[int] | None:
        """Reads the bytes of a project's events and their limit, if they have reached it."""
        wanted = {"shard": self.shard, "owner_id": owner_id}
        reached: Sequence[int] | None = await self.session.scalar(_READ_REACHED, wanted)
        return reached

    async def read_payload(self, event: Event) -> str | None:
        """Reads the JSON text of an event's payload, as it is stored."""
        key = {"shard": self.shard, "id": event.id, "triggered_at": event.triggered_at}
        payload: str | None = await self.session.scalar(_READ_PAYLOAD, key)
        return payload

    async def note_loops(self, ids: Collection[int]) -> None:
        """Notes in triggers that a call was refused as a loop, at most once a minute for each."""
        noted = await self.session.scalars(_NOTE_LOOPS, {"shard": self.shard, "ids": [*ids]})
        for trigger_id in noted:
            log.warning("loop_refused", trigger_id=trigger_id)

    async def store(self, new: Sequence[NewEvent]) -> list[int]:
        """Stores events and their deliveries, and counts them in their triggers.

        Gives the events' ids, in the order of `new`.
        """
        stored: list[StoredEvent] = []
        for group in _in_statements(new):
            stored += await self._store(group)
        sent = [event for event, one in zip(stored, new, strict=True) if one.has_destinations]
        for start in range(0, len(sent), _EVENTS_PER_STATEMENT):
            part = sent[start : start + _EVENTS_PER_STATEMENT]
            await store_deliveries(self.session, self.shard, part)
        return [event.id for event in stored]

    async def _store(self, new: Sequence[NewEvent]) -> list[StoredEvent]:
        counts = Counter(one.trigger.id for one in new if one.is_counted)
        stored = await _WRITER.write(
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
        return sorted(stored)  # by id, which is the order of the INSERT


@dataclass(frozen=True)
class MeasuredTriggers(CalledTriggers):
    """Called triggers without their payloads, which are measured up to `most_bytes`."""

    most_bytes: int

    async def read_triggers(self, ids: Collection[int]) -> dict[int, CalledTrigger]:
        return await self._fetch(_MEASURE_TRIGGERS, ids, most_bytes=self.most_bytes)

    async def lock_triggers(self, ids: Collection[int], *, waits: bool) -> dict[int, CalledTrigger]:
        """Locks triggers; a batch always waits for those that others have locked."""
        assert waits
        return await self._fetch(_LOCK_MEASURED, ids, most_bytes=self.most_bytes)


def _in_statements(new: Sequence[NewEvent]) -> Iterator[list[NewEvent]]:
    """Groups events so that one statement has a thousand, whose payloads are of a few MiB."""
    group: list[NewEvent] = []
    size = 0
    for one in new:
        group.append(one)
        size += len(one.payload or "")
        if size > _CHARACTERS_PER_STATEMENT or len(group) == _EVENTS_PER_STATEMENT:
            yield group
            group, size = [], 0
    if group:
        yield group
