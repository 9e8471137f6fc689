"""Response models of `GET /stats`."""

from pydantic import Field

from event_trigger.overview.stats.steps import StatsStep
from event_trigger.web.schemas import Instant, ResponseModel


class SeriesRead(ResponseModel):
    key: str = Field(
        description="A value of `by`: a type, a reason, a status, an outcome, or the id of a"
        " trigger or a destination; `other` for all but the largest 20, and `all` without `by`. Of"
        " `lag_ms` and `duration_ms`: `p50`, `p95` and `max`.",
        examples=["scheduled"],
    )
    values: list[float | int | None] = Field(
        description="A value for each step. A count is 0 where nothing was counted; a duration is"
        " null there.",
        examples=[[12, 0, 7]],
    )


class StatsRead(ResponseModel):
    start: Instant = Field(description="The start of the first step.")
    step: StatsStep
    series: list[SeriesRead] = Field(description="The largest first; without counts, none.")
