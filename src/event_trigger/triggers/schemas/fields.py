"""Fields that bodies, answers and queries of triggers share."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from event_trigger.models import OnCompletion
from event_trigger.models.base import LARGEST_ID
from event_trigger.web.keys import KEY_PATTERN, LONGEST_KEY, check_key
from event_trigger.web.schemas import JsonObject, Text

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
