"""HTTP operations that preview the schedule of a trigger, or one that is not stored."""

from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import Body, Query
from fastapi.openapi.models import Example

from event_trigger.auth.dependencies import EXPENSIVE, needs
from event_trigger.auth.scopes import Scope
from event_trigger.db.clock import database_now
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized, UnsupportedMediaType
from event_trigger.models import TriggerStatus, TriggerType
from event_trigger.triggers.dependencies import TriggerKeyDep
from event_trigger.triggers.preview.schemas import (
    PreviewQuery,
    PreviewRead,
    PreviewRequest,
    read_preview,
)
from event_trigger.triggers.preview.upcoming import PreviewWindow, upcoming, window_of
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schedule.describe import WHEN_CALLED
from event_trigger.triggers.schedule.plan import Plan
from event_trigger.triggers.schedule_changes import plan_or_refuse
from event_trigger.web.cpu_bound import CpuBoundDep, TooManyExpensiveCalls
from event_trigger.web.problems import problems
from event_trigger.web.session import SessionsDep
from event_trigger.web.strict_json import strict_router

router = strict_router(
    tags=["triggers"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid, TooManyExpensiveCalls),
    dependencies=[needs(Scope.TRIGGERS_READ), EXPENSIVE],
)

_NO_SCHEDULE = PreviewRead(
    words=WHEN_CALLED, timezone="UTC", zone_rules=None, instants=[], total=None
)
PREVIEW_EXAMPLES: dict[str, Example] = {
    "when the clocks go forward": {
        "value": {
            "details": {"cron": "30 2 * * *", "timezone": "Europe/Berlin"},
            "from": "2027-03-27T00:00:00Z",
            "count": 3,
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

    A completed trigger has no instants left. A paused one shows the instants at which it would
    fire if it were resumed now.
    """
    async with sessions() as session:
        trigger, now = await Triggers(session).get(key), await database_now(session)
    if trigger is None:
        raise NotFound
    if trigger.type != TriggerType.SCHEDULED:
        return _NO_SCHEDULE
    plan = plan_or_refuse(trigger.details, anchor=trigger.anchor_at)
    window = window_of(
        now=now, after=query.after, from_=query.from_, until=query.until, source="parameter"
    )
    left = None if plan.max_fires is None else plan.max_fires - trigger.scheduled_count
    if trigger.status == TriggerStatus.COMPLETED:
        left = 0
    return await cpu_bound.compute(
        partial(_preview, plan, window, count=query.count, now=now, left=left)
    )


@router.post(
    "/schedules/preview",
    summary="Try a schedule",
    operation_id="preview_schedule",
    responses=problems(UnsupportedMediaType),
)
async def preview_schedule(
    body: Annotated[PreviewRequest, Body(openapi_examples=PREVIEW_EXAMPLES)],
    sessions: SessionsDep,
    cpu_bound: CpuBoundDep,
) -> PreviewRead:
    """Shows when a trigger with these `details` would fire if it were created now."""
    async with sessions() as session:
        now = await database_now(session)
    plan = plan_or_refuse(body.details.as_stored(), anchor=now)
    window = window_of(
        now=now, after=body.after, from_=body.from_, until=body.until, source="pointer"
    )
    left = plan.max_fires
    return await cpu_bound.compute(
        partial(_preview, plan, window, count=body.count, now=now, left=left)
    )


def _preview(
    plan: Plan, window: PreviewWindow, *, count: int, now: datetime, left: int | None
) -> PreviewRead:
    """Computes for up to a second, so it must run off the event loop."""
    return read_preview(plan.schedule, upcoming(plan, window, count=count, now=now, left=left))
