"""Adds another year to the dates of recurring events, when a year begins."""

from dataclasses import dataclass
from functools import partial

import structlog

from event_trigger.audit.actor import Actor, acting_as
from event_trigger.calendars.content import Content, content_of_file
from event_trigger.calendars.replanning import PlanningSteps, plan_users
from event_trigger.calendars.repository import Calendars, CalendarToExtend
from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions, is_outage
from event_trigger.errors import Invalid
from event_trigger.models import ActorKind
from event_trigger.web.cpu_bound import CpuBound

log = structlog.get_logger()

_SERVICE = Actor(ActorKind.OPERATOR, command="extend_calendar")


@dataclass(slots=True)
class CalendarExtension:
    """Extends calendars of all projects, each in a transaction of its own.

    Every replica does so. The row's lock decides which of them extends a calendar; the others find
    it extended. `after` is the id that the next run goes on behind.
    """

    sessions: Sessions
    calendars_a_run: int = 100
    after: int = 0

    async def run(self) -> float | None:
        """Extends some calendars; returns 0.0 if there may be more.

        One that fails is logged, and tried again when all others have had their turn.
        """
        async with self.sessions() as session:
            year = (await database_now(session)).year
            found = await Calendars(session).list_to_extend(
                year, after=self.after, limit=self.calendars_a_run
            )
        for one in found:
            try:
                with acting_as(_SERVICE):
                    await _extend(self.sessions, one, year)
            except Exception as error:
                if is_outage(error):
                    raise
                log.exception("calendar_not_extended", owner_id=one.owner_id, key=one.key)
            self.after = one.id
        if len(found) == self.calendars_a_run:
            return 0.0
        self.after = 0
        return None


async def _extend(sessions: Sessions, one: CalendarToExtend, year: int) -> None:
    """Reads the file without a connection; leaves a calendar alone that has changed since.

    A calendar keeps the dates that it has until the next year if there would be too many, or if
    its triggers cannot be planned by them.
    """
    async with sessions() as session:
        found = await Calendars(session).get(one.owner_id, one.key)
    if found is None or found.ics is None:
        return
    try:
        content = await CpuBound().compute(partial(content_of_file, found.ics, year=year))
        await _store(sessions, one, content, year, ics=found.ics)
    except Invalid as error:
        log.warning("calendar_keeps_dates", owner_id=one.owner_id, key=one.key, why=str(error))
        await _store(sessions, one, None, year, ics=found.ics)


async def _store(
    sessions: Sessions, one: CalendarToExtend, content: Content | None, year: int, *, ics: str
) -> None:
    async with sessions.begin() as session:
        calendar = await Calendars(session).get_locked(one.owner_id, one.key)
        if calendar is None or calendar.ics != ics or calendar.expanded_in == year:
            return
        if content is None:
            calendar.expanded_in = year
            return
        content.store_in(calendar)
        await session.flush()
        now = await database_now(session)
        await plan_users(session, calendar, now=now, steps=PlanningSteps())
