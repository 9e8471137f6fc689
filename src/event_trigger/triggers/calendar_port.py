"""Declares the look-up of calendars that triggers need; the package `calendars`, above, has it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.errors import Invalid
from event_trigger.triggers.schedule.details import calendars_of

MOST_EXCLUDED_DAYS = 4000  # of a trigger: the dispatcher reads them of each that is due
CalendarDays = Mapping[str, Sequence[int]]  # by key: days since 1970-01-01, ascending


class Calendars(Protocol):
    """Finds the dates of a project's calendars."""

    async def days_of(
        self, session: AsyncSession, owner_id: int, keys: Collection[str], *, lock: bool
    ) -> CalendarDays:
        """Returns the calendars' days by key; leaves out keys of none.

        With `lock`, nobody changes or deletes these calendars until the commit. Callers lock
        destinations before, and triggers after them.
        """


def excluded_days(details: Mapping[str, Any], found: CalendarDays) -> list[int] | None:
    """Merges the days of the calendars that details name; None if they name none.

    Raises Invalid at the name of a calendar that was not found, and if there are too many days.
    """
    keys = calendars_of(details)
    if not keys:
        return None
    for place, one in enumerate(details["except"]):
        if isinstance(one, Mapping) and one["calendar"] not in found:
            raise Invalid.at(
                ["details", "except", place, "calendar"],
                "There is no such calendar: create it with POST /calendars, or leave it out.",
            )
    merged = sorted({day for key in keys for day in found[key]})
    if len(merged) > MOST_EXCLUDED_DAYS:
        detail = f"These calendars have more than {MOST_EXCLUDED_DAYS} dates together. Name fewer."
        raise Invalid.at(["details", "except"], detail)
    return merged
