"""A turn of the dispatcher: a batch of what is due in a shard is claimed, decided and recorded."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import structlog
from sqlalchemy.exc import DBAPIError

from event_trigger.db.engine import (
    LOCK_NOT_AVAILABLE,
    QUERY_CANCELED,
    Sessions,
    is_outage,
    sqlstate,
)
from event_trigger.db.shards import OwnedId
from event_trigger.instants import just_after
from event_trigger.models import UnfiredReason
from event_trigger.scheduling.repository import (
    FIRST,
    Claimed,
    DecidedTrigger,
    DuePosition,
    DueTriggers,
)
from event_trigger.triggers.schedule.catch_up import Decision, decide
from event_trigger.triggers.schedule.cron import parse_cron
from event_trigger.triggers.schedule.plan import Plan, UnfiredInstants, plan_of_stored
from event_trigger.triggers.schedule.schedules import Cron, range_in
from event_trigger.triggers.versions import NewUnfiredRange, ScheduleHistory
from event_trigger.triggers.zone_updates.store import adopt_recorded_rules

log = structlog.get_logger()

BATCH = 1000
ONE_BY_ONE = 250
LARGEST_BATCH = 64 * 1024 * 1024  # bytes of payloads, as they are stored
LONGEST_DECIDING = 0.25  # seconds: a cron that missed much takes a millisecond or two


class BatchRequest(NamedTuple):
    """To fire a batch of what is due in a shard: what is late, or what is on time."""

    shard: int
    late: bool
    after: DuePosition = FIRST


PassOn = Callable[[BatchRequest], None]
Lines = list[Callable[[], None]]  # of the log, to be written when the transaction has committed


async def fire_next_batch(sessions: Sessions, turn: BatchRequest, pass_on: PassOn) -> int:
    """Fires one batch; when it fails for a reason of its own, one by one, to find the culprit.

    If there may be more, it passes the next turn on before it fires. What the claims pass over, or
    what is left of a batch that is too large, has its turn when it is looked for again.
    """
    try:
        fired = await _fire_batch(sessions, turn, pass_on, limit=BATCH)
        if fired or not turn.late or turn.after != FIRST:
            return fired
        return await _fire_waited_for(sessions, turn, pass_on)
    except Exception as error:
        if is_outage(error) and sqlstate(error) != QUERY_CANCELED:
            raise
        log.exception("batch_failed", shard=turn.shard)
    return await _fire_one_by_one(sessions, turn.shard)


async def _fire_batch(
    sessions: Sessions, turn: BatchRequest, pass_on: PassOn, *, limit: int, wait: bool = False
) -> int:
    lines: Lines = []
    async with sessions.begin() as session:
        firings = DueTriggers(session)
        claimed = await firings.claim_due(
            turn.shard, limit, after=turn.after, late=turn.late, wait=wait
        )
        if len(claimed) == BATCH:
            last = claimed[-1]
            pass_on(turn._replace(after=DuePosition(last.next_fire_at, last.id)))
        if claimed:
            most = max(1, BATCH // len(claimed))
            await _record(firings, turn.shard, claimed, lines, most=most)
    _write(lines)
    return len(claimed)


async def _fire_waited_for(sessions: Sessions, turn: BatchRequest, pass_on: PassOn) -> int:
    """Queues for a late row: calls that hand its lock to each other never leave it free."""
    try:
        return await _fire_batch(sessions, turn, pass_on, limit=1, wait=True)
    except DBAPIError as error:
        if sqlstate(error) != LOCK_NOT_AVAILABLE:
            raise
        return 0


async def _fire_one_by_one(sessions: Sessions, shard: int) -> int:
    for count in range(ONE_BY_ONE):
        lines: Lines = []
        async with sessions.begin() as session:
            firings = DueTriggers(session)
            claimed = await firings.claim_due(shard, 1)
            if not claimed:
                return count
            try:
                async with session.begin_nested():
                    await _record(firings, shard, claimed, lines, most=1)
            except Exception as error:
                if is_outage(error):
                    raise
                lines.clear()  # what they tell of was rolled back
                await _set_aside(firings, claimed[0], error, lines)
        _write(lines)
    return ONE_BY_ONE


async def _record(
    firings: DueTriggers, shard: int, claimed: Sequence[Claimed], lines: Lines, *, most: int
) -> None:
    """Fires as many as are decided in time and not too large together; the others are still due.

    A trigger whose schedule cannot be read is set aside, and holds up nobody.
    """
    if any(map(_is_off_plan, claimed)):
        await adopt_recorded_rules(
            firings.session
        )  # perhaps another replica has planned by newer rules
    clock = asyncio.get_running_loop().time
    fired: list[DecidedTrigger] = []
    until, size = clock() + LONGEST_DECIDING, 0
    for row in claimed:
        few = max(1, min(most, LARGEST_BATCH // max(1, row.payload_size)))
        try:
            decision = _decide(row, few)
        except Exception as error:
            await _set_aside(firings, row, error, lines)
            continue
        lines.extend(partial(_log_unfired, row, unfired) for unfired in decision.unfired)
        fired.append(DecidedTrigger(row, decision))
        size += row.payload_size * len(decision.fires)
        if size > LARGEST_BATCH or clock() > until:
            break
    if fired:
        await firings.record_fired(shard, fired)


def _decide(row: Claimed, most: int) -> Decision:
    plan, planned = _plan_of(row), row.next_fire_at
    fired = 0 if plan.max_fires is None else row.scheduled_count
    if _is_off_plan(row):
        following = plan.next_at_or_after(just_after(row.settled_until), fired=fired)
        log.warning("planned_again_when_due", trigger_id=row.id, was=planned.isoformat())
        if following is None or following > row.now:
            return Decision((), (), row.settled_until, following)
        planned = following
    return decide(plan, planned=planned, now=row.now, fired=fired, most=most)


async def _set_aside(firings: DueTriggers, row: Claimed, error: Exception, lines: Lines) -> None:
    lines.append(partial(log.error, "trigger_set_aside", trigger_id=row.id, exc_info=error))
    reason = f"This trigger could not fire ({type(error).__name__}) and was set aside."
    key, settled_until = OwnedId(row.owner_id, row.id), row.settled_until
    if (unfired := _failed(row)) is not None:
        settled_until = unfired.instants.last
        new = NewUnfiredRange(row.owner_id, row.id, row.version, unfired)
        await ScheduleHistory(firings.session).record_unfired(key.shard, [new])
    await firings.set_aside(key, reason, settled_until=settled_until)


def _failed(row: Claimed) -> UnfiredInstants | None:
    """What was due and will not fire, if the schedule can be read at all."""
    try:
        schedule = _plan_of(row).schedule
        due = range_in(schedule, since=just_after(row.settled_until), until=just_after(row.now))
    except Exception:
        log.warning("schedule_unreadable", trigger_id=row.id)
        return None
    return None if due is None else UnfiredInstants(due, UnfiredReason.FAILED)


def _is_off_plan(row: Claimed) -> bool:
    """Whether the instant was planned by other rules of the zone than those in force.

    A replica of before may have done so, or one that had not heard of newer rules yet.
    """
    if "timezone" not in row.details:
        return False  # most are not read at all
    try:
        schedule = _plan_of(row).schedule
        if not isinstance(schedule, Cron):
            return False
        crontab = parse_cron(schedule.expression, schedule.timezone)
        return not crontab.plans(row.next_fire_at)
    except Exception:  # it is set aside when it is decided on
        return False


def _plan_of(row: Claimed) -> Plan:
    return plan_of_stored(row.details, anchor=row.anchor_at)


def _write(lines: Lines) -> None:
    for line in lines:
        line()


def _log_unfired(row: Claimed, unfired: UnfiredInstants) -> None:
    log.warning(
        "instants_unfired",
        trigger_id=row.id,
        reason=unfired.reason,
        first=unfired.instants.first.isoformat(),
        last=unfired.instants.last.isoformat(),
        count=unfired.instants.count,
    )
