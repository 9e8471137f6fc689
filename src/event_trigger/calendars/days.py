"""Gives triggers the days of the calendars that they name."""

from collections.abc import Collection, Sequence
from datetime import date

from sqlalchemy.ext.asyncio import AsyncSession
from typing_extensions import override

from event_trigger.calendars.repository import Calendars
from event_trigger.triggers.references import CalendarDays
from event_trigger.triggers.references import Calendars as CalendarPort

_EPOCH_DAY = date(1970, 1, 1).toordinal()


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
