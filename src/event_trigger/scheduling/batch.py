"""Fires one batch of due triggers: claims them, decides on each, records the result."""

import time
from collections.abc import Callable, Sequence
from functools import partial
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
from event_trigger.db.shards import OwnedId, by_shard
from event_trigger.db.transactions import Transactions
from event_trigger.events.announcer import Announcer
from event_trigger.instants import just_after
from event_trigger.models import EventType, TriggerType
from event_trigger.notices.changes import Change, record_changes
from event_trigger.scheduling.claimed_plans import due_instants, is_off_plan, plan_of
from event_trigger.scheduling.full_projects import full_projects
from event_trigger.scheduling.heartbeats import fire_heartbeats
from event_trigger.scheduling.limits import BatchLimits
from event_trigger.scheduling.news import missed_news, set_aside_news
from event_trigger.scheduling.repository import (
    START,
    ClaimedTrigger,
    DecidedTrigger,
    DuePosition,
    DueTriggers,
)
from event_trigger.telemetry import EVENTS_FIRED, FIRING_LAG, TRIGGERS_SET_ASIDE
from event_trigger.triggers.schedule.catch_up import Decision, decide, fail_due
from event_trigger.triggers.schedule.plan import UnfiredInstants
from event_trigger.triggers.versions import NewUnfiredRange, UnfiredRanges
from event_trigger.triggers.zone_updates.store import adopt_recorded_rules

log = structlog.get_logger()

TRIGGERS_PER_BATCH = 1000
MOST_ONE_BY_ONE = 250  # triggers


class BatchRequest(NamedTuple):
    """A batch to fire: due triggers of some shards, either late ones or on-time ones.

    If it is one shard, they are those behind `after`. In a cluster it is always one.
    """

    shards: Sequence[int]
    late: bool
    after: DuePosition = START


Enqueue = Callable[[BatchRequest], None]
OnWritten = Callable[[Sequence[int]], None]  # takes the ids of the claimed triggers
LogLines = list[Callable[[], None]]  # of stored changes: written, or counted, after the commit


