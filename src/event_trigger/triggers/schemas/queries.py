"""Query parameters that select and sort triggers."""

from typing import Annotated

from pydantic import Field

from event_trigger.models import TriggerStatus, TriggerType
from event_trigger.triggers.schedule.heartbeat import HeartbeatStatus
from event_trigger.triggers.schemas.fields import MOST_TAGS, Tag
from event_trigger.triggers.sorting import TriggerSort
from event_trigger.web.schemas import QueryModel, RowId, RowIds, Text, View


class TriggerQuery(QueryModel):
    """Selects triggers."""

    type: TriggerType | None = None
    status: TriggerStatus | None = None
    tag: Annotated[
        list[Tag] | None,
        Field(
            max_length=MOST_TAGS, description="Repeat it to ask for triggers that have all of them."
        ),
    ] = None
    q: Annotated[
        Text | None, Field(max_length=200, description="Part of the name; case is ignored.")
    ] = None
    key: Annotated[Text | None, Field(max_length=200)] = None
    id: Annotated[RowIds | None, Field(description="Repeat it for up to 100 triggers.")] = None
    destination_id: Annotated[
        RowId | None, Field(description="Triggers whose events go to this destination.")
    ] = None
    failing: Annotated[
        bool | None,
        Field(
            description="`true`: triggers that were set aside, because they could not fire: `error`"
            " says why. `false`: all others."
        ),
    ] = None
    heartbeat_status: Annotated[
        HeartbeatStatus | None,
        Field(description="Heartbeats whose `heartbeat.status` is this one now."),
    ] = None


class TriggerListQuery(TriggerQuery):
    """Selects triggers for a list, its order, and the fields of its rows."""

    sort: Annotated[
        TriggerSort,
        Field(
            description="The order; `-` is descending. Names are compared in lower case. Triggers"
            " without a value come last, and equal ones follow their ids. In projects with over"
            " 2,000 triggers, a firing moves a trigger in the order of `last_fired_at` a minute"
            " later."
        ),
    ] = TriggerSort.NEWEST
    view: Annotated[
        View,
        Field(description="`summary` leaves out `payload` and `details.schema`."),
    ] = View.FULL
