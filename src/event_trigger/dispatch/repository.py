"""Claiming what is due, and firing it: a batch takes three statements, however large."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Integer, Row, Text, cast, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.engine import ACROSS_SHARDS
from event_trigger.db.notify import EVENTS_STORED, notify
from event_trigger.deliveries.outbox import StoredEvent, store_deliveries
from event_trigger.dispatch.due import Due
from event_trigger.events.repository import Events
from event_trigger.models import EventType, Trigger, TriggerStatus
from event_trigger.triggers.history import History, UnfiredOf
from event_trigger.triggers.repository import OwnedId

# plain SQL, because Citus wants the shard as a constant and the plans are tested by name
_INSERT_EVENTS = text("""
    INSERT INTO events
        (shard, owner_id, trigger_id, type, triggered_at, scheduled_for, payload, is_test, xid)
    SELECT triggers.shard, triggers.owner_id, triggers.id, :type, now(), fired.scheduled_for,
        triggers.payload, false, :xid
    FROM unnest(CAST(:ids AS bigint[]), CAST(:scheduled_fors AS timestamptz[]))
        AS fired (id, scheduled_for)
    JOIN triggers ON triggers.shard = :shard AND triggers.id = fired.id
    ORDER BY fired.scheduled_for
    RETURNING id, triggered_at
""")
_ADVANCE_TRIGGERS = text("""
    UPDATE triggers SET
        settled_until = GREATEST(triggers.settled_until, advanced.settled_until),
        next_fire_at = advanced.next_fire_at,
        status = CASE WHEN advanced.next_fire_at IS NULL THEN :completed ELSE triggers.status END,
        last_fired_at = COALESCE(advanced.fired_at, triggers.last_fired_at),
        fire_count = triggers.fire_count + advanced.fired,
        scheduled_count = triggers.scheduled_count + advanced.fired
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:settled_untils AS timestamptz[]),
        CAST(:next_fire_ats AS timestamptz[]), CAST(:fireds AS int[]),
        CAST(:fired_ats AS timestamptz[])
    ) AS advanced (id, settled_until, next_fire_at, fired, fired_at)
    WHERE triggers.shard = :shard AND triggers.id = advanced.id
""")

LATE = timedelta(seconds=1)
PATIENCE = "250ms"


@dataclass(frozen=True, slots=True)
class Firing:
    """One claimed trigger and what becomes of it."""

    trigger_id: int
    owner_id: int
    version: int
    due: Due
    has_destinations: bool


@dataclass(frozen=True, slots=True)
class DueShard:
    """A shard with something due: late already, on time, or both."""

    shard: int
    has_late: bool
    has_on_time: bool


@dataclass(frozen=True)
class Firings:
    session: AsyncSession

    async def list_due_shards(self) -> list[DueShard]:
        """In any order: replicas rarely meet, and one that is held up is not always first."""
        oldest, then = func.min(Trigger.next_fire_at), func.now() - LATE
        statement = (
            select(Trigger.shard, oldest < then, func.max(Trigger.next_fire_at) >= then)
            .where(Trigger.next_fire_at <= func.now())
            .group_by(Trigger.shard)
            .order_by(func.random())
        )
        options = {ACROSS_SHARDS: "due shards"}
        rows = await self.session.execute(statement, execution_options=options)
        return [DueShard(*row) for row in rows]

    async def seconds_until_next(self) -> float | None:
        """How long until the earliest planned instant, by the database's clock, if there is one."""
        wait = func.min(Trigger.next_fire_at) - func.clock_timestamp()
        statement = select(func.extract("epoch", wait)).where(Trigger.next_fire_at.is_not(None))
        options = {ACROSS_SHARDS: "due shards"}
        seconds = await self.session.scalar(statement, execution_options=options)
        return None if seconds is None else float(seconds)

    async def claim_due(
        self, shard: int, limit: int, *, late: bool | None = None, wait: bool = False
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Locks due triggers of a shard, oldest first, passing over those that others hold.

        Only those that are `late`, or only those that are not, unless that is None. With `wait` it
        queues for them instead of passing over, but not for long.
        Payloads, a MiB each, stay where they are; `details` is text, so that one that cannot be
        read spoils no batch.
        """
        statement = (
            select(
                Trigger.id,
                Trigger.owner_id,
                Trigger.version,
                cast(Trigger.details, Text).label("details"),
                Trigger.anchor_at,
                Trigger.settled_until,
                Trigger.next_fire_at,
                Trigger.scheduled_count,
                (func.cardinality(Trigger.destinations) > 0).label("has_destinations"),
                func.coalesce(func.pg_column_size(Trigger.payload, type_=Integer), 0).label(
                    "payload_size"
                ),
                func.now().label("now"),
            )
            .where(Trigger.shard == shard, Trigger.next_fire_at <= func.now())
            .order_by(Trigger.next_fire_at)
            .limit(limit)
            .with_for_update(skip_locked=not wait, key_share=True)
        )
        if late is not None:
            then = func.now() - LATE
            age = Trigger.next_fire_at < then if late else Trigger.next_fire_at >= then
            statement = statement.where(age)
        if wait:
            await self.session.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE}'"))
        return (await self.session.execute(statement)).all()

    async def record_fired(self, shard: int, firings: Sequence[Firing], *, now: datetime) -> None:
        """Inserts the events of a batch, with their triggers' payloads, and moves those on.

        What will not fire is put on record beside them. `now` is when the transaction began.
        """
        await self._store_scheduled(shard, firings)
        unfired = [
            UnfiredOf(one.owner_id, one.trigger_id, one.version, part)
            for one in firings
            for part in one.due.unfired
        ]
        if unfired:
            await History(self.session).record_unfired(shard, unfired)
        await self.session.execute(
            _ADVANCE_TRIGGERS,
            {
                "shard": shard,
                "completed": TriggerStatus.COMPLETED,
                "ids": [one.trigger_id for one in firings],
                "settled_untils": [one.due.settled_until for one in firings],
                "next_fire_ats": [one.due.next_fire_at for one in firings],
                "fireds": [len(one.due.fires) for one in firings],
                "fired_ats": [now if one.due.fires else None for one in firings],
            },
        )

    async def _store_scheduled(self, shard: int, firings: Sequence[Firing]) -> None:
        events = [(one.trigger_id, instant) for one in firings for instant in one.due.fires]
        if not events:
            return
        rows = await self.session.execute(
            _INSERT_EVENTS,
            {
                "shard": shard,
                "type": EventType.SCHEDULED,
                "ids": [trigger_id for trigger_id, _ in events],
                "scheduled_fors": [instant for _, instant in events],
                # said, not left to the default: in a cluster that would be the worker's own
                "xid": await Events(self.session).take_xid(),
            },
        )
        stored = [StoredEvent(*row) for row in rows]
        if any(one.has_destinations for one in firings):
            await store_deliveries(self.session, shard, stored)
        owners = sorted({str(one.owner_id) for one in firings if one.due.fires})
        await notify(self.session, EVENTS_STORED, *owners)

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
