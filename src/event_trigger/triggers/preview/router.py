"""HTTP operations that preview the schedule of a trigger, or one that is not stored."""

from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import Body, Query
from fastapi.openapi.models import Example
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.dependencies import EXPENSIVE, PrincipalDep, needs
from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import Scope
from event_trigger.db.clock import database_now
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized, UnsupportedMediaType
from event_trigger.instants import just_after
from event_trigger.models import TriggerStatus, TriggerType
from event_trigger.triggers.dependencies import CalendarsDep, TriggerKeyDep
from event_trigger.triggers.preview.schemas import (
    NO_INSTANT,
    NOT_SHIFTED,
    PreviewQuery,
    PreviewRead,
    PreviewRequest,
    read_preview,
)
from event_trigger.triggers.preview.upcoming import PreviewWindow, upcoming, window_of
from event_trigger.triggers.references import CalendarDays, Calendars, excluded_days
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schedule.describe import WHEN_CALLED
from event_trigger.triggers.schedule.details import calendars_of
from event_trigger.triggers.schedule.plan import Plan
from event_trigger.triggers.schedule_changes import check_schedule
from event_trigger.triggers.schemas.reading import heartbeat_words
from event_trigger.triggers.stored_plans import ResolvedColumns, plan_of_trigger, plan_or_refuse
from event_trigger.web.cpu_bound import CpuBoundDep, TooManyExpensiveCalls
from event_trigger.web.dependencies import SessionsDep
from event_trigger.web.problems import problems
from event_trigger.web.schemas import JsonObject
from event_trigger.web.strict_json import strict_router

router = strict_router(
    tags=["triggers"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid, TooManyExpensiveCalls),
    dependencies=[needs(Scope.TRIGGERS_READ), EXPENSIVE],
)

_NO_SCHEDULE = PreviewRead(
    words=WHEN_CALLED, timezone="UTC", zone_rules=None, instants=[], total=None, warnings=[]
)
PREVIEW_EXAMPLES: dict[str, Example] = {
    "when the clocks go forward": {
        "value": {
            "details": {"cron": "30 2 * * *", "timezone": "Europe/Berlin"},
            "from": "2027-03-27T00:00:00Z",
            "count": 3,
        }
    },
    "the last Friday of each month, but not on New Year's Eve": {
        "value": {
            "details": {
                "rrule": "FREQ=MONTHLY;BYDAY=-1FR",
                "time": "2027-01-01T09:00:00",
                "timezone": "Europe/Berlin",
                "except": ["2027-12-31"],
            }
        }
    },
    "how often in a year": {
        "value": {
            "details": {"cron": "0 9 * * mon-fri"},
            "from": "2027-01-01T00:00:00Z",
            "until": "2027-12-31T23:59:59Z",
        }
    },
}


@router.get(
    "/triggers/{trigger_id:id}/schedule",
    summary="Show a trigger's next instants",
    operation_id="preview_trigger",
    responses=problems(NotFound),
)
async def preview_trigger(
    key: TriggerKeyDep,
    sessions: SessionsDep,
    cpu_bound: CpuBoundDep,
    query: Annotated[PreviewQuery, Query()],
) -> PreviewRead:
    """Lists the next instants of the trigger's schedule, in UTC and in local time.

    A completed trigger has no instants left, and a heartbeat has none: its deadline, `next_fire_at`
    of the trigger, fires only if no ping comes. A paused one shows the instants at which it would
    fire if it were resumed now. Nothing is shown that would not fire, such as past instants.
    """
    async with sessions() as session:
        trigger, now = await Triggers(session).get(key), await database_now(session)
    if trigger is None:
        raise NotFound
    if trigger.type == TriggerType.HEARTBEAT:
        return _NO_SCHEDULE.model_copy(update={"words": heartbeat_words(trigger.details)})
    if trigger.type == TriggerType.API:
        return _NO_SCHEDULE
    plan = plan_of_trigger(trigger)
    window = window_of(
        now=now, after=query.after, from_=query.from_, until=query.until, source="parameter"
    ).cut_at(just_after(max(now, trigger.settled_until)))
    left = None if plan.max_fires is None else plan.max_fires - trigger.scheduled_count
    if trigger.status == TriggerStatus.COMPLETED:
        left = 0
    return await cpu_bound.compute(
        partial(_preview, plan, trigger.details, window, count=query.count, now=now, left=left)
    )


@router.post(
    "/schedules/preview",
    summary="Try a schedule",
    operation_id="preview_schedule",
    responses=problems(UnsupportedMediaType),
)
async def preview_schedule(
    body: Annotated[PreviewRequest, Body(openapi_examples=PREVIEW_EXAMPLES)],
    principal: PrincipalDep,
    sessions: SessionsDep,
    calendars: CalendarsDep,
    cpu_bound: CpuBoundDep,
) -> PreviewRead:
    """Shows when a trigger with these `details` would fire if it were created now.

    With `spread`, each trigger is later by a constant of its own, which is not known yet: the
    instants are without it, and `warnings` says so.
    """
    details = body.details.as_stored()
    async with sessions() as session:
        now = await database_now(session)
        named = await _days_of(session, calendars, principal, details)
    check_schedule(details, anchor=now)
    days = ResolvedColumns(excluded_days(details, named))
    plan = plan_or_refuse(details, anchor=now, resolved=days.resolved)
    begin = plan.settled_at(now)
    window = window_of(
        now=begin, after=body.after, from_=body.from_, until=body.until, source="pointer"
    ).cut_at(just_after(begin))
    found = await cpu_bound.compute(
        partial(_preview, plan, details, window, count=body.count, now=now, left=plan.max_fires)
    )
    if body.details.spread is not None:
        found.warnings.append(NOT_SHIFTED)
    if not found.instants and body.after is body.from_ is body.until is None:
        found.warnings.append(NO_INSTANT)
    return found


async def _days_of(
    session: AsyncSession, calendars: Calendars, principal: Principal, details: JsonObject
) -> CalendarDays:
    keys = calendars_of(details)
    if not keys:
        return {}
    return await calendars.days_of(session, principal.one_project_id, keys, lock=False)


def _preview(
    plan: Plan,
    details: JsonObject,
    window: PreviewWindow,
    *,
    count: int,
    now: datetime,
    left: int | None,
) -> PreviewRead:
    """Computes for up to a second, so it must run off the event loop."""
    return read_preview(plan, upcoming(plan, window, count=count, now=now, left=left), details)
