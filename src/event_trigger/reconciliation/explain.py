"""Why there is, or is not, an event for an instant: read from the record, never guessed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.clock import database_now
from event_trigger.db.shards import OwnedId
from event_trigger.errors import NotFound
from event_trigger.instants import instant_text
from event_trigger.models import (
    Event,
    ScheduleVersion,
    Trigger,
    TriggerStatus,
    TriggerType,
    UnfiredRange,
    UnfiredReason,
)
from event_trigger.reconciliation.outcomes import OUTCOMES, Outcome, words_for
from event_trigger.reconciliation.repository import Ledger
from event_trigger.reconciliation.statement import plan_then, waiting_of
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schedule.describe import rules_version
from event_trigger.triggers.schedule.plan import Plan, schedule_part
from event_trigger.triggers.schedule.schedules import (
    BEFORE_ALL,
    LONGEST_COUNT,
    Schedule,
    count_between,
    instants_between,
    latest_fire_between,
    next_fire_after,
)
from event_trigger.triggers.schedule.zone_rules import zone_rules
from event_trigger.triggers.zone_updates.store import ZoneStore

_MICROSECOND = timedelta(microseconds=1)
_ON_TIME = timedelta(seconds=1)
_SECOND = timedelta(seconds=1)
_FEW = 1000


@dataclass(frozen=True, slots=True)
class InForce:
    """The schedule that judged an instant; `until` None means that it still does."""

    version: int
    details: dict[str, Any]
    plan: Plan | None
    after: datetime
    until: datetime | None

    @property
    def zone_rules(self) -> str | None:
        """The version of its zone's rules, if it follows a zone and they are known."""
        return None if self.plan is None else rules_version(self.plan.schedule)

    def has(self, at: datetime) -> bool:
        """Whether it planned an instant."""
        if self.plan is None:
            return False
        return next_fire_after(self.plan.schedule, at - _MICROSECOND) == at


@dataclass(frozen=True, slots=True)
class Explanation:
    """`scheduled_for` is the instant itself if it was planned."""

    outcome: Outcome
    reason: str
    scheduled_for: datetime | None = None
    event: Event | None = None
    in_force: InForce | None = None

    @property
    def lag(self) -> timedelta | None:
        """How long after its instant the event came."""
        if self.event is None or self.scheduled_for is None:
            return None
        return self.event.triggered_at - self.scheduled_for


@dataclass(frozen=True, slots=True)
class RecordsAt:
    """Holds all that is on record at `now` about one instant of a trigger.

    `schedules` are those that may have planned it. `moved` is the one before the present, if newer
    rules of its zone ended it.
    """

    trigger: Trigger
    now: datetime
    schedules: Sequence[InForce] = ()
    event: Event | None = None
    ranges: Sequence[UnfiredRange] = ()
    moved: ScheduleVersion | None = None


async def look_up(
    session: AsyncSession, key: OwnedId, *, at: datetime, keep_for: timedelta
) -> RecordsAt:
    """Reads all that `explain` needs, so that nothing is computed while a connection is held."""
    now = await database_now(session)
    trigger = await Triggers(session).get(key)
    if trigger is None:
        raise NotFound
    if trigger.type != TriggerType.SCHEDULED:
        return RecordsAt(trigger, now)
    ledger = Ledger(session)
    return RecordsAt(
        trigger,
        now,
        await _list_schedules(ledger, key, trigger, at),
        await ledger.get_event(key, at) if at > now - keep_for else None,
        await ledger.list_unfired(key, after=at - _MICROSECOND, until=at),
        await _get_moved(ledger, key, trigger, at),
    )


def explain(found: RecordsAt, *, at: datetime, keep_for: timedelta) -> Explanation:
    """Takes the event of `at`, or else a reason on record, or else looks at the schedule.

    May count the instants of ten years, which takes a second.
    """
    trigger = found.trigger
    if trigger.type != TriggerType.SCHEDULED:
        return Explanation(Outcome.NOT_SCHEDULED, "This trigger fires when it is called.")
    in_force = _in_force(found.schedules, at)
    if found.event is not None:
        punctuality = _punctuality(found.event.triggered_at - at)
        return Explanation(Outcome.FIRED, punctuality, at, found.event, in_force)
    judged = _judge(trigger, in_force, found.ranges, at=at, now=found.now, keep_for=keep_for)
    if judged.outcome is not Outcome.NOT_SCHEDULED or found.moved is None:
        return judged
    return replace(judged, reason=judged.reason + _moved_words(found.moved, trigger, at))


async def _list_schedules(
    ledger: Ledger, key: OwnedId, trigger: Trigger, at: datetime
) -> list[InForce]:
    """Those in force at an instant: several overlap only where a zone's rules moved local times."""
    ended = await ledger.list_versions(key, after=at - _MICROSECOND)
    await ZoneStore(ledger.session).load([one.zone_rules for one in ended if one.zone_rules])
    found = [
        _ended(one) for one in ended if one.starts_after < at and one.version < trigger.version
    ]
    if at > trigger.in_force_after:
        details, plan = schedule_part(trigger.details), plan_then(trigger)
        found.append(InForce(trigger.version, details, plan, trigger.in_force_after, None))
    return found


def _in_force(schedules: Sequence[InForce], at: datetime) -> InForce | None:
    """The schedule that planned an instant, or else the newest."""
    return next((one for one in schedules if one.has(at)), schedules[-1] if schedules else None)


def _ended(row: ScheduleVersion) -> InForce:
    details, plan = schedule_part(row.details), plan_then(row)
    return InForce(row.version, details, plan, row.starts_after, row.ends_at)


