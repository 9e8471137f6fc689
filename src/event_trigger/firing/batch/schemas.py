"""Request and response models of a batch of calls."""

from typing import Annotated, Any, NamedTuple

from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema

from event_trigger.errors import Invalid
from event_trigger.firing.fire import SentBody
from event_trigger.models.base import LARGEST_ID
from event_trigger.web.keys import KEY_PATTERN, LONGEST_KEY, is_key
from event_trigger.web.problems import ProblemInPlace
from event_trigger.web.schemas import JsonObject, RequestModel, ResponseModel, Text

MOST_CALLS = 1_000
_ID = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}
_KEY = {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": KEY_PATTERN}


def _check_name(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_ID:
        return value
    if isinstance(value, str) and is_key(value):
        return value
    raise ValueError("Write the id of a trigger as a number, or its key as text")


class TriggerCall(RequestModel):
    """A call of a trigger: its id or key, and the parts that a single call has."""

    trigger: Annotated[
        Any,
        PlainValidator(_check_name),
        WithJsonSchema({"anyOf": [_ID, _KEY], "description": "The trigger's id or key."}),
    ]
    payload: Annotated[
        JsonObject | None, Field(description="As the body of `POST /triggers/{id}/trigger`.")
    ] = None
    idempotency_key: Annotated[
        Text | None,
        Field(
            min_length=1,
            max_length=255,
            description="Within 48 hours, the same key with the same payload fires once.",
        ),
    ] = None


class SentCall(NamedTuple):
    """A valid call, whose payload has the text that was sent."""

    trigger: int | str
    body: SentBody | None
    idempotency_key: str | None


class SentCalls(list[SentCall | Invalid]):
    """The calls of a batch as `read_batch` found them: one that is not valid is its problem."""


def _check_calls(calls: object) -> SentCalls:
    if not isinstance(calls, SentCalls):
        raise ValueError("Write the calls as a list")
    if not 1 <= len(calls) <= MOST_CALLS:
        raise ValueError(f"Send 1 to {MOST_CALLS} calls")
    return calls


class TriggerBatch(RequestModel):
    """Calls to fire; each is answered by itself."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    calls: Annotated[
        SentCalls,
        PlainValidator(
            _check_calls,
            json_schema_input_type=Annotated[
                list[TriggerCall], Field(min_length=1, max_length=MOST_CALLS)
            ],
        ),
    ]


class CallFired(ResponseModel):
    event_id: int


class CallRefused(ResponseModel):
    problem: ProblemInPlace


class BatchResults(ResponseModel):
    results: list[CallFired | CallRefused] = Field(description="In the order of the calls.")
