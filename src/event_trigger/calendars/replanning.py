"""Plans the triggers that name a calendar by its other dates, in the transaction of the change.

PostgreSQL ends a session that is idle for 5 s within a transaction, and an instant that is locked
for longer counts as missed. So plans are computed in short steps, in a thread of their own, with a
statement after each step, and all steps of a change are few.
"""

import asyncio
import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Self, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.calendars.repository import (
    Calendars,
    CalendarUsers,
    NamingTrigger,
    NewPlan,
    days_in,
)
from event_trigger.db.shards import OwnedId
from event_trigger.errors import Invalid
from event_trigger.instants import just_after
from event_trigger.models import Calendar, Trigger, TriggerStatus, shard_of
from event_trigger.triggers.references import MOST_EXCLUDED_DAYS
from event_trigger.triggers.repository import announce
from event_trigger.triggers.schedule.details import Resolved, calendars_of
from event_trigger.triggers.schedule.plan import readable_stored, schedule_part
from event_trigger.triggers.schedule_changes import (
    EndedSchedule,
    record_ended,
    renew_schedule,
    rules_of,
    schedule_before,
)
from event_trigger.web.cpu_bound import yield_often

log = structlog.get_logger()

STEP_SECONDS = 0.1  # the changes of all connections together wait for less than the 5 s
MOST_SECONDS = 2.0  # of processor time
MOST_TRIGGERS = 2000  # of a calendar: writing them takes longer than planning them
_THREAD = ThreadPoolExecutor(1, thread_name_prefix="calendar-plans", initializer=yield_often)
T = TypeVar("T")
R = TypeVar("R")

TRIGGERS_A_STATEMENT = 500
RENEWED_A_STATEMENT = 50
Keys = frozenset[str]  # of the calendars that a trigger names
Days = tuple[int, ...]


class TooMuchToPlan(Invalid):
    def __init__(self) -> None:
        super().__init__(
            "The triggers that name the calendars take too long to plan by these dates, so nothing"
            " was changed. Let some of them name another calendar of the same dates, and change one"
            " calendar after the other."
        )

    @classmethod
    def example(cls) -> Self:
        return cls()


