"""Claims due triggers and stores their events: a few statements for a batch of any size."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text

from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import OwnedId, ShardedStatement, by_shard
from event_trigger.deliveries.outbox import store_deliveries
from event_trigger.events.event_bytes import HAS_NO_ROOM, HAS_NO_ROOM_IN_SHARDS
from event_trigger.events.event_writer import NAMED, ShardedWriter
from event_trigger.models import EventType, TriggerStatus, TriggerType, shard_of
from event_trigger.scheduling.due_shards import LATE_AFTER
from event_trigger.scheduling.due_spans import DueSpans
from event_trigger.triggers.schedule.bases import FIRST_INSTANT
from event_trigger.triggers.schedule.catch_up import Decision
from event_trigger.triggers.versions import NewUnfiredRange, UnfiredRanges

# plain SQL: Citus wants the shard as a constant, and tests check the plans by index name
_CLAIM_DUE = """
    SELECT id, owner_id, version, CAST(details AS text), anchor_at, settled_until, next_fire_at,
        scheduled_count, cardinality(destination_ids) > 0, coalesce(pg_column_size(payload), 0),
        now(), {has_no_room}, CAST(excluded_days AS text), shift_seconds, type, last_ping_at,
        run_started_at
    FROM triggers
    WHERE shard = {shard} AND next_fire_at <= now() AND {age}
        AND (next_fire_at, id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS bigint))
    ORDER BY next_fire_at, id
    LIMIT :limit
    FOR NO KEY UPDATE {if_locked}
"""
_CLAIM_DUE_OF_EACH = """
    SELECT claimed.* FROM unnest(CAST(:shards AS smallint[])) AS due (shard)
    CROSS JOIN LATERAL ({claim}) AS claimed
"""
_INSERT_SCHEDULED_EVENTS = """
    INSERT INTO events
        (shard, owner_id, trigger_id, type, triggered_at, scheduled_for, payload, is_test, xid)
    SELECT triggers.shard, triggers.owner_id, triggers.id, :type, now(),
        coalesce(fired.scheduled_for, triggers.next_fire_at), triggers.payload, false, {xid}
    FROM unnest(
        CAST(:fired_shards AS smallint[]), CAST(:fired_ids AS bigint[]),
        CAST(:scheduled_fors AS timestamptz[])
    ) AS fired (shard, id, scheduled_for)
    JOIN triggers ON triggers.shard = {fired} AND triggers.id = fired.id
    ORDER BY coalesce(fired.scheduled_for, triggers.next_fire_at)
"""
# With ids, Citus leaves all to the node of the shard, which commits it alone. Rows that still need
# one go through the coordinator, payloads too; and with arrays that are sent as text, it fails.
_INSERT_WITH_IDS = """
    INSERT INTO events AS stored
        (id, shard, owner_id, trigger_id, type, triggered_at, scheduled_for, payload, is_test, xid)
    OVERRIDING SYSTEM VALUE
    SELECT fired.event_id, triggers.shard, triggers.owner_id, triggers.id, :type,
        CAST(:now AS timestamptz), coalesce(fired.scheduled_for, triggers.next_fire_at),
        triggers.payload, false, CAST(:xid AS bigint)
    FROM unnest(
        CAST(:fired_ids AS bigint[]), CAST(:scheduled_fors AS timestamptz[]),
        CAST(:event_ids AS bigint[])
    ) AS fired (id, scheduled_for, event_id)
    JOIN triggers ON triggers.shard = :shard AND triggers.id = fired.id
