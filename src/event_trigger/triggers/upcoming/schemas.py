"""Query and response models of upcoming firings."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from event_trigger.triggers.schedule.forecast import PlannedFiring
from event_trigger.web.schemas import Instant, QueryModel, ResponseModel

MOST_LISTED = 1000


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
