"""Accounts for every instant of a trigger: plans its schedules again and compares the records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.config import PARTITIONS_PER_KEEP
from event_trigger.db.clock import database_now
from event_trigger.db.replica.reads import OpenRead
from event_trigger.db.shards import OwnedId
from event_trigger.instants import just_after
from event_trigger.models import (
    ScheduleVersion,
    Trigger,
    TriggerStatus,
    TriggerType,
    UnfiredRange,
    UnfiredReason,
)
from event_trigger.reconciliation.heartbeats import (
    is_pending,
    read_heartbeat,
    reconcile_heartbeat,
)
from event_trigger.reconciliation.reconcile import RecordedRange, Totals, VersionSpan, reconcile
from event_trigger.reconciliation.repository import InstantRecords
from event_trigger.triggers.schedule.bases import Local
from event_trigger.triggers.schedule.catch_up import Decision, decide
from event_trigger.triggers.schedule.heartbeat import is_heartbeat
from event_trigger.triggers.schedule.plan import MAX_DUE, Plan, UnfiredInstants
from event_trigger.triggers.schedule.schedules import InstantRange, Schedule, count_in, range_in
from event_trigger.triggers.schedule.zone_moves import planned_by
from event_trigger.triggers.schedule.zone_rules import zone_rules
from event_trigger.triggers.stored_plans import readable_plan_of
from event_trigger.triggers.zone_updates.store import load_rules

T = TypeVar("T")

_MAX_COMPARED = 20_000  # planned instants that are compared at once: some 20 ms
_PART_WIDTH = timedelta(hours=6)  # about as many instants of a one-second trigger


@dataclass(slots=True)
class Statement:
    """The sums of `[since, until)`, and the recorded ranges.

    `totals.planned` includes `pending`: the due instants that are not decided on yet.
    """

    since: datetime
    until: datetime
    totals: Totals = field(default_factory=Totals)
    pending: int = 0
    ranges: list[RecordedRange] = field(default_factory=list)


class Compute(Protocol):
    """Runs long work away from the event loop."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


