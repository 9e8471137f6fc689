"""Plans, writes and removes the calendars of a set, as `calendars/lifecycle.py` does one."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.calendars import replanning
from event_trigger.calendars.content import Content, read_content
from event_trigger.calendars.ics.expansion import Walk
from event_trigger.calendars.lifecycle import (
    MOST_NAMED_TRIGGERS,
    CalendarInUse,
    TooManyCalendars,
    new_calendar,
    store,
)
from event_trigger.calendars.replanning import PlanningSteps, TooMuchToPlan
from event_trigger.calendars.repository import Calendars, CalendarUsers, days_in
from event_trigger.errors import FieldError, Invalid, pointer
from event_trigger.models import Calendar
from event_trigger.sets.comparison import MemberKind, SetPlan, Stored, Wanted
from event_trigger.sets.members import Members, placed
from event_trigger.sets.specs import calendar_spec
from event_trigger.sets.state import CalendarState, Moved


def wanted_calendars(
    members: Members,
    stored: Iterable[CalendarState],
    errors: list[FieldError],
    *,
    year: int,
) -> Iterator[Wanted]:
    """Reads the calendars of a file, but no iCalendar file that is stored already.

    Adds an error for each that cannot be read, at its place. Their rules share one walk.
    """
    walk = Walk()
    known = {one.key: one.spec for one in stored}
    for key, body in members.calendars.items():
        if body.ics is not None and known.get(key) == {"ics": body.ics} and body.dates is None:
            yield Wanted(MemberKind.CALENDAR, key, known[key], None)
            continue
        try:
            content = read_content(body.dates, body.ics, year=year, walk=walk)
        except Invalid as refused:
            errors += [placed(one, MemberKind.CALENDAR, key) for one in refused.errors]
            continue
        yield Wanted(MemberKind.CALENDAR, key, calendar_spec(content.dates, content.ics), content)


def stored_calendars(stored: Iterable[CalendarState]) -> Iterator[Stored]:
    return (Stored(MemberKind.CALENDAR, *one) for one in stored)


def removed_calendars(members: Members, plan: SetPlan) -> Iterator[FieldError]:
    """Names the places of calendars that a trigger of the file needs, and prune would remove."""
    removed = {one.key for one in plan.of(MemberKind.CALENDAR).remove}
    for key, body in members.triggers.items() if removed else ():
        for place, one in enumerate(body.details.as_stored().get("except") or ()):
            if isinstance(one, Mapping) and one["calendar"] in removed:
                path = (MemberKind.TRIGGER.place, key, "details", "except", place, "calendar")
                detail = "Prune would remove it: add it to the file."
                yield FieldError("pointer", pointer(*path), detail)


def days_after(plan: SetPlan) -> dict[str, list[int]]:
    """Returns the days of the calendars that the plan writes, by key."""
    return {one.key: days_in(one.body.dates) for one in plan.of(MemberKind.CALENDAR).wanted}


def growth_of(members: Members, stored: Iterable[CalendarState], name: str, *, prune: bool) -> int:
    """Returns how many more calendars there will be, before any of the file is read."""
    known = {one.key: one.set_name for one in stored}
    gone = {key for key, owner in known.items() if prune and owner == name}
    return len(members.calendars.keys() - known.keys()) - len(gone - members.calendars.keys())


async def check_room(session: AsyncSession, owner_id: int, growth: int, *, most: int) -> None:
    """Raises TooManyCalendars; 0 is no limit."""
    if not most or growth <= 0:
        return
    used = await Calendars(session).count_of(owner_id)
    if used + growth > most:
        raise TooManyCalendars(used=used, most=most)


async def users_of_changed(session: AsyncSession, owner_id: int, plan: SetPlan) -> set[int]:
    """Returns the ids of the triggers that name a calendar which the plan changes.

    Raises TooMuchToPlan.
    """
    users, found = CalendarUsers(session, owner_id), set[int]()
    most = replanning.MOST_TRIGGERS
    for one in plan.of(MemberKind.CALENDAR).update:
        named = await users.list_ids(one.wanted.key, limit=most + 1)
        if len(named) > most:
            raise TooMuchToPlan
        found.update(named)
    return found


async def check_unused(
    session: AsyncSession, owner_id: int, keys: Iterable[str | None], *, but: Collection[int]
) -> None:
    """Raises CalendarInUse if another trigger names one of the calendars."""
    users = CalendarUsers(session, owner_id)
    for key in keys:
        others = {*(await users.list_ids(key) if key is not None else ())} - {*but}
        if others:
            raise CalendarInUse(sorted(others)[:MOST_NAMED_TRIGGERS])


@dataclass(frozen=True, slots=True)
class CalendarWriter:
    """Writes calendars of one set whose rows are locked already."""

    session: AsyncSession
    owner_id: int
    name: str
    now: datetime

    async def write(self, plan: SetPlan, locked: Mapping[int, Calendar]) -> dict[str, Calendar]:
        """Creates and changes calendars, before the triggers that name them.

        Raises Moved, and TooManyDays and TooMuchToPlan.
        """
        part, written, steps = plan.of(MemberKind.CALENDAR), dict[str, Calendar](), PlanningSteps()
        for one in part.create:
            written[one.key] = await self._create(one)
        for update in part.update:
            row = written[update.wanted.key] = locked[update.stored.id]
            content: Content = update.wanted.body
            await store(self.session, row, content, now=self.now, steps=steps)
        for update in part.adopt:
            locked[update.stored.id].set_name = self.name
        await self.session.flush()
        return written

    async def _create(self, wanted: Wanted) -> Calendar:
        row = new_calendar(self.owner_id, wanted.key, wanted.body, now=self.now)
        row.set_name = self.name
        self.session.add(row)
        try:
            await self.session.flush()
        except IntegrityError as error:  # a replica of another version does not lock the project
            raise Moved from error
        return row

    async def remove(self, rows: Iterable[Calendar]) -> None:
        """Deletes locked calendars that no trigger names any more."""
        for row in rows:
            await Calendars(self.session).delete(row)
