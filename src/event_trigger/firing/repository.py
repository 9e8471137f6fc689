"""Reads and locks called triggers, a statement for many calls."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from sqlalchemy import text

from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import OwnedId, ShardedStatement, by_shard
from event_trigger.events.event_bytes import HAS_NO_ROOM, HAS_NO_ROOM_IN_SHARDS
from event_trigger.models import Event, shard_of

log = structlog.get_logger()

# plain SQL: SQLAlchemy takes longer to compile it than PostgreSQL to answer
_SELECT_TRIGGERS = """
    SELECT id, owner_id, key, status, updated_at, {payload}, {payload_size},
        details -> 'schema' AS schema, cardinality(destination_ids) > 0 AS has_destinations,
        CASE WHEN {has_no_room} THEN (
            SELECT ARRAY[bytes, reached] FROM event_bytes WHERE event_bytes.shard = {its_shard}
                AND event_bytes.owner_id = triggers.owner_id AND reached IS NOT NULL)
        END AS reached,
        CASE WHEN type = 'heartbeat' THEN CAST(details AS text) END AS heartbeat,
        CASE WHEN type = 'heartbeat' THEN clock_timestamp() END AS now,
        anchor_at, last_ping_at, run_started_at, silent_since
    FROM triggers WHERE {wanted} {lock}
"""
_IN_SHARD = {
    "wanted": "shard = :shard AND id = ANY (CAST(:ids AS bigint[]))",
    "has_no_room": HAS_NO_ROOM,
    "its_shard": ":shard",  # Citus cannot lock what names it by another table's column
}
_IN_SHARDS = {
    "wanted": """(shard, id) IN (
        SELECT * FROM unnest(CAST(:shards AS smallint[]), CAST(:ids AS bigint[])))""",
    "has_no_room": HAS_NO_ROOM_IN_SHARDS,
    "its_shard": "triggers.shard",
}
_PAYLOAD = {"payload": "CAST(payload AS text)", "payload_size": "0"}
# a payload that is too large in its stored form, which has a head of 4 bytes, is not even measured
_SIZE = {
    "payload": "NULL",
    "payload_size": """
        CASE WHEN pg_column_size(payload) - 4 > CAST(:most_bytes AS int)
        THEN pg_column_size(payload) - 4
        ELSE coalesce(octet_length(CAST(payload AS text)), 0) END""",
}
_LOCK = "ORDER BY id FOR NO KEY UPDATE"
_READ_TRIGGERS, _LOCK_TRIGGERS, _LOCK_FREE_TRIGGERS, _MEASURE_TRIGGERS, _LOCK_MEASURED = (
    ShardedStatement(
        *(
            text(_SELECT_TRIGGERS.format(**payload, **where, lock=lock))
            for where in (_IN_SHARD, _IN_SHARDS)
        )
    )
    for payload, lock in (
        (_PAYLOAD, ""),
        (_PAYLOAD, _LOCK),
        (_PAYLOAD, _LOCK + " SKIP LOCKED"),
        (_SIZE, ""),
        (_SIZE, _LOCK),
    )
)
_LIST_PRESENT = ShardedStatement(
    *(
        text(f"SELECT id FROM triggers WHERE {where['wanted']}")  # noqa: S608
        for where in (_IN_SHARD, _IN_SHARDS)
    )
)
_READ_PREDEFINED = text("""
    SELECT id, CAST(payload AS text) AS payload FROM triggers
    WHERE shard = :shard AND id = ANY (CAST(:ids AS bigint[]))
