"""Finds, locks and rewrites, in batches, the triggers of a project that name a calendar."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, cast, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer, load_only

from event_trigger.db.keyset import Page, fetch_rows
from event_trigger.models import Trigger, TriggerCalendar, TriggerStatus, shard_of

_LIST_LOCKED = text("""
    SELECT id, CAST(details AS text), anchor_at, settled_until, next_fire_at, scheduled_count,
        status, shift_seconds
    FROM triggers
    WHERE shard = :shard AND owner_id = :owner_id AND id = ANY(CAST(:ids AS bigint[]))
    ORDER BY id
    FOR NO KEY UPDATE
""")
# both leave out triggers that have these days already
_INSERT_VERSIONS = text("""
    INSERT INTO schedule_versions
        (shard, trigger_id, version, owner_id, details, anchor_at, starts_after, ends_at,
            zone_rules, excluded_days, shift_seconds)
    SELECT triggers.shard, triggers.id, triggers.version, triggers.owner_id,
        CAST(moved.details AS json), triggers.anchor_at, triggers.in_force_after, moved.after,
        triggers.zone_rules, triggers.excluded_days, triggers.shift_seconds
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:details AS text[]), CAST(:afters AS timestamptz[])
    ) AS moved (id, details, after)
    JOIN triggers ON triggers.shard = :shard AND triggers.id = moved.id
    WHERE triggers.excluded_days IS DISTINCT FROM CAST(:days AS integer[])
""")
_UPDATE_TRIGGERS = text(f"""
    UPDATE triggers SET
        version = triggers.version + 1, in_force_after = moved.after, settled_until = moved.after,
        next_fire_at = moved.next_fire_at, zone_rules = moved.rules,
        excluded_days = CAST(:days AS integer[]),
        status = CASE WHEN moved.next_fire_at IS NULL THEN '{TriggerStatus.COMPLETED}'
            ELSE triggers.status END
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:afters AS timestamptz[]),
        CAST(:next_fire_ats AS timestamptz[]), CAST(:rules AS text[])
    ) AS moved (id, after, next_fire_at, rules)
    WHERE triggers.shard = :shard AND triggers.id = moved.id
        AND triggers.excluded_days IS DISTINCT FROM CAST(:days AS integer[])
    RETURNING triggers.id
""")  # noqa: S608


class NamingTrigger(NamedTuple):
    """The columns of a trigger that make its plan; `details` is stored JSON text."""

    id: int
    details: str
    anchor_at: datetime
    settled_until: datetime
    next_fire_at: datetime | None
    scheduled_count: int
    status: str
    shift_seconds: int | None


class NewPlan(NamedTuple):
    """The plan of a locked trigger for the instants after `after`.

    `details` are those of the schedule that ends, and `rules` those of its zone.
    """

    trigger_id: int
    details: str
    after: datetime
    next_fire_at: datetime | None
    rules: str | None


@dataclass(frozen=True)
class CalendarUsers:
    session: AsyncSession
    owner_id: int

    async def list_ids(
        self, key: str, *, limit: int | None = None, status: TriggerStatus | None = None
    ) -> Sequence[int]:
        """Lists the triggers that name a calendar, by id; if given, those of a status."""
        statement = select(Trigger.id).where(*self._naming(key)).order_by(Trigger.id).limit(limit)
        if status is not None:
            statement = statement.where(Trigger.status == status)
        return (await self.session.scalars(statement)).all()

    async def list_page(self, key: str, *, before: int | None, limit: int) -> Page[Trigger]:
        """Lists the triggers that name a calendar, newest first, with their names only."""
        names = load_only(Trigger.id, Trigger.key, Trigger.name, raiseload=True)
        statement = select(Trigger).where(*self._naming(key)).options(names)
        if before is not None:
            statement = statement.where(Trigger.id < before)
        return await fetch_rows(self.session, statement.order_by(Trigger.id.desc()), limit=limit)

    def _naming(self, key: str) -> list[ColumnElement[bool]]:
        """Selects the triggers that name a calendar.

        `trigger_calendars` finds them; a replica of an older version may have left a row there. It
        is no join: without statistics, that looks at all of the project's triggers for each one.
        """
        shard = shard_of(self.owner_id)
        naming = (
            select(TriggerCalendar.trigger_id)
            .where(TriggerCalendar.shard == shard, TriggerCalendar.owner_id == self.owner_id)
            .where(TriggerCalendar.calendar_key == key)
        )
        return [
            Trigger.shard == shard,
            Trigger.owner_id == self.owner_id,
            Trigger.id == func.any(func.array(naming.scalar_subquery())),
            cast(Trigger.details, JSONB)["except"].contains([{"calendar": key}]),
        ]

    async def lock(self, ids: Sequence[int]) -> list[NamingTrigger]:
        """Locks triggers in the order of their ids; leaves out those that are gone.

        Until the commit nobody fires, changes or deletes them.
        """
        values = {"shard": shard_of(self.owner_id), "owner_id": self.owner_id, "ids": ids}
        return [NamingTrigger(*row) for row in await self.session.execute(_LIST_LOCKED, values)]

    async def read(self, ids: Sequence[int]) -> Sequence[Trigger]:
        """Reads locked triggers by id, without their payloads."""
        statement = (
            select(Trigger)
            .where(Trigger.shard == shard_of(self.owner_id), Trigger.owner_id == self.owner_id)
            .where(Trigger.id.in_(ids))
            .order_by(Trigger.id)
            .options(defer(Trigger.payload, raiseload=True))
            .execution_options(populate_existing=True)
        )
        return (await self.session.scalars(statement)).all()

    async def rewrite(self, days: Sequence[int], plans: Sequence[NewPlan]) -> Sequence[int]:
        """Records the versions that end, and stores the new ones; returns the changed triggers."""
        values = {
            "shard": shard_of(self.owner_id),
            "days": days,
            "ids": [one.trigger_id for one in plans],
            "afters": [one.after for one in plans],
        }
        ended = {"details": [one.details for one in plans]}
        begun = {
            "next_fire_ats": [one.next_fire_at for one in plans],
            "rules": [one.rules for one in plans],
        }
        await self.session.execute(_INSERT_VERSIONS, values | ended)
        return (await self.session.scalars(_UPDATE_TRIGGERS, values | begun)).all()
