"""Reads the records about the instants of one trigger, which may be deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, or_, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import ACROSS_SHARDS, OwnedId
from event_trigger.models import (
    Event,
    EventType,
    HeartbeatChange,
    Project,
    ScheduleVersion,
    Trigger,
    TriggerType,
    UnfiredRange,
    User,
)


@dataclass(frozen=True)
class InstantRecords:
    session: AsyncSession

    async def list_keys(self) -> list[OwnedId]:
        """Lists every trigger that has, or had, a schedule, and every heartbeat; for admins.

        Leaves out deleted projects, whose records go one after the other.
        """
        deleted = select(Project.id).where(Project.deleted_at.is_not(None))
        present = select(Trigger.owner_id, Trigger.id).where(
            Trigger.type != TriggerType.API, Trigger.owner_id.not_in(deleted)
        )
        past = select(ScheduleVersion.owner_id, ScheduleVersion.trigger_id).where(
            ScheduleVersion.owner_id.not_in(deleted)
        )
        told = select(HeartbeatChange.owner_id, HeartbeatChange.trigger_id).where(
            HeartbeatChange.owner_id.not_in(deleted)
        )
        statement = union(present, past, told).order_by("id")
        rows = await self.session.execute(
            statement, execution_options={ACROSS_SHARDS: "admin reads"}
        )
        return [OwnedId(*row) for row in rows]

    async def is_kept(self, key: OwnedId) -> bool:
        """Tells whether the project of a trigger has not been deleted.

        A user whom the version before projects has added may have none yet.
        """
        project = exists().where(Project.id == key.owner_id, Project.deleted_at.is_(None))
        user = exists().where(User.id == key.owner_id)
        return bool(await self.session.scalar(select(or_(project, user))))

    async def list_versions(self, key: OwnedId, *, since: datetime) -> Sequence[ScheduleVersion]:
        """Lists the ended schedules that planned instants from `since` on, oldest first."""
        statement = (
            select(ScheduleVersion)
            .where(
                ScheduleVersion.shard == key.shard,
                ScheduleVersion.trigger_id == key.id,
                ScheduleVersion.ends_at >= since,  # inclusive
            )
            .order_by(ScheduleVersion.version)
        )
        return (await self.session.scalars(statement)).all()

    async def get_version(self, key: OwnedId, version: int) -> ScheduleVersion | None:
        """Gets a schedule that has ended."""
        return await self.session.get(ScheduleVersion, (key.shard, key.id, version))

    async def list_unfired(
        self, key: OwnedId, *, since: datetime, until: datetime
    ) -> Sequence[UnfiredRange]:
        """Lists the ranges of unfired instants that reach into `[since, until)`, oldest first."""
        statement = (
            select(UnfiredRange)
            .where(
                UnfiredRange.shard == key.shard,
                UnfiredRange.trigger_id == key.id,
                UnfiredRange.last_at >= since,
                UnfiredRange.first_at < until,
            )
            .order_by(UnfiredRange.last_at, UnfiredRange.id)
        )
        return (await self.session.scalars(statement)).all()

    async def list_fired(
        self, key: OwnedId, *, since: datetime, until: datetime
    ) -> Sequence[datetime]:
        """Lists the instants in `[since, until)` of events, sorted; of two events, twice."""
        statement = (
            select(Event.scheduled_for)
            .where(
                Event.shard == key.shard,
                Event.trigger_id == key.id,
                Event.type == EventType.SCHEDULED,
                Event.is_test.is_(False),  # for the index: no schedule fires a test
                Event.triggered_at >= since,  # prunes partitions: nothing fires early
                Event.scheduled_for >= since,
                Event.scheduled_for < until,
            )
            .order_by(Event.scheduled_for)
        )
        instants = (await self.session.scalars(statement)).all()
        return [instant for instant in instants if instant is not None]

    async def get_event(self, key: OwnedId, scheduled_for: datetime) -> Event | None:
        """Gets the event of a planned instant; the first one, if there should be more."""
        statement = (
            select(Event)
            .where(
                Event.shard == key.shard,
                Event.trigger_id == key.id,
                Event.type.in_(list(EventType)),  # every type, for the index
                Event.is_test.in_((False, True)),
                Event.triggered_at >= scheduled_for,
                Event.scheduled_for == scheduled_for,
            )
            .order_by(Event.triggered_at, Event.id)
            .limit(1)
        )
        return (await self.session.scalars(statement)).one_or_none()