""")
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


class CalledTrigger(NamedTuple):
    """A trigger that was called; `payload` is its predefined one, as JSON text.

    A batch reads the size of the payload first, in bytes, and the payload only if there is room.
    `schema` is the JSON Schema of `details.schema`. `reached` is the bytes of its project's events
    and their limit, if they have reached it. `heartbeat` is the JSON text of a heartbeat's details;
    `now`, the database's time, is for heartbeats only.
    """

    id: int
    owner_id: int
    key: str | None
    status: str
    updated_at: datetime
    payload: str | None
    payload_size: int
    schema: dict[str, Any] | None
    has_destinations: bool
    reached: Sequence[int] | None
    heartbeat: str | None
    now: datetime | None
    anchor_at: datetime
    last_ping_at: datetime | None
    run_started_at: datetime | None
    silent_since: datetime | None


@dataclass(frozen=True)
class CalledTriggers:
    """Triggers that are called; in a cluster, all of one call are in one shard."""

    session: ReadSession

    async def list_ids(self, owner_id: int, keys: Sequence[str]) -> dict[str, int]:
        """Finds an owner's triggers by key, in the index `ix_triggers_key`; gives ids by key."""
        wanted = {"shard": shard_of(owner_id), "owner_id": owner_id, "keys": keys}
        rows = await self.session.execute(_LIST_IDS, wanted)
        return {row.key: row.id for row in rows}

    async def read_triggers(self, wanted: Collection[OwnedId]) -> dict[int, CalledTrigger]:
        return await self._fetch(_READ_TRIGGERS, wanted)

    async def lock_triggers(
        self, wanted: Collection[OwnedId], *, waits: bool
    ) -> dict[int, CalledTrigger]:
        """Locks triggers: until the commit, nobody else fires, changes or deletes them.

        Skips those that another transaction has locked, unless it `waits` for them.
        """
        return await self._fetch(_LOCK_TRIGGERS if waits else _LOCK_FREE_TRIGGERS, wanted)

    async def list_present(self, wanted: Collection[OwnedId]) -> set[int]:
        """Returns the ids of those that there are, also if others have locked them."""
        if not wanted:
            return set()
        statement, shards = _LIST_PRESENT.on([one.shard for one in wanted])
        ids = {**shards, "ids": [one.id for one in wanted]}
        return {trigger_id for (trigger_id,) in await self.session.execute(statement, ids)}

    async def _fetch(
        self, sharded: ShardedStatement, wanted: Collection[OwnedId], **values: int
    ) -> dict[int, CalledTrigger]:
        if not wanted:
            return {}
        statement, shards = sharded.on([one.shard for one in wanted])
        rows = await self.session.execute(
            statement, {**shards, "ids": [one.id for one in wanted], **values}
        )
        return {trigger.id: trigger for trigger in map(CalledTrigger._make, rows)}

    async def read_predefined(self, wanted: Collection[OwnedId]) -> dict[int, str | None]:
        """Reads the predefined payloads of triggers of one shard, as JSON text."""
        if not wanted:
            return {}
        [shard] = {one.shard for one in wanted}
        rows = await self.session.execute(
            _READ_PREDEFINED, {"shard": shard, "ids": [one.id for one in wanted]}
        )
        return {row.id: row.payload for row in rows}

    async def read_reached(self, owner_id: int) -> Sequence[int] | None:
        """Reads the bytes of a project's events and their limit, if they have reached it."""
        wanted = {"shard": shard_of(owner_id), "owner_id": owner_id}
        reached: Sequence[int] | None = await self.session.scalar(_READ_REACHED, wanted)
        return reached

    async def read_payload(self, event: Event) -> str | None:
        """Reads the JSON text of an event's payload, as it is stored."""
        key = {"shard": event.shard, "id": event.id, "triggered_at": event.triggered_at}
        payload: str | None = await self.session.scalar(_READ_PAYLOAD, key)
        return payload

    async def note_loops(self, called: Collection[OwnedId]) -> None:
        """Notes in triggers that a call was refused as a loop, at most once a minute for each."""
        for shard, triggers in by_shard(called).items():
            ids = [one.id for one in triggers]
            noted = await self.session.execute(_NOTE_LOOPS, {"shard": shard, "ids": ids})
            for (trigger_id,) in noted:
                log.warning("loop_refused", trigger_id=trigger_id)


@dataclass(frozen=True)
class MeasuredTriggers(CalledTriggers):
    """Called triggers without their payloads, which are measured up to `most_bytes`."""

    most_bytes: int

    async def read_triggers(self, wanted: Collection[OwnedId]) -> dict[int, CalledTrigger]:
        return await self._fetch(_MEASURE_TRIGGERS, wanted, most_bytes=self.most_bytes)

    async def lock_triggers(
        self, wanted: Collection[OwnedId], *, waits: bool
    ) -> dict[int, CalledTrigger]:
        """Locks triggers; a batch always waits for those that others have locked."""
        assert waits
        return await self._fetch(_LOCK_MEASURED, wanted, most_bytes=self.most_bytes)
