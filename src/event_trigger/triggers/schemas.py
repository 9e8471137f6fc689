"""Request and response models of triggers."""

from collections.abc import Iterator, Mapping
from datetime import (
    UTC,
    datetime,
    timedelta,
)
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypeVar,
)

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypeAliasType, TypedDict

from event_trigger.models import OnCompletion, Trigger, TriggerStatus, TriggerType, Verify
from event_trigger.models.base import LARGEST_ID
from event_trigger.triggers.payload_schema import check_schema
from event_trigger.triggers.schedule.describe import describe
from event_trigger.triggers.schedule.interval import parse_interval
from event_trigger.triggers.schedule.plan import (
    LONGEST_CATCH_UP_WINDOW,
    CatchUp,
    readable_plan,
)
from event_trigger.triggers.sorting import TriggerSort
from event_trigger.web.keys import (
    KEY_PATTERN,
    LONGEST_KEY,
    Key,
    check_key,
)
from event_trigger.web.schemas import (
    DescribedAs,
    Instant,
    JsonObject,
    PatchModel,
    QueryModel,
    RequestModel,
    ResponseModel,
    RowId,
    RowIds,
    SecretText,
    Text,
    View,
)
from event_trigger.web.sent_back import SentBack

MOST_TAGS = 20
MOST_DESTINATIONS = 50
T = TypeVar("T")
_MINUTE = timedelta(minutes=1)


def _check_interval(value: object) -> int | float | str:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("write minutes as a number, or an ISO 8601 duration such as PT90S")
    parse_interval(value)
    return value


def _check_window(value: object) -> int | float:
    most = LONGEST_CATCH_UP_WINDOW / _MINUTE
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"write minutes as a number from 0 to {most:.0f}")
    return value


def _refuse_hook(value: object) -> None:
    if value is not None:
        raise ValueError("only triggers of the type api have a hook; leave it out")


def _check_destination(value: object) -> int | str:
    if isinstance(value, str):
        return check_key(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_ID:
        raise ValueError("write the id of a destination as a number, or its key as a text")
    return value


def _unique(values: list[T]) -> list[T]:
    return list(dict.fromkeys(values))


Interval = Annotated[
    int | float | str,
    PlainValidator(_check_interval),
    WithJsonSchema(
        {
            "anyOf": [{"type": "number"}, {"type": "string", "format": "duration"}],
            "description": "Minutes, or an ISO 8601 duration: 1 second to 10 years.",
            "examples": [30, "PT90S"],
        }
    ),
]
PayloadSchema = Annotated[
    JsonObject,
    AfterValidator(check_schema),
    Field(description="A JSON Schema that every payload must match."),
]
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
        description="What becomes of the trigger when its schedule has no instant left: `delete`"
        " deletes it within seconds, and keeps its events.",
    ),
]
Payload = Annotated[
    JsonObject,
    Field(
        description="The payload of every event; the body of a call is merged into it.",
        examples=[{"report": "sales"}],
    ),
]


CatchUpText = Annotated[
    CatchUp,
    Field(
        strict=False,
        description="Which missed instants still fire: the latest one, all of them, or none.",
    ),
]
CatchUpWindow = Annotated[
    int | float,
    PlainValidator(_check_window),
    WithJsonSchema(
        {
            "type": "number",
            "minimum": 0,
            "maximum": LONGEST_CATCH_UP_WINDOW / _MINUTE,
            "description": "Minutes: older missed instants never fire.",
            "examples": [1440],
        }
    ),
]


class HookDetails(RequestModel):
    """A URL that fires the trigger when it is called, with or without a signature."""

    verify: Annotated[
        Verify,
        Field(
            strict=False,
            description="How calls are signed; with `none`, knowing the URL is enough to fire.",
        ),
    ]