async def _get_moved(
    ledger: Ledger, key: OwnedId, trigger: Trigger, at: datetime
) -> ScheduleVersion | None:
    row = None if trigger.version == 1 else await ledger.get_version(key, trigger.version - 1)
    if row is None or row.moved_to is None or at <= row.ends_at:
        return None
    await ZoneStore(ledger.session).load([one for one in (row.zone_rules, row.moved_to) if one])
    return row


def _moved_words(row: ScheduleVersion, trigger: Trigger, at: datetime) -> str:
    """A sentence on newer rules of the zone, if those are why nothing is planned for an instant."""
    assert row.moved_to is not None
    before, moved_to = _ended(row), zone_rules().get_known(row.moved_to)
    newer = "others" if moved_to is None else moved_to.version
    if at <= trigger.in_force_after:
        return f" Its local time had its turn before the zone's rules became those of {newer}."
    if not before.has(at):
        return ""
    return (
        f" By the zone's rules of {before.zone_rules} it was planned, until those of {newer}"
        " took their place."
    )


def _judge(
    trigger: Trigger,
    in_force: InForce | None,
    ranges: Sequence[UnfiredRange],
    *,
    at: datetime,
    now: datetime,
    keep_for: timedelta,
) -> Explanation:
    if in_force is None:
        return Explanation(Outcome.NOT_SCHEDULED, _no_schedule(trigger, at))
    if in_force.plan is None:
        reason = "The schedule in force then can no longer be read. Change the trigger's details."
        return Explanation(Outcome.NOT_SCHEDULED, reason, in_force=in_force)
    schedule = in_force.plan.schedule
    if not in_force.has(at):
        reason = "The schedule in force then has no instant there. " + _neighbours(schedule, at)
        return Explanation(Outcome.NOT_SCHEDULED, reason, in_force=in_force)
    for one in ranges:
        if one.version == in_force.version:
            why = UnfiredReason(one.reason)
            outcome, reason = OUTCOMES[why], words_for(why, in_force.plan)
            return Explanation(outcome, reason, at, None, in_force)
    if at > trigger.settled_until:
        return _judge_open(trigger, in_force, in_force.plan, at=at, now=now)
    outcome, reason = _unrecorded(at, now=now, keep_for=keep_for)
    return Explanation(outcome, reason, at, None, in_force)


def _unrecorded(at: datetime, *, now: datetime, keep_for: timedelta) -> tuple[Outcome, str]:
    if at <= now - keep_for:
        reason = "That is past keeping: whether there was an event is no longer on record."
        return Outcome.EXPIRED, reason
    reason = "Neither an event nor a reason is on record, though one should be: run the audit."
    return Outcome.MISSED, reason


def _judge_open(
    trigger: Trigger, in_force: InForce, plan: Plan, *, at: datetime, now: datetime
) -> Explanation:
    """What has not been decided on yet: it is due, to come, or swallowed by a pause."""
    if trigger.status == TriggerStatus.COMPLETED:
        reason = f"The trigger was completed, after {trigger.scheduled_count} scheduled firings."
        return Explanation(Outcome.NOT_SCHEDULED, reason, in_force=in_force)
    if trigger.status == TriggerStatus.PAUSED:
        reason = "The trigger is paused: this instant does not fire unless it is resumed before."
        return Explanation(Outcome.PAUSED, reason, at, None, in_force)
    if plan.max_fires is not None and _comes_too_late(trigger, plan, plan.max_fires, at, now):
        reason = f"By then the trigger will have fired {plan.max_fires} times, its max_fires."
        return Explanation(Outcome.NOT_SCHEDULED, reason, in_force=in_force)
    reason = "It is due, and has not fired yet." if at <= now else "It is still to come."
    return Explanation(Outcome.PENDING, reason, at, None, in_force)


def _comes_too_late(
    trigger: Trigger, plan: Plan, max_fires: int, at: datetime, now: datetime
) -> bool:
    """Whether the firings are spent before an instant: what is coalesced spends none.

    Many firings are looked at for ten years only; counting those of all time would take minutes.
    """
    waiting = waiting_of(trigger, plan, now=now)
    fires = () if waiting is None else waiting.fires
    left = max_fires - trigger.scheduled_count - len(fires)
    if waiting is not None and at <= now:
        return left <= 0 and at > waiting.settled_until
    if left < _FEW:
        coming = instants_between(plan.schedule, after=now, until=at)
        return next(islice(coming, left, None), None) is not None
    until = min(at, now + LONGEST_COUNT)
    if left > (until - now) // _SECOND:  # no two instants are less than that apart
        return False
    return count_between(plan.schedule, after=now, until=until) > left


def _punctuality(lag: timedelta) -> str:
    if lag <= _ON_TIME:
        return f"It fired {lag / timedelta(milliseconds=1):.0f} ms after its time."
    return f"It fired {lag.total_seconds():.0f} s late: nothing could fire at its time."


def _no_schedule(trigger: Trigger, at: datetime) -> str:
    if at <= trigger.created_at:
        return "The trigger did not exist then: it was created later."
    return "No schedule was in force then, or it is no longer on record."


def _neighbours(schedule: Schedule, at: datetime) -> str:
    before = latest_fire_between(schedule, after=BEFORE_ALL, until=at)
    after = next_fire_after(schedule, at)
    parts = [
        f"{word} {instant_text(instant)}"
        for word, instant in (("before it", before), ("after it", after))
        if instant is not None
    ]
    if not parts:
        return "It has none at all."
    return f"The nearest: {', '.join(parts)}."
