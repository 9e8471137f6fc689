"""What is on record about the instants of one trigger, also of one that was deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, union
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import ACROSS_SHARDS, OwnedId
from event_trigger.models import (
    Event,
    EventType,
    ScheduleVersion,
    Trigger,
    TriggerType,
    UnfiredRange,
)


@dataclass(frozen=True)
class Ledger:
    session: AsyncSession

    async def list_keys(self) -> list[OwnedId]:
        """Every trigger that has, or had, a schedule; for admins."""
        present = select(Trigger.owner_id, Trigger.id).where(Trigger.type == TriggerType.SCHEDULED)
        past = select(ScheduleVersion.owner_id, ScheduleVersion.trigger_id)
        statement = union(present, past).order_by("id")
        rows = await self.session.execute(
            statement, execution_options={ACROSS_SHARDS: "admin reads"}
        )
        return [OwnedId(*row) for row in rows]

    async def list_versions(self, key: OwnedId, *, after: datetime) -> Sequence[ScheduleVersion]:
        """The schedules that ended later than `after`, oldest first."""
        statement = (
            select(ScheduleVersion)
            .where(
                ScheduleVersion.shard == key.shard,
                ScheduleVersion.trigger_id == key.id,
                ScheduleVersion.ends_at > after,
            )
            .order_by(ScheduleVersion.version)
        )
        return (await self.session.scalars(statement)).all()

    async def get_version(self, key: OwnedId, version: int) -> ScheduleVersion | None:
        """A schedule that has ended."""
        return await self.session.get(ScheduleVersion, (key.shard, key.id, version))

    async def list_unfired(
        self, key: OwnedId, *, after: datetime, until: datetime
    ) -> Sequence[UnfiredRange]:
        """The ranges that reach into `(after, until]`, oldest first."""
        statement = (
            select(UnfiredRange)
            .where(
                UnfiredRange.shard == key.shard,
                UnfiredRange.trigger_id == key.id,
                UnfiredRange.last_at > after,
                UnfiredRange.first_at <= until,
            )
            .order_by(UnfiredRange.last_at, UnfiredRange.id)
        )
        return (await self.session.scalars(statement)).all()

    async def list_fired(
        self, key: OwnedId, *, after: datetime, until: datetime
    ) -> Sequence[datetime]:
        """The instants in `(after, until]` that have an event, each as often as it has, sorted."""
        statement = (
            select(Event.scheduled_for)
            .where(
                Event.shard == key.shard,
                Event.trigger_id == key.id,
                Event.type == EventType.SCHEDULED,
                Event.is_test.is_(False),  # as the index has it: no schedule fires a test
                Event.triggered_at > after,  # prunes partitions: nothing fires early
                Event.scheduled_for > after,
                Event.scheduled_for <= until,
            )
            .order_by(Event.scheduled_for)
        )
        instants = (await self.session.scalars(statement)).all()
        return [instant for instant in instants if instant is not None]

    async def get_event(self, key: OwnedId, scheduled_for: datetime) -> Event | None:
        """The event of a planned instant, the first one if there should be more."""
        statement = (
            select(Event)
            .where(
                Event.shard == key.shard,
                Event.trigger_id == key.id,
                Event.type.in_(list(EventType)),  # every kind, as the index has them
                Event.is_test.in_((False, True)),
                Event.triggered_at >= scheduled_for,
                Event.scheduled_for == scheduled_for,
            )
            .order_by(Event.triggered_at, Event.id)
            .limit(1)
        )
        return (await self.session.scalars(statement)).one_or_none()