class _AnyDetails(RequestModel):
    payload_schema: PayloadSchema | None = Field(None, alias="schema")

    def as_stored(self) -> JsonObject:
        """Returns the details as JSON, without absent and null fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)


class ApiDetails(_AnyDetails):
    hook: HookDetails | None = None


class ScheduledDetails(_AnyDetails):
    """When to fire: a `time`, an `interval`, both, or a `cron` expression."""

    time: Instant | None = None
    interval: Interval | None = None
    recurring: bool = False
    cron: Annotated[Text, Field(examples=["0 9 * * mon-fri"])] | None = None
    timezone: Annotated[Text, Field(examples=["Europe/Berlin"])] | None = None
    until: Instant | None = None
    max_fires: Annotated[int, Field(ge=1, le=2**53)] | None = None
    catch_up: CatchUpText | None = None
    catch_up_window: CatchUpWindow | None = None
    hook: SkipJsonSchema[Annotated[None, PlainValidator(_refuse_hook)]] = None


Details = ScheduledDetails | ApiDetails


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


class ApiTriggerCreate(_TriggerBase):
    type: Literal["api"]
    details: ApiDetails = Field(default_factory=ApiDetails)
    on_completion: Annotated[
        Literal["keep"] | None, Field(description="It has no schedule, and never completes.")
    ] = None


TriggerBody = ScheduledTriggerCreate | ApiTriggerCreate
# all unions by `type` have a name, so that they are one schema of the document
TriggerCreate = TypeAliasType("TriggerCreate", Annotated[TriggerBody, Field(discriminator="type")])


def _stored_or_keep(value: object) -> object:
    return OnCompletion.KEEP if value is None else value


class HookDetailsRead(TypedDict):
    """How calls of the hook are signed."""

    verify: Verify


class _AnyDetailsRead(TypedDict, total=False):
    schema: Annotated[JsonObject, Field(description="A JSON Schema that every payload matches.")]


class ApiDetailsRead(_AnyDetailsRead, total=False):
    """The details of a trigger that is called: those that are set."""

    hook: HookDetailsRead


class ScheduledDetailsRead(_AnyDetailsRead, total=False):
    """When a trigger fires: the details that are set."""

    time: Instant
    interval: Interval
    recurring: bool
    cron: str
    timezone: str
    until: Instant
    max_fires: int
    catch_up: CatchUpText
    catch_up_window: CatchUpWindow


class _Stored(ResponseModel):
    id: int
    key: str | None
    name: str | None
    type: TriggerType
    details: JsonObject
    payload: JsonObject | None
    status: TriggerStatus
    next_fire_at: Instant | None
    last_fired_at: Instant | None
    fire_count: int = Field(description="All firings except tests.")
    tags: list[str]
    destinations: list[int]
    on_completion: Annotated[OnCompletion, BeforeValidator(_stored_or_keep)]
    error: str | None = Field(
        description="Why the trigger was set aside, and does not fire; else null."
    )
    created_at: Instant
    updated_at: Instant


class _AnyTrigger(_Stored):
    words: str | None = Field(
        description="The schedule in words; null for an API trigger, and for a schedule that this"
        " version of the service cannot read.",
        examples=["At 09:00 on Monday to Friday, Europe/Berlin"],
    )
    hook_url: SecretText = Field(
        description="The URL of its hook; shown to callers with the scope `triggers:fire`."
    )
    warnings: list[str] = Field(examples=[[]])


class _Scheduled(ResponseModel):
    type: Literal[TriggerType.SCHEDULED]
    details: Annotated[JsonObject, DescribedAs(ScheduledDetailsRead)]


class _Called(ResponseModel):
    type: Literal[TriggerType.API]
    details: Annotated[JsonObject, DescribedAs(ApiDetailsRead)]


class ScheduledTriggerRead(_Scheduled, _AnyTrigger):
    """A trigger that fires by its schedule."""


class ApiTriggerRead(_Called, _AnyTrigger):
    """A trigger that fires when it is called."""


class _AnyTriggerListed(_AnyTrigger):
    may_lack = ("payload",)

    payload: JsonObject | None = Field(None, description="Absent with `view=summary`.")


class ScheduledTriggerListed(_Scheduled, _AnyTriggerListed):
    """A trigger that fires by its schedule, as lists show it."""


class ApiTriggerListed(_Called, _AnyTriggerListed):
    """A trigger that fires when it is called, as lists show it."""


class _AnyTriggerWritten(_AnyTrigger):
    hook_secret: SecretText = Field(
        description="Signs the calls of a new hook. It is shown only once, so it is null if this"
        " repeats an earlier answer (`Idempotency-Key`), and so is `hook_url`."
    )


class ScheduledTriggerWritten(ScheduledTriggerRead, _AnyTriggerWritten):
    """A trigger that fires by its schedule, as it was saved."""


class ApiTriggerWritten(ApiTriggerRead, _AnyTriggerWritten):
    """A trigger that fires when it is called, as it was saved."""


TriggerRead = TypeAliasType(
    "TriggerRead", Annotated[ScheduledTriggerRead | ApiTriggerRead, Field(discriminator="type")]
)
TriggerListed = TypeAliasType(
    "TriggerListed",
    Annotated[ScheduledTriggerListed | ApiTriggerListed, Field(discriminator="type")],
)
TriggerWritten = TypeAliasType(
    "TriggerWritten",
    Annotated[ScheduledTriggerWritten | ApiTriggerWritten, Field(discriminator="type")],
)


class _SentBack(SentBack):
    answer: ClassVar = _AnyTriggerWritten
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


TriggerReplaceBody = ScheduledTriggerReplace | ApiTriggerReplace
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


def read_trigger(trigger: Trigger, *, hook_url: str | None) -> TriggerRead:
    stored = _Stored.model_validate(trigger).model_dump()
    is_scheduled = trigger.type == TriggerType.SCHEDULED
    kind = ScheduledTriggerRead if is_scheduled else ApiTriggerRead
    return kind(**stored, **_derived(trigger), hook_url=hook_url)


def written_trigger(read: TriggerRead, *, hook_secret: str | None) -> TriggerWritten:
    is_scheduled = read.type == TriggerType.SCHEDULED
    kind = ScheduledTriggerWritten if is_scheduled else ApiTriggerWritten
    return kind(**read.model_dump(), hook_secret=hook_secret)


def words_of(details: JsonObject, *, anchor: datetime) -> str | None:
    """Describes stored details in words; None if this version cannot read them."""
    plan = readable_plan(details, anchor=anchor)
    return None if plan is None else describe(plan.schedule)


def list_trigger(trigger: Trigger, *, hook_url: str | None, summary: bool) -> TriggerListed:
    """Reads a trigger for a list; a summary's payload was not read, so it must not be asked for."""
    stored = {
        name: getattr(trigger, name)
        for name in _Stored.model_fields
        if not summary or name != "payload"
    }
    if summary:
        stored["details"] = {name: one for name, one in trigger.details.items() if name != "schema"}
    is_scheduled = trigger.type == TriggerType.SCHEDULED
    kind = ScheduledTriggerListed if is_scheduled else ApiTriggerListed
    return kind(**stored, **_derived(trigger), hook_url=hook_url)


def _derived(trigger: Trigger) -> dict[str, Any]:
    is_scheduled = trigger.type == TriggerType.SCHEDULED
    words = words_of(trigger.details, anchor=trigger.anchor_at) if is_scheduled else None
    return {"words": words, "warnings": [*_warnings_of(trigger)]}


def _warnings_of(trigger: Trigger) -> Iterator[str]:
    if trigger.status == TriggerStatus.COMPLETED:
        yield "This trigger never fires by itself: its schedule has no instant left."
        if trigger.on_completion == OnCompletion.DELETE:
            yield "It is deleted within seconds, because on_completion is delete."
    if trigger.loop_refused_at is not None:
        at = trigger.loop_refused_at.astimezone(UTC).isoformat(timespec="seconds")
        yield (
            f"A call was refused at {at.replace('+00:00', 'Z')} because of a loop: it came after a"
            " chain of ten deliveries, so this trigger's events come back to it. Check where its"
            " destinations lead. This warning ends with the next change of the trigger."
        )
