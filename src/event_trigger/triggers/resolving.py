"""Fills in what details need from elsewhere: the dates of their calendars, and their shift."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.installation import read_installation
from event_trigger.models import Trigger, TriggerStatus
from event_trigger.triggers.calendar_port import CalendarDays, Calendars, excluded_days
from event_trigger.triggers.hook_port import HookKeeper
from event_trigger.triggers.schedule.details import calendars_of
from event_trigger.triggers.schedule.interval import parse_duration
from event_trigger.triggers.schedule.spread import shift_seconds
from event_trigger.triggers.schedule_changes import plan_next
from event_trigger.triggers.stored_plans import ResolvedColumns, columns_of


@dataclass(frozen=True, slots=True)
class TriggerPorts:
    """The features above triggers that changing a trigger needs."""

    hooks: HookKeeper
    calendars: Calendars


@dataclass(frozen=True, slots=True)
class Resolver:
    """Holds the days of calendars, and the installation's id if a spread needs it."""

    days: CalendarDays = field(default_factory=dict)
    installation: str = ""

    def columns_for(
        self, details: Mapping[str, Any], trigger: Trigger, *, before: Mapping[str, Any]
    ) -> ResolvedColumns:
        """Returns the columns for changed details of a stored trigger; raises Invalid.

        A part that the change does not touch stays as it is stored: it moves nothing.
        """
        days, shift = columns_of(trigger)
        if {*calendars_of(details)} != {*calendars_of(before)}:
            days = excluded_days(details, self.days)
        if details.get("spread") != before.get("spread"):
            shift = self._shift(details, trigger.id)
        return ResolvedColumns(days, shift)

    def plan_new(self, triggers: Iterable[Trigger]) -> None:
        """Plans new triggers again that need something from elsewhere; they have their ids now."""
        for trigger in triggers:
            columns = self.columns_for(trigger.details, trigger, before={})
            if columns == ResolvedColumns():
                continue
            trigger.excluded_days, trigger.shift_seconds = columns
            if trigger.status != TriggerStatus.PAUSED:
                plan_next(trigger)

    def _shift(self, details: Mapping[str, Any], trigger_id: int | None) -> int | None:
        if details.get("spread") is None or trigger_id is None:
            return None
        spread = parse_duration(details["spread"], "spread")
        return shift_seconds(spread, installation=self.installation, trigger_id=trigger_id)


async def resolver_for(
    session: AsyncSession,
    calendars: Calendars,
    owner_id: int,
    details: Collection[Mapping[str, Any]],
    *,
    lock: bool = True,
) -> Resolver:
    """Looks up what some details need, checked or not; two statements at most, usually none.

    Call it after destinations are locked, and before triggers are.
    """
    keys = sorted({key for one in details for key in calendars_of(one)})
    days = await calendars.days_of(session, owner_id, keys, lock=lock) if keys else {}
    spreads = any(one.get("spread") is not None for one in details)
    return Resolver(days, await read_installation(session) if spreads else "")
