"""Reads and writes calendars; a statement is about one project."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from typing_extensions import override

from event_trigger.db.keyset import Page, fetch_newest_of
from event_trigger.db.listed_tables import ListedTable
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.models import EVERY_SHARD, NOT_OF_DELETED_PROJECTS, Calendar, shard_of
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