@dataclass(slots=True)
class PlanningSteps:
    """The steps of one transaction, and the processor time that they have taken."""

    spent: float = 0.0

    async def take(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Computes `work` of as many of the first items as a step has time for, at least of one.

        Raises TooMuchToPlan if all steps have taken more than MOST_SECONDS.
        """
        step = partial(_some, work, items)
        done, seconds = await asyncio.get_running_loop().run_in_executor(_THREAD, step)
        self.spent += seconds
        if self.spent > MOST_SECONDS:
            raise TooMuchToPlan
        return done


def _some(work: Callable[[T], R], items: Sequence[T]) -> tuple[list[R], float]:
    begun, end, done = time.thread_time(), time.monotonic() + STEP_SECONDS, list[R]()
    for one in items:
        done.append(work(one))
        if time.monotonic() > end:
            break
    return done, time.thread_time() - begun


class TooManyDays(Invalid):
    def __init__(self, trigger_id: int) -> None:
        super().__init__(
            f"With these dates, the calendars of triggers such as the one with the id {trigger_id}"
            f" have more than {MOST_EXCLUDED_DAYS} dates together. Take one of them from it first."
        )

    @classmethod
    def example(cls) -> Self:
        return cls(7)


async def plan_users(
    session: AsyncSession, calendar: Calendar, *, now: datetime, steps: PlanningSteps
) -> int:
    """Plans the triggers that name a locked calendar, whose other dates are written already.

    1. Locks some of them, in the order of ids, and reads the dates of all calendars that they name.
       Another change of one of these waits for the locks, and then does the same.
    2. Begins a new version of each schedule that the dates change, in steps off the event loop.
       Those that are not due are written by two statements a step.
    3. Announces the triggers.

    Returns the number of changed schedules. Raises TooManyDays and TooMuchToPlan.
    """
    owner_id, users = calendar.owner_id, CalendarUsers(session, calendar.owner_id)
    ids, changed = await users.list_ids(calendar.key, limit=MOST_TRIGGERS + 1), list[int]()
    if len(ids) > MOST_TRIGGERS:
        raise TooMuchToPlan
    for start in range(0, len(ids), TRIGGERS_A_STATEMENT):
        locked = await users.lock(ids[start : start + TRIGGERS_A_STATEMENT])
        groups, dates = await _by_keys(session, calendar, locked)
        for keys, triggers in groups.items():
            [days] = await steps.take(partial(_merged, dates=dates), [keys])
            if len(days) > MOST_EXCLUDED_DAYS:
                raise TooManyDays(triggers[0].id)
            changed += await _plan_group(users, triggers, days, now=now, steps=steps)
    if changed:
        await announce(session, *(OwnedId(owner_id, one) for one in changed))
    return len(changed)


async def _by_keys(
    session: AsyncSession, calendar: Calendar, triggers: Iterable[NamingTrigger]
) -> tuple[dict[Keys, list[NamingTrigger]], Mapping[str, Sequence[int]]]:
    """Groups triggers by the calendars that they name, and reads the days of these.

    Leaves out triggers that do not name this one any more.
    """
    groups: dict[Keys, list[NamingTrigger]] = {}
    for one in triggers:
        keys = frozenset(calendars_of(json.loads(one.details)))
        if calendar.key in keys:
            groups.setdefault(keys, []).append(one)
    named = {key for keys in groups for key in keys}
    found = await Calendars(session).list_dates(calendar.owner_id, named, lock=False)
    return groups, {key: days_in(dates) for key, dates in found}


def _merged(keys: Collection[str], *, dates: Mapping[str, Sequence[int]]) -> Days:
    return tuple(sorted({day for key in keys for day in dates.get(key, ())}))


async def _plan_group(
    users: CalendarUsers,
    triggers: Sequence[NamingTrigger],
    days: Days,
    *,
    now: datetime,
    steps: PlanningSteps,
) -> list[int]:
    """Plans triggers that name the same calendars; returns the changed ones."""
    changed, planning = list[int](), partial(_plan_of, days=days, now=now)
    while triggers:
        found = await steps.take(planning, triggers)
        plans = [one for one in found if one is not None]
        if plans:
            changed += await users.rewrite(days, plans)
        others = [one.id for one, plan in zip(triggers, found, strict=False) if plan is None]
        changed += await _renew(users, others, days, now=now, steps=steps)
        triggers = triggers[len(found) :]
    return changed


def _plan_of(trigger: NamingTrigger, *, days: Days, now: datetime) -> NewPlan | None:
    """Plans an active trigger that is not due: each instant up to now is settled already."""
    is_active = trigger.status == TriggerStatus.ACTIVE
    if not is_active or trigger.next_fire_at is None or trigger.next_fire_at <= now:
        return None
    resolved = Resolved(days, trigger.shift_seconds or 0)
    plan = readable_stored(trigger.details, anchor=trigger.anchor_at, resolved=resolved)
    if plan is None:
        return None
    after = max(now, trigger.settled_until)
    return NewPlan(
        trigger.id,
        json.dumps(schedule_part(json.loads(trigger.details))),
        after,
        plan.next_at_or_after(just_after(after), fired=trigger.scheduled_count),
        rules_of(plan),
    )


async def _renew(
    users: CalendarUsers, ids: Sequence[int], days: Days, *, now: datetime, steps: PlanningSteps
) -> list[int]:
    """Plans triggers that are due, paused or completed, whose past has to be settled."""
    changed = list[int]()
    while ids:
        triggers = await users.read(ids[:RENEWED_A_STATEMENT])
        found = await steps.take(partial(_renewed, days=days, now=now), triggers)
        ended = [one for one in found if one is not None]
        await users.session.flush()
        await record_ended(users.session, shard_of(users.owner_id), ended)
        changed += [one.version.trigger_id for one in ended]
        ids = ids[len(found) :]
    return changed


def _renewed(trigger: Trigger, *, days: Days, now: datetime) -> EndedSchedule | None:
    """Leaves a plan alone that this version cannot read: when due, it is set aside."""
    old = schedule_before(trigger)
    if trigger.excluded_days != [*days]:
        trigger.excluded_days = [*days]
    try:
        return renew_schedule(trigger, old, now=now)
    except Invalid:
        log.warning("plan_not_readable", trigger_id=trigger.id)
        return None
