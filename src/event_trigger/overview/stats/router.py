"""The HTTP operation that counts by time step."""

from typing import Annotated

from fastapi import Query
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.dependencies import EXPENSIVE, UNLIMITED, PrincipalDep, needs
from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import Scope
from event_trigger.db.clock import database_now
from event_trigger.db.engine import QUERY_CANCELED, sqlstate
from event_trigger.errors import FieldError, Forbidden, Invalid, NotFound, Unauthorized
from event_trigger.events.dependencies import RetentionDep
from event_trigger.events.window import Retention, oldest_kept
from event_trigger.overview.stats.repository import (
    ALLOWED_BY,
    MEASURES_OF,
    MOST_EVENTS_READ,
    MOST_SECONDS,
    About,
    By,
    Durations,
    Measure,
    Stats,
    Subject,
)
from event_trigger.overview.stats.schemas import SeriesRead, StatsRead
from event_trigger.overview.stats.steps import MOST_STEPS, SparseCounts, StatsStep, Steps, cut
from event_trigger.web.cpu_bound import TooManyExpensiveCalls
from event_trigger.web.dependencies import ReadsDep
from event_trigger.web.problems import problems
from event_trigger.web.schemas import Instant, RowId, check_span
from event_trigger.web.strict_json import strict_router

router = strict_router(
    tags=["overview"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid, TooManyExpensiveCalls),
    dependencies=[needs(Scope.TRIGGERS_READ, Scope.EVENTS_READ), UNLIMITED, EXPENSIVE],
)


@router.get("/stats", summary="Count by time step", operation_id="get_stats")
async def get_stats(
    principal: PrincipalDep,
    reads: ReadsDep,
    retention: RetentionDep,
    measure: Annotated[
        Measure,
        Query(
            description="`events`: by the time they fired. `unfired`: instants that were recorded"
            " as not fired, by the time of the record. `deliveries`: that were delivered or"
            " exhausted. `attempts`: requests to destinations. `lag_ms`: from the planned instant"
            " to the event. `duration_ms`: of attempts."
        ),
    ],
    step: Annotated[
        StatsStep, Query(description="Steps are multiples of it, in UTC.")
    ] = StatsStep.HOUR,
    since: Annotated[
        Instant | None,
        Query(description="Inclusive; the step that it is in counts whole. Default: 24 steps ago."),
    ] = None,
    until: Annotated[
        Instant | None,
        Query(description="Exclusive; the step that it cuts counts whole. Default: now."),
    ] = None,
    by: Annotated[
        By | None,
        Query(
            description="A series for each. `events`: `type` or `trigger`. `unfired`: `reason`."
            " `deliveries`: `status` or `destination`. `attempts`: `outcome` or `destination`."
        ),
    ] = None,
    trigger_id: Annotated[
        RowId | None, Query(description="Of one trigger: `events` or `lag_ms`.")
    ] = None,
    destination_id: Annotated[
        RowId | None,
        Query(description="To one destination: `deliveries`, `attempts` or `duration_ms`."),
    ] = None,
) -> StatsRead:
    """Returns a value for each step: counts, or percentiles in milliseconds.

    It covers the time that is kept (`keep_for` of `GET /info`), in at most 1,500 steps. Events are
    some seconds behind (`at` of `GET /overview`); those of one trigger and all else are exact.
    `p50` and `p95` are within 9 %. `by=trigger` reads each event, so it is limited to 500,000 of
    them.
    """
    _check_by(measure, by)
    about = _about(
        principal, measure, by, {Subject.TRIGGER: trigger_id, Subject.DESTINATION: destination_id}
    )

    async def read(session: AsyncSession) -> tuple[Steps, list[SeriesRead]]:
        steps = await _steps(session, retention, step, since=since, until=until)
        stats = Stats(session, principal.project_id)
        if about is not None:
            return steps, await _series_about(stats, about, measure, by, steps)
        if measure in {Measure.LAG, Measure.DURATION}:
            return steps, _percentiles(steps, await stats.durations(measure, steps))
        if by is By.TRIGGER and await stats.count_events(steps) > MOST_EVENTS_READ:
            raise _refused(
                "since",
                f"There are more than {MOST_EVENTS_READ} events in this span. Narrow it by since"
                " and until, or leave out by=trigger.",
            )
        return steps, _counts(steps, await stats.count(measure, by, steps))

    try:
        steps, series = await reads.run(read)
    except DBAPIError as error:
        if sqlstate(error) != QUERY_CANCELED:
            raise
        raise _refused(
            "since",
            f"Counting this takes more than {MOST_SECONDS} seconds. Narrow the span by since and"
            " until.",
        ) from None
    return StatsRead(start=steps.start, step=step, series=series)


def _check_by(measure: Measure, by: By | None) -> None:
    allowed = ALLOWED_BY[measure]
    if by is not None and by not in allowed:
        instead = f"Write {' or '.join(allowed)}, or leave it out." if allowed else "Leave it out."
        raise _refused("by", f"{measure} cannot be split by {by}. {instead}")


def _about(
    principal: Principal, measure: Measure, by: By | None, named: dict[Subject, int | None]
) -> About | None:
    """Reads which one trigger or destination is asked for, if any; raises Invalid."""
    given = [(subject, row_id) for subject, row_id in named.items() if row_id is not None]
    if not given:
        return None
    if len(given) > 1:
        raise _refused(Subject.DESTINATION, "Write trigger_id or destination_id, and not both.")
    [(subject, row_id)] = given
    measures = MEASURES_OF[subject]
    if measure not in measures:
        raise _refused("measure", f"With {subject}, write {' or '.join(measures)}.")
    if by in {By.TRIGGER, By.DESTINATION}:
        raise _refused("by", f"With {subject} there is one {by}: leave this out.")
    return About(subject, principal.one_project_id, row_id)


async def _series_about(
    stats: Stats, about: About, measure: Measure, by: By | None, steps: Steps
) -> list[SeriesRead]:
    if measure in {Measure.LAG, Measure.DURATION}:
        return _percentiles(steps, await stats.durations_about(about, steps))
    return _counts(steps, await stats.count_about(about, measure, by, steps))


async def _steps(
    session: AsyncSession, retention: Retention, step: StatsStep, **bounds: Instant | None
) -> Steps:
    now = await database_now(session)
    check_span(bounds["since"], bounds["until"])
    oldest = oldest_kept(retention, now=now)
    steps = cut(step, since=bounds["since"], until=bounds["until"], oldest=oldest, now=now)
    if steps.number > MOST_STEPS:
        raise _refused(
            "step",
            f"These are {steps.number} steps, and {MOST_STEPS} are the most. Write a larger step,"
            " or a later since.",
        )
    return steps


def _refused(parameter: str, detail: str) -> Invalid:
    return Invalid(detail, errors=[FieldError("parameter", parameter, detail)])


def _counts(steps: Steps, found: list[SparseCounts]) -> list[SeriesRead]:
    return [
        SeriesRead(key="other" if one.key is None else one.key, values=steps.filled(one))
        for one in found
    ]


def _percentiles(steps: Steps, found: list[Durations]) -> list[SeriesRead]:
    series: dict[str, list[float | int | None]] = {
        key: [None] * steps.number for key in ("p50", "p95", "max")
    }
    for one in found:
        for key, value in (("p50", one.p50), ("p95", one.p95), ("max", one.longest)):
            series[key][one.place] = round(value, 3)
    return [SeriesRead(key=key, values=values) for key, values in series.items() if found]
