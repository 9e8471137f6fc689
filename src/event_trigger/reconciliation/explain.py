"""Explains why an instant has an event, or has none, from the records and the schedule."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

from event_trigger.instants import instant_text, just_after
from event_trigger.models import (
    Event,
    ScheduleVersion,
    Trigger,
    TriggerStatus,
    TriggerType,
    UnfiredRange,
    UnfiredReason,
)
from event_trigger.reconciliation.evidence import Evidence, VersionInForce, ended_version
from event_trigger.reconciliation.outcomes import OUTCOMES, UNJUDGED, Outcome, sentence_for
from event_trigger.reconciliation.statement import decide_now
from event_trigger.triggers.schedule.details import calendars_of
from event_trigger.triggers.schedule.plan import Plan
from event_trigger.triggers.schedule.schedules import (
    LONGEST_COUNT,
    Schedule,
    count_in,
    instants_in,
    latest_fire_in,
    next_fire_at_or_after,
    zone_of,
)
from event_trigger.triggers.schedule.words.language import calendars_named
from event_trigger.triggers.schedule.zone_rules import zone_rules
from event_trigger.triggers.stored_plans import readable_heartbeat, state_of

_ON_TIME = timedelta(seconds=1)
_CLOSEST_INSTANTS = timedelta(seconds=1)
_MAX_WALKED = 1000  # firings that are walked one by one


@dataclass(frozen=True, slots=True)
class Explanation:
    """The outcome of an instant, with a sentence; `scheduled_for` is None if none planned it."""

    outcome: Outcome
    reason: str
    scheduled_for: datetime | None = None
    event: Event | None = None
    in_force: VersionInForce | None = None

    @property
    def lag(self) -> timedelta | None:
        """The time from the instant to its event."""
        if self.event is None or self.scheduled_for is None:
            return None
        return self.event.triggered_at - self.scheduled_for


def explain(evidence: Evidence, *, at: datetime, keep_for: timedelta) -> Explanation:
    """Explains the instant `at`. May count the instants of ten years, which takes a second.

    1. Takes the event of the instant, if there is one.
    2. Else looks for the version that planned it; without one it is not scheduled.
    3. Else takes the reason on record for that version.
    4. Else it is open, past its retention, or missed: neither an event nor a reason is stored.
    5. Adds how newer zone rules moved the schedule, if that is why it is not planned.
    """
    trigger = evidence.trigger
    if trigger.type == TriggerType.API:
        return Explanation(Outcome.NOT_SCHEDULED, "This trigger fires when it is called.")
    if trigger.type == TriggerType.HEARTBEAT:
        return _explain_deadline(evidence, at=at, keep_for=keep_for)
    in_force = _in_force(evidence.versions, at)
    if evidence.event is not None:
        punctuality = _punctuality(evidence.event.triggered_at - at)
        return Explanation(Outcome.FIRED, punctuality, at, evidence.event, in_force)
    judged = _judge(trigger, in_force, evidence.unfired, at=at, now=evidence.now, keep_for=keep_for)
    if judged.outcome is not Outcome.NOT_SCHEDULED or evidence.ended_by_rules is None:
        return judged
    about_rules = _sentence_on_rules(evidence.ended_by_rules, trigger, at)
    return replace(judged, reason=judged.reason + about_rules)


def _explain_deadline(evidence: Evidence, *, at: datetime, keep_for: timedelta) -> Explanation:
    """Explains whether an instant is, or was, the deadline of a heartbeat, and what came of it."""
    trigger = evidence.trigger
    in_force = evidence.versions[-1] if evidence.versions else None
    if evidence.event is not None:
        late = _punctuality(evidence.event.triggered_at - at)
        reason = f"No ping had come by this deadline. {late}"
        return Explanation(Outcome.FIRED, reason, at, evidence.event, in_force)
    if evidence.unfired:
        return Explanation(Outcome.MISSED, UNJUDGED, at, None, in_force)
    if at <= evidence.now - keep_for:
        reason = "It is older than the retention period, so its records are deleted."
        return Explanation(Outcome.EXPIRED, reason, in_force=in_force)
    if trigger.status == TriggerStatus.PAUSED:
        reason = "The trigger is paused, and expects no ping."
        return Explanation(Outcome.PAUSED, reason, in_force=in_force)
    heartbeat = readable_heartbeat(trigger.details)
    deadline_at = None if heartbeat is None else state_of(trigger).deadline(heartbeat)
    if at == deadline_at:
        reason = "It is the deadline of the next ping: it fires then, unless one comes before."
        return Explanation(Outcome.PENDING, reason, at, None, in_force)
    if deadline_at is not None:
        now_is = f"Its deadline is {instant_text(deadline_at)} now."
    elif trigger.silent_since is not None:
        now_is = "It is silent, and fires again when a ping comes."
    else:
        now_is = "It waits for its first ping."
    reason = f"A heartbeat fires if no ping comes by its deadline, and this is none. {now_is}"
    return Explanation(Outcome.NOT_SCHEDULED, reason, in_force=in_force)


def _in_force(versions: Sequence[VersionInForce], at: datetime) -> VersionInForce | None:
    """Picks the version that planned an instant, or would but for its date, or else the newest."""
    for is_of in (VersionInForce.plans, VersionInForce.excepts):
        if (found := next((one for one in versions if is_of(one, at)), None)) is not None:
            return found
    return versions[-1] if versions else None


def _sentence_on_rules(row: ScheduleVersion, trigger: Trigger, at: datetime) -> str:
    """Says that newer zone rules moved the schedule, if that is why an instant is not planned."""
    assert row.moved_to is not None
    before, moved_to = ended_version(row), zone_rules().get_known(row.moved_to)
    newer = "others" if moved_to is None else moved_to.version
    if at <= trigger.in_force_after:
        return f" Its local time came before the zone's rules changed to those of {newer}."
    if not before.plans(at):
        return ""
    return (
        f" By the zone's rules of {before.zone_rules} it was planned, until those of {newer}"
        " replaced them."
    )


def _judge(
    trigger: Trigger,
    in_force: VersionInForce | None,
    unfired: Sequence[UnfiredRange],
    *,
    at: datetime,
    now: datetime,
    keep_for: timedelta,
) -> Explanation:
    """Judges an instant that has no event."""
    if in_force is None:
        return Explanation(Outcome.NOT_SCHEDULED, _no_schedule(trigger, at))
    if in_force.plan is None:
        reason = "The schedule in force then can no longer be read. Change the trigger's details."
        return Explanation(Outcome.NOT_SCHEDULED, reason, in_force=in_force)
    schedule = in_force.plan.schedule
    if not in_force.plans(at):
        return _unplanned(in_force, schedule, at)
    for one in unfired:
        if one.version == in_force.version:
            recorded = UnfiredReason(one.reason)
            sentence = sentence_for(recorded, in_force.plan)
            return Explanation(OUTCOMES[recorded], sentence, at, None, in_force)
    if at > trigger.settled_until:
        return _judge_open(trigger, in_force, in_force.plan, at=at, now=now)
    outcome, reason = _unrecorded(at, now=now, keep_for=keep_for)
    return Explanation(outcome, reason, at, None, in_force)


def _source_of(day: str, in_force: VersionInForce) -> str:
    """Names the calendars of a date that the details do not name."""
    keys = calendars_of(in_force.details)
    if day in (in_force.details.get("except") or ()) or not keys:
        return "see 'except' in the details"
    it_is = "it is" if in_force.until is None else "it was then"
    return f"{it_is} one of the dates of {calendars_named(keys)}"


def _unplanned(in_force: VersionInForce, schedule: Schedule, at: datetime) -> Explanation:
    if in_force.excepts(at):
        day = (at - schedule.shift).astimezone(zone_of(schedule)).date()
        reason = f"The schedule leaves out its date, {day}: {_source_of(str(day), in_force)}."
        return Explanation(Outcome.EXCEPTED, reason, in_force=in_force)
    neighbours = _neighbours(in_force, schedule, at)
    reason = f"The schedule in force then has no instant there. {neighbours}"
    return Explanation(Outcome.NOT_SCHEDULED, reason, in_force=in_force)


def _unrecorded(at: datetime, *, now: datetime, keep_for: timedelta) -> tuple[Outcome, str]:
    if at <= now - keep_for:
        reason = "It is older than the retention period, so its records are deleted."
        return Outcome.EXPIRED, reason
    reason = (
        "Neither an event nor a reason is on record, though one should be: run"
        " python -m event_trigger verify."
    )
    return Outcome.MISSED, reason


def _judge_open(
    trigger: Trigger, in_force: VersionInForce, plan: Plan, *, at: datetime, now: datetime
) -> Explanation:
    """Judges an instant that is not decided on yet: due, to come, or in a pause."""
    if trigger.status == TriggerStatus.COMPLETED:
        reason = f"The trigger was completed, after {trigger.scheduled_count} scheduled firings."
        return Explanation(Outcome.NOT_SCHEDULED, reason, in_force=in_force)
    if trigger.status == TriggerStatus.PAUSED:
        reason = "The trigger is paused: this instant fires only if it is resumed before."
        return Explanation(Outcome.PAUSED, reason, at, None, in_force)
    if plan.max_fires is not None and _comes_too_late(
        trigger, plan, plan.max_fires, at=at, now=now
    ):
        reason = f"By then the trigger will have fired {plan.max_fires} times, its max_fires."
        return Explanation(Outcome.NOT_SCHEDULED, reason, in_force=in_force)
    reason = "It is due, and has not fired yet." if at <= now else "It is still to come."
    return Explanation(Outcome.PENDING, reason, at, None, in_force)


def _comes_too_late(
    trigger: Trigger, plan: Plan, max_fires: int, *, at: datetime, now: datetime
) -> bool:
    """Tells whether the trigger spends its firings before `at`; coalesced instants spend none.

    Counts many firings over ten years only: those of all time would take minutes.
    """
    decision = decide_now(trigger, plan, now=now)
    fires = () if decision is None else decision.fires
    left = max_fires - trigger.scheduled_count - len(fires)
    if decision is not None and at <= now:
        return left <= 0 and at > decision.settled_until
    since, until = just_after(now), just_after(at)
    if left < _MAX_WALKED:
        coming = instants_in(plan.schedule, since=since, until=until)
        return next(islice(coming, left, None), None) is not None
    until = min(until, since + LONGEST_COUNT)
    if left > (until - since) // _CLOSEST_INSTANTS:
        return False
    return count_in(plan.schedule, since=since, until=until) > left


def _punctuality(lag: timedelta) -> str:
    if lag <= _ON_TIME:
        return f"It fired {lag / timedelta(milliseconds=1):.0f} ms after its time."
    return f"It fired {lag.total_seconds():.0f} s late."


def _no_schedule(trigger: Trigger, at: datetime) -> str:
    if at <= trigger.created_at:
        return "The trigger did not exist then: it was created later."
    return "No schedule was in force then, or it is no longer on record."


def _neighbours(in_force: VersionInForce, schedule: Schedule, at: datetime) -> str:
    """Names the nearest instants to one that the schedule does not plan, while it is in force."""
    before = latest_fire_in(schedule, since=just_after(in_force.after), until=at)
    after = next_fire_at_or_after(schedule, at)
    parts = [
        f"{word} {instant_text(instant)}"
        for word, instant in (("before it", before), ("after it", after))
        if instant is not None
    ]
    if not parts:
        return "It has none at all."
    return f"The nearest: {', '.join(parts)}."