async def fire_next_batch(
    sessions: Sessions,
    request: BatchRequest,
    enqueue: Enqueue,
    announcer: Announcer,
    on_written: OnWritten | None = None,
) -> int:
    """Fires one batch and gives the number of triggers claimed for it.

    1. Claim up to 1,000 due triggers that nobody has locked, an equal part of each shard. If there
       are so many in a single shard, `enqueue` a request for those behind them.
    2. Decide for which instants each fires, for up to 250 ms and 64 MiB of payloads, or a sixteenth
       of both for several shards. The others stay due.
    3. Store the events, move the triggers on, commit, and write the log lines. Right before the
       commit, call `on_written`, unless it claimed no trigger or step 4 has some to enqueue.
    4. Of several shards, enqueue each one alone that has more than its part, or where triggers stay
       due.

    If a request for late triggers claims none, it waits up to 250 ms for the lock of one. If the
    batch fails although the database works, or a statement takes too long, each of its shards is
    enqueued alone. Of a single shard, the oldest due triggers are fired one by one, up to 250, and
    those that raise are set aside.
    """
    shards = request.shards
    try:
        limit = max(1, TRIGGERS_PER_BATCH // len(shards))
        claimed = await _fire_batch(sessions, request, enqueue, announcer, on_written, limit=limit)
        if claimed or not request.late or request.after != START:
            return claimed
        return await _fire_locked(sessions, request, enqueue, announcer)
    except Exception as error:
        code = sqlstate(error)
        if is_outage(error) and (not code or (code != QUERY_CANCELED and len(shards) == 1)):
            raise
        log.exception("batch_failed", shards=[*shards])
    if len(shards) == 1:
        return await _fire_one_by_one(sessions, shards[0], announcer)
    for shard in shards:
        enqueue(BatchRequest([shard], late=False))
    return 0


async def _fire_batch(
    sessions: Sessions,
    request: BatchRequest,
    enqueue: Enqueue,
    announcer: Announcer,
    on_written: OnWritten | None = None,
    *,
    limit: int,
    wait: bool = False,
) -> int:
    lines: LogLines = []
    alone: set[int] = set()
    is_shared = len(request.shards) > 1
    async with Transactions(sessions).begin() as session:
        due, began = DueTriggers(session), time.perf_counter()
        claimed = await due.claim_due(
            request.shards, limit=limit, after=request.after, late=request.late, wait=wait
        )
        if is_shared:
            alone = {one for one, found in by_shard(claimed).items() if len(found) == limit}
        elif len(claimed) == TRIGGERS_PER_BATCH:
            last = claimed[-1]
            enqueue(request._replace(after=DuePosition(last.next_fire_at, last.id)))
        if claimed:
            limits = BatchLimits(len(request.shards))
            most_each = max(1, TRIGGERS_PER_BATCH // len(claimed))
            left = await _record(
                due, claimed, lines, limits, announcer, most_each=most_each, began=began
            )
            if is_shared:
                alone.update(one.shard for one in left)
            if on_written is not None and not alone:
                on_written([one.id for one in claimed])
    _write(lines)
    for shard in sorted(alone):
        enqueue(BatchRequest([shard], late=False))
    return len(claimed)


async def _fire_locked(
    sessions: Sessions, request: BatchRequest, enqueue: Enqueue, announcer: Announcer
) -> int:
    """Waits for the lock of a late trigger, which calls may hand to each other without a gap."""
    try:
        return await _fire_batch(sessions, request, enqueue, announcer, limit=1, wait=True)
    except DATABASE_ERRORS as error:
        if sqlstate(error) != LOCK_NOT_AVAILABLE:
            raise
        return 0


async def _fire_one_by_one(sessions: Sessions, shard: int, announcer: Announcer) -> int:
    for count in range(MOST_ONE_BY_ONE):
        lines: LogLines = []
        async with sessions.begin() as session:
            due, began = DueTriggers(session), time.perf_counter()
            claimed = await due.claim_due((shard,), limit=1)
            if not claimed:
                return count
            try:
                async with session.begin_nested():
                    await _record(
                        due, claimed, lines, BatchLimits(), announcer, most_each=1, began=began
                    )
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
    claimed: Sequence[ClaimedTrigger],
    lines: LogLines,
    limits: BatchLimits,
    announcer: Announcer,
    *,
    most_each: int,
    began: float,
) -> Sequence[ClaimedTrigger]:
    """Decides on claimed triggers and records the decisions, within the limits of time and size.

    `began` is the time of `perf_counter` when the transaction did.
    Returns the triggers beyond the limits: they stay due. One whose schedule cannot be read is set
    aside alone.
    """
    news: list[Change] = []
    left: list[ClaimedTrigger] = []
    if heartbeats := [one for one in claimed if one.type == TriggerType.HEARTBEAT]:
        set_aside = partial(_set_aside, due, lines=lines)
        told, left = await fire_heartbeats(
            due.session, heartbeats, lines, set_aside, limits, began=began
        )
        news += told
        claimed = [one for one in claimed if one.type != TriggerType.HEARTBEAT]
    off_plan = [*map(is_off_plan, claimed)]
    if any(off_plan):
        await adopt_recorded_rules(due.session)  # another replica may have planned by newer rules
        off_plan = [*map(is_off_plan, claimed)]
    decided: list[DecidedTrigger] = []
    waiting = zip(claimed, off_plan, strict=True)
    for trigger, is_off in waiting:
        fitting = limits.bytes_left // max(1, trigger.payload_size)
        try:
            most = max(1, min(most_each, fitting))
            decision = _decide(trigger, most, is_off_plan=is_off)
        except Exception as error:
            news.append(await _set_aside(due, trigger, error, lines=lines))
            continue
        if not trigger.has_no_room:  # every second, of so many triggers: a line for all
            lines.extend(partial(_log_unfired, trigger, unfired) for unfired in decision.unfired)
        decided.append(DecidedTrigger(trigger, decision))
        if not limits.take(trigger.payload_size * len(decision.fires)):
            break
    if decided:
        spans = await due.record_fired(decided)
        owner_ids = {trigger.owner_id for trigger, decision in decided if decision.fires}
        delivers = any(one.trigger.has_destinations for one in decided)
        lines.append(partial(announcer.announce, owner_ids, has_deliveries=delivers))
        lines += [partial(_measure, decided, began), spans.end]
        completed = [one.trigger for one in decided if one.decision.next_fire_at is None]
        named = [(one.owner_id, one.id) for one in completed]
        await notify_rows(due.session, TRIGGERS_CHANGED, named)
    if failed := {one.trigger.owner_id for one in decided if one.trigger.has_no_room}:
        lines.append(partial(full_projects.note, failed))
    for shard, changes in by_shard([*missed_news(decided), *news]).items():
        await record_changes(due.session, shard, changes)
    return [*left, *(trigger for trigger, _ in waiting)]


def _decide(trigger: ClaimedTrigger, most: int, *, is_off_plan: bool) -> Decision:
    plan, planned = plan_of(trigger), trigger.next_fire_at
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
    if (unfired := due_instants(trigger)) is not None:
        settled_until = unfired.instants.last
        new = NewUnfiredRange(trigger.owner_id, trigger.id, trigger.version, unfired)
        await UnfiredRanges(due.session).record(key.shard, [new])
    await due.set_aside(key, reason, settled_until=settled_until)
    await notify_rows(due.session, TRIGGERS_CHANGED, [(key.owner_id, key.id)])
    return set_aside_news(trigger, reason)


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
