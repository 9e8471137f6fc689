"""Creates, changes and deletes calendars.

A transaction locks the project first, then calendars, then triggers, each by id.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.memberships import lock_project
from event_trigger.calendars.content import Content
from event_trigger.calendars.replanning import PlanningSteps, plan_users
from event_trigger.calendars.repository import Calendars, CalendarUsers
from event_trigger.db.clock import database_now
from event_trigger.errors import Conflict, LimitReached, NotFound
from event_trigger.instants import just_after
from event_trigger.models import Calendar, TriggerStatus, shard_of
from event_trigger.web.entity_tags import etag

MOST_NAMED_TRIGGERS = 10

# gets the calendar that a key has, locked, or None; raises a Problem for an unexpected one
Check = Callable[[Calendar | None], None]


class CalendarInUse(Conflict):
    slug, title = "calendar-in-use", "The calendar is still in use"

    def __init__(self, trigger_ids: Collection[int]) -> None:
        super().__init__(
            "Triggers still name this calendar in details.except, such as those with the ids"
            f" {', '.join(map(str, trigger_ids))}. Take it from them first."
        )

    @classmethod
    def example(cls) -> Self:
        return cls([7])


class TooManyCalendars(LimitReached):
    slug, title = "too-many-calendars", "The project has too many calendars"
    counted, setting = "calendars", "EVENT_TRIGGER_MAX_CALENDARS"
    instead = "Delete one"


@dataclass(frozen=True, slots=True)
class Put:
    """The result of a PUT under a key: the calendar, and whether it was created."""

    calendar: Calendar
    is_new: bool


def etag_of(calendar: Calendar) -> str:
    """Tags a calendar: each change by a person moves `updated_at`; another year adds dates."""
    return etag("calendar", calendar.id, calendar.updated_at, calendar.covers_until)


def new_calendar(owner_id: int, key: str, content: Content, *, now: datetime) -> Calendar:
    calendar = Calendar(
        shard=shard_of(owner_id), owner_id=owner_id, key=key, created_at=now, updated_at=now
    )
    content.store_in(calendar)
    return calendar


async def create(
    session: AsyncSession, owner_id: int, key: str, content: Content, *, most: int
) -> Calendar:
    """Stores a calendar.

    Raises TooManyCalendars if the project has `most`; 0 is no limit. Raises KeyTaken.
    """
    await lock_project(session, owner_id)
    calendars = Calendars(session)
    if most and (used := await calendars.count_of(owner_id)) >= most:
        raise TooManyCalendars(used=used, most=most)
    calendar = new_calendar(owner_id, key, content, now=await database_now(session))
    await calendars.add(calendar)
    return calendar


async def put(
    session: AsyncSession, owner_id: int, key: str, content: Content, *, most: int, check: Check
) -> Put:
    """Creates the calendar with a key, or replaces its dates; the same content changes nothing.

    Locks the project first: of two calls with a new key, the second replaces the first one's.
    """
    await lock_project(session, owner_id)
    calendar = await Calendars(session).get_locked(owner_id, key)
    check(calendar)
    if calendar is None:
        return Put(await create(session, owner_id, key, content, most=most), is_new=True)
    if not content.is_stored_in(calendar):
        now = await database_now(session)
        await store(session, calendar, content, now=now, steps=PlanningSteps())
    return Put(calendar, is_new=False)


async def store(
    session: AsyncSession,
    calendar: Calendar,
    content: Content,
    *,
    now: datetime,
    steps: PlanningSteps,
) -> None:
    """Gives a locked calendar other dates, and plans the triggers that name it by them."""
    content.store_in(calendar)
    calendar.updated_at = max(now, just_after(calendar.updated_at))
    await session.flush()
    await plan_users(session, calendar, now=now, steps=steps)


async def warnings_of(session: AsyncSession, calendar: Calendar) -> list[str]:
    """Names triggers that a calendar, or else their own details, leave no instant."""
    users = CalendarUsers(session, calendar.owner_id)
    ended = await users.list_ids(
        calendar.key, limit=MOST_NAMED_TRIGGERS + 1, status=TriggerStatus.COMPLETED
    )
    if not ended:
        return []
    named = ", ".join(map(str, ended[:MOST_NAMED_TRIGGERS]))
    more = " and more" if len(ended) > MOST_NAMED_TRIGGERS else ""
    return [
        f"Triggers that name this calendar and have no instant left: {named}{more}. Those whose"
        " on_completion is delete are deleted within seconds; others go on if dates are taken out."
    ]


async def delete(session: AsyncSession, owner_id: int, key: str, *, check: Check) -> None:
    """Deletes a calendar; raises NotFound, and CalendarInUse."""
    calendars = Calendars(session)
    calendar = await calendars.get_locked(owner_id, key)
    if calendar is None:
        raise NotFound
    check(calendar)
    users = CalendarUsers(session, owner_id)
    if trigger_ids := await users.list_ids(key, limit=MOST_NAMED_TRIGGERS):
        raise CalendarInUse(trigger_ids)
    await calendars.delete(calendar)
