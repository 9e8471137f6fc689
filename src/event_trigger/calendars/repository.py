"""Reads and writes calendars, and the triggers that name one; a statement is about one project."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, cast, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer, load_only
from typing_extensions import override

from event_trigger.db.keyset import Page, fetch_newest_of, fetch_rows
from event_trigger.db.listed_tables import ListedTable
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.models import (
    EVERY_SHARD,
    NOT_OF_DELETED_PROJECTS,
    Calendar,
    Trigger,
    TriggerCalendar,
    TriggerStatus,
    shard_of,
)
from event_trigger.triggers.references import CalendarDays
from event_trigger.triggers.references import Calendars as CalendarPort
from event_trigger.web.keys import refusing_taken_key

_LISTED_CALENDARS = ListedTable(Calendar, order="id DESC", large=("dates",), left_out=("ics",))
# the partial index `ix_calendars_to_extend` needs its condition in the text
_LIST_TO_EXTEND = text(f"""
    SELECT id, owner_id, key FROM calendars
    WHERE {EVERY_SHARD} AND expanded_in IS NOT NULL AND expanded_in < :year AND id > :after
    ORDER BY id LIMIT :limit
""")  # noqa: S608
_EPOCH_DAY = date(1970, 1, 1).toordinal()
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


class CalendarToExtend(NamedTuple):
    """A calendar whose iCalendar file has dates of another year to be added."""

    id: int
    owner_id: int
    key: str


def _with_key(owner_id: int, key: str) -> Select[Calendar]:
    return select(Calendar).where(*_owned(owner_id), Calendar.key == key)


def _owned(owner_id: int) -> list[ColumnElement[bool]]:
    return [Calendar.shard == shard_of(owner_id), Calendar.owner_id == owner_id]


@dataclass(frozen=True)
class Calendars:
    session: AsyncSession

    async def get(self, owner_id: int, key: str) -> Calendar | None:
        """Finds the calendar with a key, in the index `ix_calendars_key`."""
        return (await self.session.scalars(_with_key(owner_id, key))).one_or_none()

    async def get_locked(self, owner_id: int, key: str) -> Calendar | None:
        """Locks the row: until the commit nobody changes it, or lets another trigger name it."""
        statement = _with_key(owner_id, key).with_for_update(key_share=True)
        fresh = statement.execution_options(populate_existing=True)
        return (await self.session.scalars(fresh)).one_or_none()

    async def count_of(self, owner_id: int) -> int:
        """Counts a project's calendars, in the index `ix_calendars_listed` alone."""
        statement = select(func.count()).select_from(Calendar).where(*_owned(owner_id))
        return int(await self.session.scalar(statement) or 0)

    async def add(self, calendar: Calendar) -> None:
        """Raises KeyTaken if another calendar of the project has its key."""
        self.session.add(calendar)
        with refusing_taken_key(calendar.key):
            await self.session.flush()

    async def list_page(
        self, owner_id: int | None, *, before: int | None, limit: int
    ) -> Page[Calendar]:
        """Lists calendars without their files, newest first; of all projects for None."""
        return await fetch_newest_of(
            self.session,
            _LISTED_CALENDARS,
            owner_id,
            before=before,
            limit=limit,
            of_all=(NOT_OF_DELETED_PROJECTS,),
        )

    async def delete(self, calendar: Calendar) -> None:
        await self.session.delete(calendar)
        await self.session.flush()

    async def list_dates(
        self, owner_id: int, keys: Collection[str], *, lock: bool
    ) -> list[tuple[str, list[str]]]:
        """Lists the keys and dates of calendars; with `lock`, nobody changes or deletes them."""
        statement = (
            select(Calendar.key, Calendar.dates)
            .where(*_owned(owner_id), Calendar.key.in_(keys))
            .order_by(Calendar.id)
        )
        if lock:
            statement = statement.with_for_update(read=True)
        return [(key, dates) for key, dates in await self.session.execute(statement)]

    async def list_to_extend(self, year: int, *, after: int, limit: int) -> list[CalendarToExtend]:
        """Lists calendars of any project whose dates were computed before a year, by id."""
        values = {"year": year, "after": after, "limit": limit}
        rows = await self.session.execute(
            _LIST_TO_EXTEND, values, execution_options={ACROSS_SHARDS: "jobs"}
        )
        return [CalendarToExtend(*row) for row in rows]


class StoredCalendars(CalendarPort):
    """Looks calendars up in the database."""

    @override
    async def days_of(
        self, session: AsyncSession, owner_id: int, keys: Collection[str], *, lock: bool
    ) -> CalendarDays:
        found = await Calendars(session).list_dates(owner_id, keys, lock=lock)
        return {key: days_in(dates) for key, dates in found}


def days_in(dates: Sequence[str]) -> list[int]:
    """Counts dates in days since 1970-01-01."""
    return [date.fromisoformat(one).toordinal() - _EPOCH_DAY for one in dates]


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
