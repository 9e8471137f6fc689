"""Fires one batch of a shard's due triggers: claims them, decides on each, records the result."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import structlog

from event_trigger.db.engine import (
    DATABASE_ERRORS,
    LOCK_NOT_AVAILABLE,
    NOT_SUPPORTED,
    QUERY_CANCELED,
    Sessions,
    is_outage,
    sqlstate,
)
from event_trigger.db.notify import TRIGGERS_CHANGED, notify_rows
from event_trigger.db.shards import OwnedId
from event_trigger.db.transactions import Transactions
from event_trigger.instants import just_after
from event_trigger.models import EventType, TriggerType, UnfiredReason
from event_trigger.notices.changes import Change, record_changes
from event_trigger.scheduling.full_projects import full_projects
from event_trigger.scheduling.heartbeats import fire_heartbeats
from event_trigger.scheduling.news import missed_news, set_aside_news
from event_trigger.scheduling.repository import (
    START,
    ClaimedTrigger,
    DecidedTrigger,
    DuePosition,
    DueTriggers,
)
from event_trigger.telemetry import EVENTS_FIRED, FIRING_LAG, TRIGGERS_SET_ASIDE
from event_trigger.triggers.schedule.bases import Local, plans
from event_trigger.triggers.schedule.catch_up import Decision, decide, fail_due
from event_trigger.triggers.schedule.details import Resolved
from event_trigger.triggers.schedule.excluded import Days
from event_trigger.triggers.schedule.plan import Plan, UnfiredInstants, plan_of_stored
from event_trigger.triggers.schedule.schedules import is_excepted, range_in
from event_trigger.triggers.versions import NewUnfiredRange, UnfiredRanges
from event_trigger.triggers.zone_updates.store import adopt_recorded_rules

log = structlog.get_logger()

TRIGGERS_PER_BATCH = 1000
MOST_ONE_BY_ONE = 250  # triggers
PAYLOAD_BYTES_PER_BATCH = 64 * 1024 * 1024  # as they are stored
DECIDING_SECONDS = 0.25  # a cron line with many missed instants takes a millisecond or two


class BatchRequest(NamedTuple):
    """A batch to fire: due triggers of a shard behind `after`, either late ones or on-time ones."""

    shard: int
    late: bool
    after: DuePosition = START


Enqueue = Callable[[BatchRequest], None]
LogLines = list[Callable[[], None]]  # of stored changes: written, or counted, after the commit


async def fire_next_batch(sessions: Sessions, request: BatchRequest, enqueue: Enqueue) -> int:
    """Fires one batch and gives the number of triggers claimed for it.

    1. Claim up to 1,000 due triggers that nobody has locked; if there are so many, `enqueue` a
       request for those behind them.
    2. Decide for which instants each fires, for up to 250 ms and 64 MiB of payloads. The others
       stay due.
    3. Store the events, move the triggers on, commit, and write the log lines.

    If a request for late triggers claims none, it waits up to 250 ms for the lock of one. If the
    batch fails although the database works, or a statement takes too long, it fires the shard's
    oldest due triggers one by one, up to 250, and sets aside those that raise.
    """
    try:
        claimed = await _fire_batch(sessions, request, enqueue, limit=TRIGGERS_PER_BATCH)
        if claimed or not request.late or request.after != START:
            return claimed
        return await _fire_locked(sessions, request, enqueue)
    except Exception as error:
        if is_outage(error) and sqlstate(error) != QUERY_CANCELED:
            raise
        log.exception("batch_failed", shard=request.shard)
    return await _fire_one_by_one(sessions, request.shard)


async def _fire_batch(
    sessions: Sessions, request: BatchRequest, enqueue: Enqueue, *, limit: int, wait: bool = False
) -> int:
    lines: LogLines = []
    async with Transactions(sessions).begin() as session:
        due, began = DueTriggers(session), time.perf_counter()
        claimed = await due.claim_due(
            request.shard, limit=limit, after=request.after, late=request.late, wait=wait
        )
        if len(claimed) == TRIGGERS_PER_BATCH:
            last = claimed[-1]
            enqueue(request._replace(after=DuePosition(last.next_fire_at, last.id)))
        if claimed:
            most_each = max(1, TRIGGERS_PER_BATCH // len(claimed))
            await _record(due, request.shard, claimed, lines, most_each=most_each, began=began)
    _write(lines)
    return len(claimed)


async def _fire_locked(sessions: Sessions, request: BatchRequest, enqueue: Enqueue) -> int:
    """Waits for the lock of a late trigger, which calls may hand to each other without a gap."""
    try:
        return await _fire_batch(sessions, request, enqueue, limit=1, wait=True)
    except DATABASE_ERRORS as error:
        if sqlstate(error) != LOCK_NOT_AVAILABLE:
            raise
        return 0


async def _fire_one_by_one(sessions: Sessions, shard: int) -> int:
    for count in range(MOST_ONE_BY_ONE):
        lines: LogLines = []
        async with sessions.begin() as session:
            due, began = DueTriggers(session), time.perf_counter()
            claimed = await due.claim_due(shard, limit=1)
            if not claimed:
                return count
            try:
                async with session.begin_nested():
                    await _record(due, shard, claimed, lines, most_each=1, began=began)
            except Exception as error:
                if is_outage(error) or sqlstate(error) == NOT_SUPPORTED:
                    raise
                lines.clear()  # they describe what was rolled back
                news = await _set_aside(due, claimed[0], error, lines=lines)
                await record_changes(session, shard, [news])
        _write(lines)
    return MOST_ONE_BY_ONE


async def _record(
    due: DueTriggers,
    shard: int,
    claimed: Sequence[ClaimedTrigger],
    lines: LogLines,
    *,
    most_each: int,
    began: float,
) -> None:
    """Decides on claimed triggers and records the decisions, within the limits of time and size.

    `began` is the time of `perf_counter` when the transaction did.
    Triggers beyond the limits stay due. One whose schedule cannot be read is set aside alone.
    """
    news: list[Change] = []
    if heartbeats := [one for one in claimed if one.type == TriggerType.HEARTBEAT]:
        set_aside = partial(_set_aside, due, lines=lines)
        news += await fire_heartbeats(due.session, shard, heartbeats, lines, set_aside, began=began)
        claimed = [one for one in claimed if one.type != TriggerType.HEARTBEAT]
    off_plan = [*map(_is_off_plan, claimed)]
    if any(off_plan):
        await adopt_recorded_rules(due.session)  # another replica may have planned by newer rules
        off_plan = [*map(_is_off_plan, claimed)]
    clock = asyncio.get_running_loop().time
    decided: list[DecidedTrigger] = []
    stop_at, size = clock() + DECIDING_SECONDS, 0
    for trigger, is_off_plan in zip(claimed, off_plan, strict=True):
        fitting = PAYLOAD_BYTES_PER_BATCH // max(1, trigger.payload_size)
        try:
            most = max(1, min(most_each, fitting))
            decision = _decide(trigger, most, is_off_plan=is_off_plan)
        except Exception as error:
            news.append(await _set_aside(due, trigger, error, lines=lines))
            continue
        if not trigger.has_no_room:  # every second, of so many triggers: a line for all
            lines.extend(partial(_log_unfired, trigger, unfired) for unfired in decision.unfired)
        decided.append(DecidedTrigger(trigger, decision))
        size += trigger.payload_size * len(decision.fires)
        if size > PAYLOAD_BYTES_PER_BATCH or clock() > stop_at:
            break
    if decided:
        spans = await due.record_fired(shard, decided)
        lines += [partial(_measure, decided, began), spans.end]
        completed = [one.trigger for one in decided if one.decision.next_fire_at is None]
        named = [(one.owner_id, one.id) for one in completed]
        await notify_rows(due.session, TRIGGERS_CHANGED, named)
    if failed := {one.trigger.owner_id for one in decided if one.trigger.has_no_room}:
        lines.append(partial(full_projects.note, failed))
    await record_changes(due.session, shard, [*missed_news(decided), *news])


def _decide(trigger: ClaimedTrigger, most: int, *, is_off_plan: bool) -> Decision:
    plan, planned = _plan_of(trigger), trigger.next_fire_at
    fired = 0 if plan.max_fires is None else trigger.scheduled_count
    if is_off_plan:
        following = plan.next_at_or_after(just_after(trigger.settled_until), fired=fired)
        log.warning("planned_again_when_due", trigger_id=trigger.id, was=planned.isoformat())
        if following is None or following > trigger.now:
            return Decision((), (), trigger.settled_until, following)
        planned = following
    if trigger.has_no_room:
        return fail_due(plan, planned=planned, now=trigger.now, fired=fired)
    return decide(plan, planned=planned, now=trigger.now, fired=fired, most=most)


async def _set_aside(
    due: DueTriggers, trigger: ClaimedTrigger, error: Exception, *, lines: LogLines
) -> Change:
    """Pauses a trigger that cannot fire; returns what is to be told of it."""
    lines.append(partial(log.error, "trigger_set_aside", trigger_id=trigger.id, exc_info=error))
    lines.append(TRIGGERS_SET_ASIDE.inc)
    reason = f"This trigger could not fire ({type(error).__name__}) and was set aside."
    key, settled_until = OwnedId(trigger.owner_id, trigger.id), trigger.settled_until
    if (unfired := _due_instants(trigger)) is not None:
        settled_until = unfired.instants.last
        new = NewUnfiredRange(trigger.owner_id, trigger.id, trigger.version, unfired)
        await UnfiredRanges(due.session).record(key.shard, [new])
    await due.set_aside(key, reason, settled_until=settled_until)
    await notify_rows(due.session, TRIGGERS_CHANGED, [(key.owner_id, key.id)])
    return set_aside_news(trigger, reason)


def _due_instants(trigger: ClaimedTrigger) -> UnfiredInstants | None:
    """Returns the due instants of a failed trigger; None if there are none, or none can be read."""
    if trigger.type == TriggerType.HEARTBEAT:
        return None
    try:
        schedule = _plan_of(trigger).schedule
        since, until = just_after(trigger.settled_until), just_after(trigger.now)
        due = range_in(schedule, since=since, until=until)
    except Exception:
        log.warning("schedule_unreadable", trigger_id=trigger.id)
        return None
    return None if due is None else UnfiredInstants(due, UnfiredReason.FAILED)


def _is_off_plan(trigger: ClaimedTrigger) -> bool:
    """Tells whether next_fire_at is no instant of the schedule by the zone rules in force.

    It was then planned by other rules, or by a replica of the version before, which knows no
    exceptions.
    """
    if "timezone" not in trigger.details and "except" not in trigger.details:
        return False  # most details need not be parsed
    try:
        schedule = _plan_of(trigger).schedule
        if is_excepted(schedule, trigger.next_fire_at):
            return True
        if not isinstance(schedule.base, Local):
            return False
        return not plans(schedule.base, trigger.next_fire_at - schedule.shift)
    except Exception:  # deciding fails too, and sets the trigger aside
        return False


def _plan_of(trigger: ClaimedTrigger) -> Plan:
    days = None if trigger.excluded_days is None else _days_in(trigger.excluded_days)
    resolved = Resolved.of(days, trigger.shift_seconds)
    return plan_of_stored(trigger.details, anchor=trigger.anchor_at, resolved=resolved)


@lru_cache(maxsize=256)  # the triggers that name a calendar have the same days
def _days_in(array: str) -> Days:
    """Reads an array as PostgreSQL writes it: `{20446,20447}`."""
    inner = array.strip("{}")
    return Days(map(int, inner.split(","))) if inner else Days()


def _write(lines: LogLines) -> None:
    for line in lines:
        line()


def _measure(decided: Sequence[DecidedTrigger], began: float) -> None:
    """Counts committed events; their lag is by the database's clock as their transaction began."""
    since, lag = time.perf_counter() - began, FIRING_LAG[EventType.SCHEDULED]
    lags = [
        (one.trigger.now - instant).total_seconds() + since
        for one in decided
        for instant in one.decision.fires
    ]
    EVENTS_FIRED[EventType.SCHEDULED, False].inc(len(lags))
    for seconds in lags:
        lag.observe(seconds)


def _log_unfired(trigger: ClaimedTrigger, unfired: UnfiredInstants) -> None:
    log.warning(
        "instants_unfired",
        trigger_id=trigger.id,
        reason=unfired.reason,
        first=unfired.instants.first.isoformat(),
        last=unfired.instants.last.isoformat(),
        count=unfired.instants.count,
    )
