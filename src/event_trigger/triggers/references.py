"""Resolves what triggers refer to: destinations, dates of calendars, and the shift of a spread."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import LimitedKey, MissingScope, Scope
from event_trigger.db.installation import read_installation
from event_trigger.errors import Invalid
from event_trigger.models import Trigger, TriggerStatus
from event_trigger.triggers.hook_port import HookKeeper
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schedule.details import calendars_of
from event_trigger.triggers.schedule.interval import parse_duration
from event_trigger.triggers.schedule.spread import shift_seconds
from event_trigger.triggers.schedule_changes import plan_next
from event_trigger.triggers.stored_plans import ResolvedColumns, columns_of

DestinationNames = Mapping[int | str, int]  # ids and keys of destinations, with their ids
MOST_EXCLUDED_DAYS = 4000  # of a trigger: the dispatcher reads them of each that is due
CalendarDays = Mapping[str, Sequence[int]]  # by key: days since 1970-01-01, ascending


def check_may_name(
    by: Principal, wanted: Collection[int | str], *, known: Sequence[int] = ()
) -> None:
    """Refuses to name new destinations to a caller that may not read destinations.

    Comes before the check that they exist, so that such a caller learns nothing of them. It knows
    those that the trigger has by their ids alone.
    """
    if set(wanted) <= set(known):
        return
    if Scope.DESTINATIONS_READ not in by.scopes:
        raise MissingScope([Scope.DESTINATIONS_READ], "Naming another destination")
    if by.trigger_ids is not None:
        raise LimitedKey(
            "This API key is limited to some triggers, and cannot name destinations that they do"
            " not have yet. Leave destinations as they are, or use a key without trigger_ids."
        )


async def lock_named(
    session: AsyncSession, owner_id: int, wanted: Collection[int | str]
) -> DestinationNames:
    """Locks destinations against deletion until the commit; leaves out those that do not exist.

    Call it before triggers are locked, as the deletion of a destination locks them later, too.
    """
    if not wanted:
        return {}
    found: dict[int | str, int] = {}
    for row_id, key in await Triggers(session).list_destinations_locked(
        owner_id,
        ids=[one for one in wanted if isinstance(one, int)],
        keys=[one for one in wanted if isinstance(one, str)],
    ):
        found |= {row_id: row_id} if key is None else {row_id: row_id, key: row_id}
    return found


def ids_of(wanted: Sequence[int | str], found: DestinationNames) -> list[int]:
    """Returns each destination's id once; raises Invalid at the name of one that is missing."""
    for place, name in enumerate(wanted):
        if name not in found:
            raise Invalid.at(["destinations", place], "There is no such destination.")
    return list(dict.fromkeys(found[name] for name in wanted))


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
