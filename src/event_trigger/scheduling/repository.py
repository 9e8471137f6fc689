"""Claiming what is due, and firing it: a batch takes a few statements, however large."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.outbox import StoredEvent, store_deliveries
from event_trigger.events.event_writer import EventWriter
from event_trigger.models import EventType, Trigger, TriggerStatus
from event_trigger.scheduling.due_shards import LATE
from event_trigger.triggers.schedule.catch_up import Decision
from event_trigger.triggers.schedule.schedules import FIRST_INSTANT
from event_trigger.triggers.versions import NewUnfiredRange, ScheduleHistory

# plain SQL, because Citus wants the shard as a constant and the plans are tested by name
_CLAIM = """
    SELECT id, owner_id, version, CAST(details AS text), anchor_at, settled_until, next_fire_at,
        scheduled_count, cardinality(destination_ids) > 0, coalesce(pg_column_size(payload), 0),
        now()
    FROM triggers
    WHERE shard = :shard AND next_fire_at <= now() AND {age}
        AND (next_fire_at, id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS bigint))
    ORDER BY next_fire_at, id
    LIMIT :limit
    FOR NO KEY UPDATE {otherwise}
"""
_INSERT_EVENTS = """
    INSERT INTO events
        (shard, owner_id, trigger_id, type, triggered_at, scheduled_for, payload, is_test, xid)
    SELECT triggers.shard, triggers.owner_id, triggers.id, :type, now(),
        coalesce(fired.scheduled_for, triggers.next_fire_at), triggers.payload, false, {xid}
    FROM unnest(CAST(:fired_ids AS bigint[]), CAST(:scheduled_fors AS timestamptz[]))
        AS fired (id, scheduled_for)
    JOIN triggers ON triggers.shard = :shard AND triggers.id = fired.id
    ORDER BY coalesce(fired.scheduled_for, triggers.next_fire_at)
"""
_ADVANCE_TRIGGERS = """
    UPDATE triggers SET
        settled_until = GREATEST(
            triggers.settled_until, coalesce(advanced.settled_until, triggers.next_fire_at)),
        next_fire_at = advanced.next_fire_at,
        status = CASE WHEN advanced.next_fire_at IS NULL THEN :completed ELSE triggers.status END,
        last_fired_at = CASE WHEN advanced.fired > 0 THEN CAST(:now AS timestamptz)
            ELSE triggers.last_fired_at END,
        fire_count = triggers.fire_count + advanced.fired,
        scheduled_count = triggers.scheduled_count + advanced.fired
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:settled_untils AS timestamptz[]),
        CAST(:next_fire_ats AS timestamptz[]), CAST(:fireds AS int[])
    ) AS advanced (id, settled_until, next_fire_at, fired)
    WHERE triggers.shard = :shard AND triggers.id = advanced.id
"""
_STORING = EventWriter(_INSERT_EVENTS, _ADVANCE_TRIGGERS)
_STORING_TO_DELIVER = EventWriter(_INSERT_EVENTS + "RETURNING id, triggered_at", _ADVANCE_TRIGGERS)

LATE_LOCK_TIMEOUT = "250ms"
_CLAIMS = {
    (late, wait): text(_CLAIM.format(age=age, otherwise="" if wait else "SKIP LOCKED"))
    for late, age in {
        None: "true",
        True: "next_fire_at < now() - CAST(:late AS interval)",
        False: "next_fire_at >= now() - CAST(:late AS interval)",
    }.items()
    for wait in (False, True)
}


class Claimed(NamedTuple):
    """A due trigger whose row is locked, without its payload of perhaps a MiB.

    `details` is text, so that one that cannot be read spoils no batch; `payload_size` is in bytes,
    as it is stored; `now` is the transaction's.
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


class DuePosition(NamedTuple):
    """Where a trigger stands among those of its shard that are due: by instant, then by id."""

    at: datetime
    id: int


FIRST = DuePosition(FIRST_INSTANT, 0)


class DecidedTrigger(NamedTuple):
    """A claimed trigger and what becomes of it."""

    trigger: Claimed
    due: Decision


@dataclass(frozen=True)
class DueTriggers:
    session: AsyncSession

    async def claim_due(
        self,
        shard: int,
        limit: int,
        *,
        after: DuePosition = FIRST,
        late: bool | None = None,
        wait: bool = False,
    ) -> list[Claimed]:
        """Locks due triggers of a shard, oldest first, passing over those that others hold.

        Only those that are `late`, or only those that are not, unless that is None. With `wait` it
        queues for them instead of passing over, but not for long.

        Where many are due, going on `after` those that were claimed before is much quicker than
        passing over their locks, or over what is left of them in the index.
        """
        if wait:
            await self.session.execute(text(f"SET LOCAL lock_timeout = '{LATE_LOCK_TIMEOUT}'"))
        values = {"shard": shard, "limit": limit, "after_at": after.at, "after_id": after.id}
        if late is not None:
            values["late"] = LATE
        rows = await self.session.execute(_CLAIMS[late, wait], values)
        return [*map(Claimed._make, rows)]

    async def record_fired(self, shard: int, firings: Sequence[DecidedTrigger]) -> None:
        """Inserts the events of a batch, with their triggers' payloads, and moves those on.

        What will not fire is put on record beside them.
        """
        unfired = [
            NewUnfiredRange(trigger.owner_id, trigger.id, trigger.version, part)
            for trigger, due in firings
            for part in due.unfired
        ]
        if unfired:
            await ScheduleHistory(self.session).record_unfired(shard, unfired)
        advanced = {
            "shard": shard,
            "completed": TriggerStatus.COMPLETED,
            "ids": [one.trigger.id for one in firings],
            "settled_untils": [_unless_planned(one, one.due.settled_until) for one in firings],
            "next_fire_ats": [one.due.next_fire_at for one in firings],
            "fireds": [len(one.due.fires) for one in firings],
            "now": firings[0].trigger.now,
        }
        events = [
            (one.trigger.id, _unless_planned(one, instant))
            for one in firings
            for instant in one.due.fires
        ]
        if not events:
            await _STORING.move(self.session, advanced)
            return
        delivers = any(one.trigger.has_destinations for one in firings)
        stored = await (_STORING_TO_DELIVER if delivers else _STORING).execute(
            self.session,
            {trigger.owner_id for trigger, due in firings if due.fires},
            {
                **advanced,
                "type": EventType.SCHEDULED,
                "fired_ids": [trigger_id for trigger_id, _ in events],
                "scheduled_fors": [instant for _, instant in events],
            },
        )
        if delivers:
            await store_deliveries(self.session, shard, [StoredEvent(*row) for row in stored])

    async def set_aside(self, key: OwnedId, error: str, *, settled_until: datetime) -> None:
        """Takes a trigger that cannot fire off the schedule, with the reason on record."""
        await self.session.execute(
            update(Trigger)
            .where(Trigger.shard == key.shard, Trigger.id == key.id)
            .values(
                status=TriggerStatus.PAUSED,
                settled_until=settled_until,
                next_fire_at=None,
                error=error,
                updated_at=func.now(),
            )
        )


def _unless_planned(firing: DecidedTrigger, instant: datetime) -> datetime | None:
    """None stands for the instant that the row has: another takes longer to write than to find."""
    return None if instant == firing.trigger.next_fire_at else instant