"""
_ADVANCE_TRIGGERS = """
    UPDATE triggers SET
        settled_until = GREATEST(
            triggers.settled_until, coalesce(moved.settled_until, triggers.next_fire_at)),
        next_fire_at = moved.next_fire_at,
        status = CASE WHEN moved.next_fire_at IS NULL THEN :completed ELSE triggers.status END,
        last_fired_at = CASE WHEN moved.fired > 0 THEN CAST(:now AS timestamptz)
            ELSE triggers.last_fired_at END,
        fire_count = triggers.fire_count + moved.fired,
        scheduled_count = triggers.scheduled_count + moved.fired
    FROM unnest(
        CAST(:shards AS smallint[]), CAST(:ids AS bigint[]), CAST(:settled_untils AS timestamptz[]),
        CAST(:next_fire_ats AS timestamptz[]), CAST(:fireds AS int[])
    ) AS moved (shard, id, settled_until, next_fire_at, fired)
    WHERE triggers.shard = {moved} AND triggers.id = moved.id
"""
_SET_ASIDE = text("""
    UPDATE triggers SET status = :paused, settled_until = :settled_until, next_fire_at = NULL,
        error = :error, updated_at = now()
    WHERE shard = :shard AND id = :id
""")
_WRITER, _NAMING_WRITER = (  # the latter for deliveries and spans
    ShardedWriter(
        _INSERT_SCHEDULED_EVENTS,
        _ADVANCE_TRIGGERS,
        returns=returns,
        announces=False,
        with_ids=_INSERT_WITH_IDS,
    )
    for returns in ((), NAMED)
)

LATE_LOCK_TIMEOUT = "250ms"
_AGES = {
    None: "true",
    True: "next_fire_at < now() - CAST(:late_after AS interval)",
    False: "next_fire_at >= now() - CAST(:late_after AS interval)",
}


def _claim(age: str, if_locked: str) -> ShardedStatement:
    found = {"age": age, "if_locked": if_locked}
    one = _CLAIM_DUE.format(**found, shard=":shard", has_no_room=HAS_NO_ROOM)
    each = _CLAIM_DUE.format(**found, shard="due.shard", has_no_room=HAS_NO_ROOM_IN_SHARDS)
    return ShardedStatement(text(one), text(_CLAIM_DUE_OF_EACH.format(claim=each)))


_CLAIMS = {
    (late, wait): _claim(age, "" if wait else "SKIP LOCKED")
    for late, age in _AGES.items()
    for wait in (False, True)
}


class ClaimedTrigger(NamedTuple):
    """A due trigger whose row is locked, without its payload, which may be a MiB.

    `details` is JSON text, so that details that cannot be parsed fail only their own trigger.
    `payload_size` is in bytes, as it is stored; `now` is the time of the transaction. `has_no_room`
    tells whether its project's events have reached their limit.
    """

    id: int
    owner_id: int
    version: int
    details: str
    anchor_at: datetime
    settled_until: datetime
    next_fire_at: datetime
    scheduled_count: int
    has_destinations: bool
    payload_size: int
    now: datetime
    has_no_room: bool
    excluded_days: str | None = None
    shift_seconds: int | None = None
    type: str = TriggerType.SCHEDULED
    last_ping_at: datetime | None = None
    run_started_at: datetime | None = None

    @property
    def shard(self) -> int:
        return shard_of(self.owner_id)


class DuePosition(NamedTuple):
    """A position among the due triggers of a shard, which are ordered by instant, then by id."""

    at: datetime
    id: int


START = DuePosition(FIRST_INSTANT, 0)


class DecidedTrigger(NamedTuple):
    """A claimed trigger, and the decision for which of its instants it fires."""

    trigger: ClaimedTrigger
    decision: Decision


@dataclass(frozen=True)
class DueTriggers:
    session: ReadSession

    async def claim_due(
        self,
        shards: Sequence[int],
        *,
        limit: int,
        after: DuePosition = START,
        late: bool | None = None,
        wait: bool = False,
    ) -> list[ClaimedTrigger]:
        """Locks due triggers, oldest first, and skips those that others have locked.

        `limit` is that of each shard; a cluster claims those of one shard.
        `late` chooses late triggers or on-time ones; None is both. With `wait` it waits up to
        250 ms for a lock instead of skipping the row, and fails if that is not enough.

        Where many triggers are due, starting `after` the previous batch is much quicker than
        skipping its locks, or its dead entries in the index.
        """
        if wait:
            await self.session.execute(text(f"SET LOCAL lock_timeout = '{LATE_LOCK_TIMEOUT}'"))
        statement, values = _CLAIMS[late, wait].on(shards)
        values |= {"limit": limit, "after_at": after.at, "after_id": after.id}
        if late is not None:
            values["late_after"] = LATE_AFTER
        claimed = [*map(ClaimedTrigger._make, await self.session.execute(statement, values))]
        return claimed if len(shards) == 1 else sorted(claimed, key=_position)

    async def record_fired(self, decided: Sequence[DecidedTrigger]) -> DueSpans:
        """Stores the result of a batch, and gives the spans that end with its commit.

        1. Record the instants that do not fire, with the reason.
        2. Insert the events with their triggers' payloads, and move the triggers on.
        3. Store the deliveries of the events.

        The caller announces both after the commit.
        """
        shards = [one.trigger.shard for one in decided]
        await self._record_unfired(decided)
        advanced = {
            "shard": shards[0],
            "shards": shards,
            "completed": TriggerStatus.COMPLETED,
            "ids": [one.trigger.id for one in decided],
            "settled_untils": [_unless_planned(one, one.decision.settled_until) for one in decided],
            "next_fire_ats": [one.decision.next_fire_at for one in decided],
            "fireds": [len(one.decision.fires) for one in decided],
            "now": decided[0].trigger.now,
        }
        events = sorted(  # as their ids are
            ((one, instant) for one in decided for instant in one.decision.fires),
            key=lambda event: event[1],
        )
        spans = DueSpans(EventType.SCHEDULED)
        if not events:
            await _WRITER.on(shards).update_triggers(self.session, advanced)
            return spans
        delivers = any(one.trigger.has_destinations for one in decided)
        is_named = delivers or spans.tracer is not None
        writer = _NAMING_WRITER if is_named else _WRITER
        stored = await writer.on(shards).write(
            self.session,
            {trigger.owner_id for trigger, decision in decided if decision.fires},
            {
                **advanced,
                "type": EventType.SCHEDULED,
                "fired_shards": [one.trigger.shard for one, _ in events],
                "fired_ids": [one.trigger.id for one, _ in events],
                "scheduled_fors": [_unless_planned(one, instant) for one, instant in events],
            },
            count=len(events),
        )
        owners = ((one.trigger.id, one.trigger.owner_id) for one in decided)
        traces = await spans.start(stored, owners)
        if delivers:
            of_trigger: dict[int | None, int] = {
                one.trigger.id: one.trigger.shard for one in decided
            }
            await store_deliveries(
                self.session,
                stored,
                shards=[of_trigger[one.trigger_id] for one in stored],
                traces=traces,
                announces=False,
            )
        return spans

    async def _record_unfired(self, decided: Sequence[DecidedTrigger]) -> None:
        unfired = [
            NewUnfiredRange(
                trigger.owner_id,
                trigger.id,
                trigger.version,
                part,
                after=trigger.settled_until if trigger.has_no_room else None,
            )
            for trigger, decision in decided
            for part in decision.unfired
        ]
        for shard, ranges in by_shard(unfired).items():
            await UnfiredRanges(self.session).record(shard, ranges)

    async def set_aside(self, key: OwnedId, error: str, *, settled_until: datetime) -> None:
        """Pauses a trigger that cannot fire, and stores the error."""
        values = {"paused": TriggerStatus.PAUSED, "error": error, "settled_until": settled_until}
        await self.session.execute(_SET_ASIDE, {"shard": key.shard, "id": key.id, **values})


def _position(claimed: ClaimedTrigger) -> DuePosition:
    return DuePosition(claimed.next_fire_at, claimed.id)


def _unless_planned(decided: DecidedTrigger, instant: datetime) -> datetime | None:
    """Returns None for the instant that is in the trigger's row: SQL reads it there more quickly
    than it parses a parameter."""
    return None if instant == decided.trigger.next_fire_at else instant
