"""Reads all records about an instant, so that explaining it needs no database connection."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.clock import database_now
from event_trigger.db.shards import OwnedId
from event_trigger.errors import NotFound
from event_trigger.instants import just_after
from event_trigger.models import Event, ScheduleVersion, Trigger, TriggerType, UnfiredRange
from event_trigger.reconciliation.repository import InstantRecords
from event_trigger.reconciliation.statement import plan_then
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schedule.describe import rules_version
from event_trigger.triggers.schedule.heartbeat import is_heartbeat
from event_trigger.triggers.schedule.plan import Plan, schedule_part
from event_trigger.triggers.schedule.schedules import is_excepted, next_fire_at_or_after
from event_trigger.triggers.stored_plans import readable_heartbeat
from event_trigger.triggers.zone_updates.store import load_rules


@dataclass(frozen=True, slots=True)
class VersionInForce:
    """A version of the schedule, in force later than `after` up to and including `until`.

    These are its stored columns; `until` is None for the present version.
    """

    version: int
    details: dict[str, Any]
    plan: Plan | None
    after: datetime
    until: datetime | None

    @property
    def zone_rules(self) -> str | None:
        """The version of its zone's rules, if it follows a zone and they are known."""
        if is_heartbeat(self.details):
            heartbeat = readable_heartbeat(self.details)
            schedule = None if heartbeat is None else heartbeat.schedule
            return None if schedule is None else rules_version(schedule)
        return None if self.plan is None else rules_version(self.plan.schedule)

    def excepts(self, at: datetime) -> bool:
        """Tells whether only the dates that the schedule leaves out keep an instant from firing."""
        return self.plan is not None and is_excepted(self.plan.schedule, at)

    def plans(self, at: datetime) -> bool:
        return self.plan is not None and next_fire_at_or_after(self.plan.schedule, at) == at


@dataclass(frozen=True, slots=True)
class Evidence:
    """Holds the records, as they are at `now`, about one instant of a trigger.

    `versions` may have planned the instant. `ended_by_rules` is the version before the present one,
    if newer rules of its zone ended it.
    """

    trigger: Trigger
    now: datetime
    versions: Sequence[VersionInForce] = ()
    event: Event | None = None
    unfired: Sequence[UnfiredRange] = ()
    ended_by_rules: ScheduleVersion | None = None


async def collect_evidence(
    session: AsyncSession, key: OwnedId, *, at: datetime, keep_for: timedelta
) -> Evidence:
    """Reads the records about the instant `at`; raises NotFound."""
    now = await database_now(session)
    trigger = await Triggers(session).get(key)
    if trigger is None:
        raise NotFound
    if trigger.type == TriggerType.API:
        return Evidence(trigger, now)
    records = InstantRecords(session)
    return Evidence(
        trigger,
        now,
        await _list_versions(records, key, trigger, at),
        await records.get_event(key, at) if at > now - keep_for else None,
        await records.list_unfired(key, since=at, until=just_after(at)),
        await _get_ended_by_rules(records, key, trigger, at),
    )


def ended_version(row: ScheduleVersion) -> VersionInForce:
    details, plan = schedule_part(row.details), plan_then(row)
    return VersionInForce(row.version, details, plan, row.starts_after, row.ends_at)


async def _list_versions(
    records: InstantRecords, key: OwnedId, trigger: Trigger, at: datetime
) -> list[VersionInForce]:
    """Lists the versions in force at `at`: several where a zone's new rules moved local times."""
    rows = await records.list_versions(key, since=at)
    await load_rules(records.session, [one.zone_rules for one in rows if one.zone_rules])
    found = [
        ended_version(one)
        for one in rows
        if one.starts_after < at and one.version < trigger.version
    ]
    if at > trigger.in_force_after:
        details, plan = schedule_part(trigger.details), plan_then(trigger)
        found.append(VersionInForce(trigger.version, details, plan, trigger.in_force_after, None))
    return found


async def _get_ended_by_rules(
    records: InstantRecords, key: OwnedId, trigger: Trigger, at: datetime
) -> ScheduleVersion | None:
    row = None if trigger.version == 1 else await records.get_version(key, trigger.version - 1)
    if row is None or row.moved_to is None or at <= row.ends_at:
        return None
    await load_rules(records.session, [one for one in (row.zone_rules, row.moved_to) if one])
    return row
