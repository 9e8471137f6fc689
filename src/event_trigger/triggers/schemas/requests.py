"""Bodies that create, replace and change triggers, and queries that select and sort them."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)
from typing_extensions import TypeAliasType

from event_trigger.models import OnCompletion, TriggerStatus, TriggerType
from event_trigger.models.base import LARGEST_ID
from event_trigger.triggers.schedule.heartbeat import HeartbeatStatus
from event_trigger.triggers.schemas.details import ApiDetails, HeartbeatDetails, ScheduledDetails
from event_trigger.triggers.schemas.responses import HeartbeatTriggerWritten
from event_trigger.triggers.sorting import TriggerSort
from event_trigger.web.keys import KEY_PATTERN, LONGEST_KEY, Key, check_key
from event_trigger.web.schemas import (
    JsonObject,
    PatchModel,
    QueryModel,
    RequestModel,
    RowId,
    RowIds,
    Text,
    View,
)
from event_trigger.web.sent_back import SentBack

NEVER_COMPLETES = "It never completes: only triggers of the type scheduled do. Write keep."
MOST_TAGS = 20
MOST_DESTINATIONS = 50
T = TypeVar("T")


def _check_destination(value: object) -> int | str:
    if isinstance(value, str):
        return check_key(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_ID:
        raise ValueError("Write the id of a destination as a number, or its key as a text")
    return value


def _unique(values: list[T]) -> list[T]:
    return list(dict.fromkeys(values))


Name = Annotated[Text, Field(min_length=1, max_length=200, examples=["Nightly report"])]
Tag = Annotated[Text, Field(min_length=1, max_length=50)]
Tags = Annotated[list[Tag], Field(max_length=MOST_TAGS), AfterValidator(_unique)]
DestinationName = Annotated[
    int | str,
    PlainValidator(_check_destination),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "format": "int64", "minimum": 1, "maximum": LARGEST_ID},
                {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": LONGEST_KEY,
                    "pattern": KEY_PATTERN,
                },
            ]
        }
    ),
]
DestinationNames = Annotated[
    list[DestinationName],
    Field(
        max_length=MOST_DESTINATIONS,
        description="Ids or keys of the destinations that its events are delivered to.",
        examples=[[1]],
    ),
    AfterValidator(_unique),
]
OnCompletionText = Annotated[
    OnCompletion,
    Field(
        strict=False,
        description="`delete` deletes the trigger within seconds when its schedule has no instant"
        " left, and keeps its events.",
    ),
]
Payload = Annotated[
    JsonObject,
    Field(
        description="The payload of every event; the body of a call is merged into it.",
        examples=[{"report": "sales"}],
    ),
]


def _refuse_deletion(value: object) -> object:
    if value == OnCompletion.DELETE:
        raise ValueError(NEVER_COMPLETES)
    return value


class _TriggerBase(RequestModel):
    key: Key | None = None
    name: Name | None = None
    payload: Payload | None = None
    tags: Tags = Field(default_factory=list)
    destinations: DestinationNames = Field(default_factory=list)


class ScheduledTriggerCreate(_TriggerBase):
    type: Literal["scheduled"]
    details: ScheduledDetails
    on_completion: OnCompletionText | None = None


_NeverCompletes = Annotated[
    Literal["keep"] | None,
    BeforeValidator(_refuse_deletion),
    Field(description="It never completes."),
]


class ApiTriggerCreate(_TriggerBase):
    type: Literal["api"]
    details: ApiDetails = Field(default_factory=ApiDetails)
    on_completion: _NeverCompletes = None


class HeartbeatTriggerCreate(_TriggerBase):
    type: Literal["heartbeat"]
    details: HeartbeatDetails
    on_completion: _NeverCompletes = None


TriggerBody = ScheduledTriggerCreate | ApiTriggerCreate | HeartbeatTriggerCreate
# all unions by `type` have a name, so that they are one schema of the document
TriggerCreate = TypeAliasType("TriggerCreate", Annotated[TriggerBody, Field(discriminator="type")])


class _SentBack(SentBack):
    answer: ClassVar = HeartbeatTriggerWritten  # it has the most fields
    instead: ClassVar[Mapping[str, str]] = {
        "status": "Use POST /triggers/{id}/pause and /resume.",
        "type": "A trigger keeps its type: delete it, and create another one.",
        "hook_secret": "Leave it out. POST /triggers/{id}/hook/rotate makes another one.",
        "hook_url": "Leave it out. POST /triggers/{id}/hook/rotate makes another one.",
    }


class ScheduledTriggerReplace(_SentBack, ScheduledTriggerCreate):
    """A whole trigger: absent fields mean their default, but the status stays."""


class ApiTriggerReplace(_SentBack, ApiTriggerCreate):
    """A whole trigger: absent fields mean their default, but the status stays."""


class HeartbeatTriggerReplace(_SentBack, HeartbeatTriggerCreate):
    """A whole trigger: absent fields mean their default, but the status stays."""


TriggerReplaceBody = ScheduledTriggerReplace | ApiTriggerReplace | HeartbeatTriggerReplace
TriggerReplace = TypeAliasType(
    "TriggerReplace", Annotated[TriggerReplaceBody, Field(discriminator="type")]
)


class TriggerUpdate(_SentBack, PatchModel):
    """A JSON Merge Patch (RFC 7396): absent fields stay, null removes one, objects are merged."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Nightly report"}]})

    key: Key | None = None
    name: Name | None = None
    payload: JsonObject | None = None
    tags: Tags | None = None
    destinations: DestinationNames | None = None
    on_completion: OnCompletionText | None = None
    details: JsonObject = Field(default_factory=dict, examples=[{"interval": 15}])


class TriggerQuery(QueryModel):
    """Selects triggers."""

    type: TriggerType | None = None
    status: TriggerStatus | None = None
    tag: Annotated[
        list[Tag] | None,
        Field(
            min_length=1,
            max_length=MOST_TAGS,
            description="Repeat it to ask for triggers that have all of them.",
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