async def make_statement(
    reading: OpenRead,
    compute: Compute,
    key: OwnedId,
    trigger: Trigger | None,
    *,
    keep_for: timedelta,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Statement:
    """Accounts for the kept time but its oldest partition, narrowed by `since` and `until`.

    That partition may be purged while this runs.

    The caller has read the trigger before; it is None if it was deleted. All instants up to its
    `settled_until` were recorded by then, and later firings and changes come after them. So the
    parts may be read one after the other, and no connection is held while one is computed.

    1. Lists the versions of the schedule and the ranges of unfired instants.
    2. Cuts the decided time into parts, reads the events of each, and compares.
    3. Adds the instants that are not decided on yet.

    A heartbeat has no planned instants: its changes are compared with its events.
    """
    async with reading() as session:
        now = await database_now(session)
        kept_since = now - keep_for + keep_for / PARTITIONS_PER_KEEP
        start = kept_since if since is None else max(kept_since, since)
        statement = Statement(start, min(until or now, now))
        if trigger is None or trigger.type == TriggerType.HEARTBEAT:
            await _add_heartbeat(session, statement, key, trigger, now=now)
        spans = await _list_versions(InstantRecords(session), key, trigger, since=start)
        if not spans:
            return statement
        decided_until = min(statement.until, spans[-1].until)
        if start < decided_until:
            rows = await InstantRecords(session).list_unfired(key, since=start, until=decided_until)
            statement.ranges += [_recorded(one) for one in rows]
    for begin, end in await compute(partial(_parts, spans, since=start, until=decided_until)):
        async with reading() as session:
            fired = await InstantRecords(session).list_fired(key, since=begin, until=end)
        work = partial(reconcile, spans, statement.ranges, fired, since=begin, until=end)
        statement.totals.add(await compute(work))
    if trigger is not None:
        open_since = max(start, spans[-1].until)
        await compute(partial(_add_undecided, statement, trigger, since=open_since, now=now))
    return statement


async def _list_versions(
    records: InstantRecords, key: OwnedId, trigger: Trigger | None, *, since: datetime
) -> list[VersionSpan]:
    """Lists the versions in force from `since` on, oldest first.

    The present one ends with the last instant that is decided on. A trigger that only fires when it
    is called has none.
    """
    ended = await records.list_versions(key, since=since)
    await load_rules(records.session, [one.zone_rules for one in ended if one.zone_rules])
    spans = [
        _span(one, after=one.starts_after, last=one.ends_at)
        for one in ended
        if (trigger is None or one.version < trigger.version) and not is_heartbeat(one.details)
    ]
    if trigger is not None and trigger.type == TriggerType.SCHEDULED:
        settled = max(trigger.settled_until, trigger.in_force_after)
        spans.append(_span(trigger, after=trigger.in_force_after, last=settled))
    return spans


async def _add_heartbeat(
    session: AsyncSession,
    statement: Statement,
    key: OwnedId,
    trigger: Trigger | None,
    *,
    now: datetime,
) -> None:
    """Adds what a heartbeat has told; of a deleted trigger, only if it was one."""
    since, until = statement.since, statement.until
    found = await read_heartbeat(session, key, since=since, until=until)
    if trigger is None:
        found = found._replace(missed=())  # those of its schedule, if it had one
    statement.totals.add(reconcile_heartbeat(found, trigger, since=since, until=until))
    statement.ranges += found.missed
    if trigger is not None and until == now and is_pending(trigger, now=now):
        statement.pending += 1
        statement.totals.planned += 1


def _span(row: Trigger | ScheduleVersion, *, after: datetime, last: datetime) -> VersionSpan:
    """Turns the stored bounds, an exclusive start and an inclusive end, into a half-open span."""
    plan = plan_then(row)
    schedule: Schedule | None = None if plan is None else plan.schedule
    return VersionSpan(row.version, schedule, just_after(after), just_after(last))


def plan_then(row: Trigger | ScheduleVersion) -> Plan | None:
    """Reads the plan by the zone rules it was made by, if they are known; None if unreadable.

    A trigger's present plan goes by the rules in force: other rules end a version.
    """
    plan = readable_plan_of(row)
    if plan is None or isinstance(row, Trigger) or not isinstance(plan.schedule.base, Local):
        return plan
    known = row.zone_rules is not None and zone_rules().get_known(row.zone_rules) is not None
    return planned_by(plan, row.zone_rules) if known and row.zone_rules else plan


def _recorded(row: UnfiredRange) -> RecordedRange:
    instants = InstantRange(row.first_at, row.last_at, row.count)
    return RecordedRange(row.version, UnfiredInstants(instants, UnfiredReason(row.reason)))


def decide_now(trigger: Trigger, plan: Plan, *, now: datetime) -> Decision | None:
    """Decides, without any effect, on the instants that are due now; None if there are none."""
    if trigger.next_fire_at is None or trigger.next_fire_at > now:
        return None
    return decide(
        plan,
        planned=trigger.next_fire_at,
        now=now,
        fired=trigger.scheduled_count,
        most=MAX_DUE,
    )


def _add_undecided(
    statement: Statement, trigger: Trigger, *, since: datetime, now: datetime
) -> None:
    """Adds the instants from `since` on: pending ones, or those of a pause that goes on."""
    plan = readable_plan_of(trigger)
    if plan is None:
        return
    until = statement.until
    if trigger.status == TriggerStatus.PAUSED:
        _add_paused(statement, plan, trigger.version, since=since)
    elif (decision := decide_now(trigger, plan, now=now)) is not None:
        ranges = [one.instants for one in decision.unfired]
        statement.pending = sum(since <= instant < until for instant in decision.fires) + sum(
            count_in(
                plan.schedule,
                since=max(since, one.first),
                until=min(until, just_after(one.last)),
            )
            for one in ranges
        )
        statement.totals.planned += statement.pending


def _add_paused(statement: Statement, plan: Plan, version: int, *, since: datetime) -> None:
    instants = range_in(plan.schedule, since=since, until=statement.until)
    if instants is not None:
        statement.totals.planned += instants.count
        statement.totals.unfired[UnfiredReason.PAUSED] += instants.count
        unfired = UnfiredInstants(instants, UnfiredReason.PAUSED)
        statement.ranges.append(RecordedRange(version, unfired))


def _parts(
    spans: Sequence[VersionSpan], *, since: datetime, until: datetime
) -> list[tuple[datetime, datetime]]:
    """Cuts `[since, until)` into parts, if it has too many instants to be computed at once."""
    planned = sum(
        count_in(span.schedule, since=max(span.since, since), until=min(span.until, until))
        for span in spans
        if span.schedule is not None
    )
    width = until - since if planned <= _MAX_COMPARED else _PART_WIDTH
    parts: list[tuple[datetime, datetime]] = []
    while since < until:
        end = min(since + width, until)
        parts.append((since, end))
        since = end
    return parts
