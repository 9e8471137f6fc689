"""Request and response models of sets."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from event_trigger.calendars.schemas import CalendarBody, CalendarKey
from event_trigger.destinations.schemas import DestinationBody
from event_trigger.sets.comparison import MemberKind
from event_trigger.triggers.schemas.requests import (
    ApiTriggerCreate,
    HeartbeatTriggerCreate,
    ScheduledTriggerCreate,
)
from event_trigger.web.keys import LONGEST_KEY, Key
from event_trigger.web.schemas import Instant, RequestModel, ResponseModel

MOST_MEMBERS = 10_000
_STATUS_WORDS = "Left out, people may pause and resume the trigger, and the file does not mind."


class _TriggerInSet(RequestModel):
    status: Annotated[Literal["active", "paused"] | None, Field(description=_STATUS_WORDS)] = None


class ScheduledTriggerInSet(ScheduledTriggerCreate, _TriggerInSet):
    pass


class ApiTriggerInSet(ApiTriggerCreate, _TriggerInSet):
    pass


class HeartbeatTriggerInSet(HeartbeatTriggerCreate, _TriggerInSet):
    pass


TriggerInSet = Annotated[
    ScheduledTriggerInSet | ApiTriggerInSet | HeartbeatTriggerInSet, Field(discriminator="type")
]


class DestinationInSet(DestinationBody):
    pass


class CalendarInSet(CalendarBody):
    key: CalendarKey | None = None


class MovedMember(RequestModel):
    """A member of the set that gets another key, and stays the same trigger or destination."""

    kind: Literal["trigger", "destination"] = "trigger"
    from_: Key = Field(alias="from", description="The key that it had.", examples=["nightly"])
    to: Key = Field(description="The key that it has in this body.", examples=["nightly-report"])


class _ValidatedLater:
    """Describes a member, and accepts anything: see `members.py`, which runs off the event loop."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.json_or_python_schema(
            json_schema=handler(source), python_schema=core_schema.any_schema()
        )


def _as_map(schema: dict[str, Any]) -> None:
    """Describes a map in the way that generators of clients understand."""
    [(pattern, member)] = schema.pop("patternProperties").items()
    schema["additionalProperties"] = member
    schema["propertyNames"] = {"pattern": pattern, "minLength": 1, "maxLength": LONGEST_KEY}


class SetContent(RequestModel):
    """The members that a file owns. A member's key is its name in the map."""

    triggers: dict[Key, Annotated[TriggerInSet, _ValidatedLater()]] = Field(
        default_factory=dict, json_schema_extra=_as_map
    )
    destinations: dict[Key, Annotated[DestinationInSet, _ValidatedLater()]] = Field(
        default_factory=dict, json_schema_extra=_as_map
    )
    calendars: dict[CalendarKey, Annotated[CalendarInSet, _ValidatedLater()]] = Field(
        default_factory=dict, json_schema_extra=_as_map
    )
    moved: list[MovedMember] = Field(
        default_factory=list,
        max_length=MOST_MEMBERS,
        description="Members with other keys than before: they keep their ids, events, counts, URLs"
        " and secrets. One that has been renamed already, or is not there, is left alone.",
    )


class SetMemberRead(ResponseModel):
    kind: MemberKind
    key: str | None
    id: int


class SetMemberCreated(ResponseModel):
    kind: MemberKind
    key: str
    id: int | None = Field(description="Null in a dry run.")
    next_fire_at: Instant | None = None
    secret: str | None = Field(None, description="Signs the deliveries of a new destination.")
    hook_url: str | None = Field(
        None, description="The URL of a new hook; for callers with the scope `triggers:fire`."
    )
    hook_secret: str | None = Field(
        None,
        description="Signs the calls of a new hook; null if it was given. It is shown only once.",
    )
    warnings: list[str] = Field(default_factory=list)


class ChangeRead(ResponseModel):
    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    pointer: str = Field(examples=["#/triggers/nightly-report/details/cron"])
    from_: Any = Field(alias="from", description="Null if there was none; stars for a secret.")
    to: Any = Field(description="Null if there is none any more; stars for a secret.")


class SetMemberUpdated(SetMemberCreated):
    id: int
    changes: list[ChangeRead]


class MoveRead(ResponseModel):
    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    id: int
    key: str | None
    from_: Instant | None = Field(alias="from", description="Its next instant until now.")
    to: Instant | None = Field(description="Its next instant; null if there is none any more.")


class SetPlanRead(ResponseModel):
    digest: str = Field(
        description="Names this plan: `If-Match` with it applies this plan or none."
    )
    create: list[SetMemberCreated]
    update: list[SetMemberUpdated]
    adopt: list[SetMemberRead] = Field(
        description="Members that were made by hand, exactly as the file has them: they belong to"
        " the set from now on."
    )
    unchanged: int
    remove: list[SetMemberRead]
    removes_most: bool = Field(
        description="Whether more than half of the set would be removed: such a plan is only"
        " applied with its digest in `If-Match`."
    )
    moves: list[MoveRead] = Field(
        description="Triggers of the whole project that stay as they are, and whose next instant"
        " is another by the new dates of a calendar."
    )


class SetSummary(ResponseModel):
    id: int
    name: str
    triggers: int
    destinations: int
    calendars: int
    created_at: Instant
    updated_at: Instant
