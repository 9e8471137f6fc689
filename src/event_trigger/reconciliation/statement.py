"""The account of one trigger: its schedules judged again, against what is on record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

from event_trigger.db.clock import database_now
from event_trigger.db.replica.reads import Reading
from event_trigger.db.shards import OwnedId
from event_trigger.models import (
    ScheduleVersion,
    Trigger,
    TriggerStatus,
    TriggerType,
    UnfiredRange,
    UnfiredReason,
)
from event_trigger.reconciliation.reconcile import Era, RecordedRange, Totals, reconcile
from event_trigger.reconciliation.repository import Ledger
from event_trigger.triggers.schedule.catch_up import Decision, decide
from event_trigger.triggers.schedule.plan import MOST_WAITING, Plan, Unfired, readable_plan
from event_trigger.triggers.schedule.schedules import (
    Cron,
    InstantRange,
    Schedule,
    count_between,
    range_between,
)
from event_trigger.triggers.schedule.zone_moves import planned_by
from event_trigger.triggers.schedule.zone_rules import zone_rules
from event_trigger.triggers.zone_updates.store import ZoneStore

T = TypeVar("T")

_MICROSECOND = timedelta(microseconds=1)
_MOST_AT_ONCE = 20_000  # planned instants that are compared in one go: some 20 ms
_SPAN = timedelta(hours=6)  # of a one-second trigger, about as many
_ON_ITS_WAY_OUT = 48  # the oldest such part of what is kept may be purged while we look


@dataclass(slots=True)
class Statement:
    """The account of `[since, until)`, and what it is made of; `pending` is part of `planned`."""

    since: datetime
    until: datetime
    account: Totals = field(default_factory=Totals)
    pending: int = 0
    ranges: list[RecordedRange] = field(default_factory=list)


class Compute(Protocol):
    """Runs what takes long where it holds up nobody."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


async def make_statement(
    reading: Reading,
    compute: Compute,
    key: OwnedId,
    trigger: Trigger | None,
    *,
    keep_for: timedelta,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Statement:
    """Accounts for what is kept, as far as `since` and `until` do not narrow it.

    The trigger, None if it was deleted, was read before, and all up to its `settled_until` was
    recorded before that: whatever fires or changes later lies after it. So parts may be read
    one after the other, with no connection held while one is computed.
    """
    async with reading() as session:
        now = await database_now(session)
        start = now - keep_for + keep_for / _ON_ITS_WAY_OUT
        statement = Statement(start if since is None else max(start, since), min(until or now, now))
        after, upto = statement.since - _MICROSECOND, statement.until - _MICROSECOND
        eras = await _list_eras(Ledger(session), key, trigger, after=after)
        if not eras:
            return statement
        settled = min(upto, eras[-1].until)
        if after < settled:
            ranges = await Ledger(session).list_unfired(key, after=after, until=settled)
            statement.ranges = [_recorded(one) for one in ranges]
    for start, end in await compute(partial(_spans, eras, after=after, until=settled)):
        async with reading() as session:
            fired = await Ledger(session).list_fired(key, after=start, until=end)
        statement.account.add(
            await compute(partial(reconcile, eras, statement.ranges, fired, after=start, until=end))
        )
    if trigger is not None:
        after = max(after, eras[-1].until)
        await compute(partial(_add_undecided, statement, trigger, after=after, until=upto, now=now))
    return statement


async def _list_eras(
    ledger: Ledger, key: OwnedId, trigger: Trigger | None, *, after: datetime
) -> list[Era]:
    """The schedules in force after an instant, oldest first, the present one up to what is settled.

    There is none for a trigger that only fires when it is called.
    """
    ended = await ledger.list_versions(key, after=after)
    await ZoneStore(ledger.session).load([one.zone_rules for one in ended if one.zone_rules])
    eras = [
        Era(one.version, _schedule_of(one), one.starts_after, one.ends_at)
        for one in ended
        if trigger is None or one.version < trigger.version
    ]
    if trigger is not None and trigger.type == TriggerType.SCHEDULED:
        settled = max(trigger.settled_until, trigger.in_force_after)
        era = Era(trigger.version, _schedule_of(trigger), trigger.in_force_after, settled)
        eras.append(era)
    return eras


def _schedule_of(row: Trigger | ScheduleVersion) -> Schedule | None:
    plan = plan_then(row)
    return None if plan is None else plan.schedule


def plan_then(row: Trigger | ScheduleVersion) -> Plan | None:
    """The plan, by the rules of its zone then, if they are known; None if it cannot be read.

    The present one goes by those in force: where others planned its past, it had been ended.
    """
    plan = readable_plan(row.details, anchor=row.anchor_at)
    if plan is None or isinstance(row, Trigger) or not isinstance(plan.schedule, Cron):
        return plan
    known = row.zone_rules is not None and zone_rules().get_known(row.zone_rules) is not None
    return planned_by(plan, row.zone_rules) if known and row.zone_rules else plan


def _recorded(row: UnfiredRange) -> RecordedRange:
    stretch = InstantRange(row.first_at, row.last_at, row.count)
    return RecordedRange(row.version, Unfired(stretch, UnfiredReason(row.reason)))


def waiting_of(trigger: Trigger, plan: Plan, *, now: datetime) -> Decision | None:
    """What would become now of the instants that are due, if any are."""
    if trigger.next_fire_at is None or trigger.next_fire_at > now:
        return None
    return decide(
        plan,
        planned=trigger.next_fire_at,
        now=now,
        fired=trigger.scheduled_count,
        most=MOST_WAITING,
    )


def _add_undecided(
    statement: Statement, trigger: Trigger, *, after: datetime, until: datetime, now: datetime
) -> None:
    """Counts what came later: it waits to fire, or a pause that goes on swallows it."""
    plan = readable_plan(trigger.details, anchor=trigger.anchor_at)
    if plan is None:
        return
    if trigger.status == TriggerStatus.PAUSED:
        _add_paused(statement, plan, trigger.version, after=after, until=until)
    elif (waiting := waiting_of(trigger, plan, now=now)) is not None:
        stretches = [one.stretch for one in waiting.unfired]
        statement.pending = sum(after < instant <= until for instant in waiting.fires) + sum(
            count_between(
                plan.schedule,
                after=max(after, one.first - _MICROSECOND),
                until=min(until, one.last),
            )
            for one in stretches
        )
        statement.account.planned += statement.pending


def _add_paused(
    statement: Statement, plan: Plan, version: int, *, after: datetime, until: datetime
) -> None:
    stretch = range_between(plan.schedule, after=after, until=until)
    if stretch is not None:
        statement.account.planned += stretch.count
        statement.account.unfired[UnfiredReason.PAUSED] += stretch.count
        statement.ranges.append(RecordedRange(version, Unfired(stretch, UnfiredReason.PAUSED)))


def _spans(
    eras: Sequence[Era], *, after: datetime, until: datetime
) -> list[tuple[datetime, datetime]]:
    """Cuts what would be too much at once, so that others have their turn in between."""
    planned = sum(
        count_between(era.schedule, after=max(era.after, after), until=min(era.until, until))
        for era in eras
        if era.schedule is not None
    )
    width = until - after if planned <= _MOST_AT_ONCE else _SPAN
    spans: list[tuple[datetime, datetime]] = []
    while after < until:
        end = min(after + width, until)
        spans.append((after, end))
        after = end
    return spans
