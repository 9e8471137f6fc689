"""Claiming what is due, and writing events: a batch takes three statements, however large."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Text, cast, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.engine import ACROSS_SHARDS
from event_trigger.models import Event, EventType, IdempotencyKey, Trigger, TriggerStatus
from event_trigger.triggers.repository import OwnedId

# plain SQL, because Citus wants the shard as a constant and the plans are tested by name
_INSERT_EVENTS = text("""
    INSERT INTO events
        (shard, owner_id, trigger_id, type, triggered_at, scheduled_for, payload, is_test)
    SELECT triggers.shard, triggers.owner_id, triggers.id, :type, now(), fired.scheduled_for,
        triggers.payload, false
    FROM unnest(CAST(:ids AS bigint[]), CAST(:scheduled_fors AS timestamptz[]))
        AS fired (id, scheduled_for)
    JOIN triggers ON triggers.shard = :shard AND triggers.id = fired.id
""")
_ADVANCE_TRIGGERS = text("""
    UPDATE triggers SET
        next_fire_at = advanced.next_fire_at,
        status = CASE WHEN advanced.next_fire_at IS NULL THEN :completed ELSE triggers.status END,
        last_fired_at = CASE WHEN advanced.fired > 0 THEN now() ELSE triggers.last_fired_at END,
        fire_count = triggers.fire_count + advanced.fired,
        scheduled_count = triggers.scheduled_count + advanced.fired
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:next_fire_ats AS timestamptz[]), CAST(:fireds AS int[])
    ) AS advanced (id, next_fire_at, fired)
    WHERE triggers.shard = :shard AND triggers.id = advanced.id
""")


LATE = timedelta(seconds=1)
PATIENCE = "250ms"


@dataclass(frozen=True, slots=True)
class Firing:
    """One claimed trigger and what becomes of it."""

    trigger_id: int
    scheduled_for: datetime | None
    next_fire_at: datetime | None


@dataclass(frozen=True, slots=True)
class DueShard:
    """A shard with something due, and whether that is late already."""

    shard: int
    is_late: bool


@dataclass(frozen=True)
class Firings:
    session: AsyncSession

    async def list_due_shards(self) -> list[DueShard]:
        late = func.min(Trigger.next_fire_at) < func.now() - LATE
        statement = (
            select(Trigger.shard, late.label("is_late"))
            .where(Trigger.next_fire_at <= func.now())
            .group_by(Trigger.shard)
        )
        options = {ACROSS_SHARDS: "due shards"}
        rows = await self.session.execute(statement, execution_options=options)
        return [DueShard(row.shard, row.is_late) for row in rows]

    async def seconds_until_next(self) -> float | None:
        """How long until the earliest planned instant, by the database's clock, if there is one."""
        wait = func.min(Trigger.next_fire_at) - func.clock_timestamp()
        statement = select(func.extract("epoch", wait)).where(Trigger.next_fire_at.is_not(None))
        options = {ACROSS_SHARDS: "due shards"}
        seconds = await self.session.scalar(statement, execution_options=options)
        return None if seconds is None else float(seconds)

    async def claim_due(
        self, shard: int, limit: int, *, wait: bool = False
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Locks due triggers of a shard, oldest first, passing over those that others hold.

        With `wait` it queues for them instead, but not for long.
        Payloads, a MiB each, stay where they are; `details` is text, so that one that cannot be
        read spoils no batch.
        """
        statement = (
            select(
                Trigger.id,
                Trigger.owner_id,
                cast(Trigger.details, Text).label("details"),
                Trigger.anchor_at,
                Trigger.next_fire_at,
                Trigger.scheduled_count,
                func.now().label("now"),
            )
            .where(Trigger.shard == shard, Trigger.next_fire_at <= func.now())
            .order_by(Trigger.next_fire_at)
            .limit(limit)
            .with_for_update(skip_locked=not wait, key_share=True)
        )
        if wait:
            await self.session.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE}'"))
        return (await self.session.execute(statement)).all()

    async def record_fired(self, shard: int, firings: Sequence[Firing]) -> None:
        """Inserts the events of a batch, with their triggers' payloads, and moves those on."""
        events = [one for one in firings if one.scheduled_for is not None]
        if events:
            await self.session.execute(
                _INSERT_EVENTS,
                {
                    "shard": shard,
                    "type": EventType.SCHEDULED,
                    "ids": [one.trigger_id for one in events],
                    "scheduled_fors": [one.scheduled_for for one in events],
                },
            )
        await self.session.execute(
            _ADVANCE_TRIGGERS,
            {
                "shard": shard,
                "completed": TriggerStatus.COMPLETED,
                "ids": [one.trigger_id for one in firings],
                "next_fire_ats": [one.next_fire_at for one in firings],
                "fireds": [int(one.scheduled_for is not None) for one in firings],
            },
        )

    async def set_aside(self, key: OwnedId, error: str) -> None:
        """Takes a trigger that cannot fire off the schedule, with the reason on record."""
        await self.session.execute(
            update(Trigger)
            .where(Trigger.shard == key.shard, Trigger.id == key.id)
            .values(
                status=TriggerStatus.PAUSED,
                next_fire_at=None,
                error=error,
                updated_at=func.now(),
            )
        )

    async def add_called(
        self, key: OwnedId, payload: dict[str, Any] | None, *, is_test: bool
    ) -> int:
        """Writes the event of a call and gives its id."""
        row = insert(Event).values(
            shard=key.shard,
            owner_id=key.owner_id,
            trigger_id=key.id,
            type=EventType.API,
            payload=payload,
            is_test=is_test,
        )
        return (await self.session.execute(row.returning(Event.id))).scalar_one()

    async def record_called(self, key: OwnedId) -> None:
        await self.session.execute(
            update(Trigger)
            .where(Trigger.shard == key.shard, Trigger.id == key.id)
            .values(fire_count=Trigger.fire_count + 1, last_fired_at=func.clock_timestamp())
        )


@dataclass(frozen=True)
class IdempotencyKeys:
    session: AsyncSession

    async def try_lock(self, lock: int) -> bool:
        """Whether no other call holds this lock; it ends with the transaction."""
        return bool(await self.session.scalar(select(func.pg_try_advisory_xact_lock(lock))))

    async def get(self, key: OwnedId, text_: str, *, is_test: bool) -> IdempotencyKey | None:
        return await self.session.get(
            IdempotencyKey,
            {"shard": key.shard, "trigger_id": key.id, "is_test": is_test, "key": text_},
        )

    async def add(self, answered: IdempotencyKey) -> None:
        self.session.add(answered)
        await self.session.flush()

    async def purge_older_than(self, instant: datetime) -> None:
        await self.session.execute(
            delete(IdempotencyKey).where(IdempotencyKey.created_at < instant),
            execution_options={ACROSS_SHARDS: "retention"},
        )
