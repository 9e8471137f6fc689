"""The details of triggers, as they are written and as they are read."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict

from event_trigger.models import Verify
from event_trigger.triggers.payload_schema import check_schema
from event_trigger.triggers.schedule.interval import parse_interval
from event_trigger.triggers.schedule.plan import LONGEST_CATCH_UP_WINDOW, CatchUp
from event_trigger.web.schemas import Instant, JsonObject, RequestModel, Text

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
