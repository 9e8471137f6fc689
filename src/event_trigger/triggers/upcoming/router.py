"""The HTTP operation that forecasts the firings of all triggers of a project."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from time import monotonic
from typing import Annotated

from fastapi import Query
from pydantic import ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.dependencies import EXPENSIVE, PrincipalDep, needs
from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import Scope
from event_trigger.db.clock import database_now
from event_trigger.errors import FieldError, Forbidden, Invalid, NotFound, Unauthorized
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schedule.bases import FIRST_INSTANT
from event_trigger.triggers.schedule.forecast import (
    MOST_INSTANTS,
    PlannedFiring,
    PlannedTrigger,
    counts_by_step,
    forecast,
)
from event_trigger.web.cpu_bound import CpuBoundDep, TooManyExpensiveCalls
from event_trigger.web.dependencies import SessionsDep
from event_trigger.web.problems import problems
from event_trigger.web.schemas import Instant, QueryModel, ResponseModel
from event_trigger.web.strict_json import strict_router

MOST_LISTED = 1000
DEFAULT_SPAN, LONGEST_SPAN = timedelta(days=1), timedelta(days=366)
FARTHEST = timedelta(days=366)
COMPUTING_SECONDS = 2.0
MOST_STEPS = 10_000
TRIGGERS_PER_READ = 1_000

router = strict_router(
    tags=["triggers"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid, TooManyExpensiveCalls),
    dependencies=[needs(Scope.TRIGGERS_READ), EXPENSIVE],
)


class UpcomingStep(StrEnum):
    MINUTE = "PT1M"
    FIVE_MINUTES = "PT5M"
    HOUR = "PT1H"
    DAY = "P1D"

    @property
    def length(self) -> timedelta:
        return _LENGTHS[self]


_LENGTHS = {
    UpcomingStep.MINUTE: timedelta(minutes=1),
    UpcomingStep.FIVE_MINUTES: timedelta(minutes=5),
    UpcomingStep.HOUR: timedelta(hours=1),
    UpcomingStep.DAY: timedelta(days=1),
}


class UpcomingQuery(QueryModel):
    """Selects the window to look into, and whether to list its firings or to count them."""

    from_: Instant | None = Field(None, alias="from", description="Inclusive; now by default.")
    until: Instant | None = Field(
        None, description="Exclusive; a day after `from` by default, at most a year after it."
    )
    step: Annotated[
        UpcomingStep | None,
        Field(description="Counts the firings by steps of this length, and lists none."),
    ] = None
    limit: Annotated[
        int, Field(ge=1, le=MOST_LISTED, description="The largest number of firings to list.")
    ] = 100


class UpcomingFiring(ResponseModel):
    at: Instant
    trigger_id: int
    trigger_key: str | None
    trigger_name: str | None


class UpcomingRead(ResponseModel):
    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    from_: Instant = Field(alias="from")
    until: Instant
    firings: list[UpcomingFiring] = Field(description="In their order; none with `step`.")
    step: UpcomingStep | None
    counts: list[int] = Field(
        description="The numbers of firings in each step from `from` on; none without `step`."
    )
    truncated: bool = Field(
        description="There are more firings: beyond `limit`, or beyond the 10,000 that are counted."
    )
    complete_until: Instant = Field(
        description="All firings before this instant are listed or counted; `until` if all are."
    )


def read_firing(planned: PlannedFiring) -> UpcomingFiring:
    trigger = planned.trigger
    return UpcomingFiring(
        at=planned.at,
        trigger_id=trigger.id,
        trigger_key=trigger.key,
        trigger_name=trigger.name,
    )


@router.get("/upcoming", summary="List upcoming firings", operation_id="list_upcoming")
async def list_upcoming(
    principal: PrincipalDep,
    sessions: SessionsDep,
    cpu_bound: CpuBoundDep,
    query: Annotated[UpcomingQuery, Query()],
) -> UpcomingRead:
    """Lists the next planned firings of all active triggers of the project, in their order.

    Deadlines of heartbeats are not among them: those fire only if something goes wrong.

    With `step`, it counts them instead, to show when many meet. It looks at the 10,000 triggers
    that fire first, at 10,000 firings, and for two seconds; `complete_until` says how far that
    reaches.
    """
    async with sessions() as session:
        now = await database_now(session)
        since, until = _window(query, now=now)
        triggers = await _read_planned(session, principal, until=until)
    is_partial = len(triggers) > MOST_INSTANTS
    known_until = triggers[-1].next_fire_at if is_partial else until
    return await cpu_bound.compute(
        partial(_forecast, triggers, query, since=since, until=until, known_until=known_until)
    )


async def _read_planned(
    session: AsyncSession, principal: Principal, *, until: datetime
) -> list[PlannedTrigger]:
    """Reads the triggers that fire first, and one more, in pages: firing goes on in between.

    They are those that the caller may see, so that no other one says how far the forecast reaches.
    """
    found: list[PlannedTrigger] = []
    place, page = (FIRST_INSTANT, 0), True
    while page and len(found) <= MOST_INSTANTS:
        read = await Triggers(session).list_planned(
            principal.one_project_id,
            principal.trigger_ids,
            after=place,
            until=until,
            limit=TRIGGERS_PER_READ,
        )
        found += read
        page = len(read) == TRIGGERS_PER_READ
        if read:
            place = read[-1].next_fire_at, read[-1].id
    return found[: MOST_INSTANTS + 1]


def _window(query: UpcomingQuery, *, now: datetime) -> tuple[datetime, datetime]:
    since = now if query.from_ is None else query.from_
    until = since + DEFAULT_SPAN if query.until is None else query.until
    if abs(since - now) > FARTHEST:
        raise _refused("from", "'from' must lie within a year of now.")
    if not since < until <= since + LONGEST_SPAN:
        raise _refused("until", "'until' must be after 'from', by a year at most.")
    if query.step is not None and (until - since) / query.step.length > MOST_STEPS:
        raise _refused("step", f"A forecast has at most {MOST_STEPS} steps: take longer ones.")
    return since, until


def _forecast(
    triggers: Sequence[PlannedTrigger],
    query: UpcomingQuery,
    *,
    since: datetime,
    until: datetime,
    known_until: datetime,
) -> UpcomingRead:
    """Computes for up to two seconds, so it must run off the event loop."""
    stop_at = monotonic() + COMPUTING_SECONDS
    most = query.limit if query.step is None else MOST_INSTANTS
    end = max(since, min(until, known_until))
    found = forecast(
        triggers, since=since, until=end, most=most, is_over=lambda: monotonic() > stop_at
    )
    complete_until = found.complete_until or end
    step = query.step
    counts = (
        []
        if step is None
        else counts_by_step(found.firings, since=since, until=until, step=step.length)
    )
    return UpcomingRead(
        from_=since,
        until=until,
        firings=[] if step is not None else [read_firing(one) for one in found.firings],
        step=step,
        counts=counts,
        truncated=complete_until < until,
        complete_until=complete_until,
    )


def _refused(name: str, detail: str) -> Invalid:
    return Invalid(detail, errors=[FieldError("parameter", name, detail)])
