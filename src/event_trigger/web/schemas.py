"""Base models and field types of requests and responses."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from event_trigger.instants import parse_instant
from event_trigger.models.base import LARGEST_ID
from event_trigger.web.keys import Key


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("text must not hold the character U+0000")
    if has_lone_surrogate(text):  # a header or a form in UTF-7 can hold one
        raise ValueError("text must not hold half of a surrogate pair")
    return text


def has_lone_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


Instant = Annotated[
    datetime,
    Field(strict=False),
    BeforeValidator(parse_instant),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "pattern": "^(19[7-9][0-9]|[2-8][0-9]{3}|9000)-",
            "examples": ["2026-03-13T10:00:00Z"],
        }
    ),
]
Text = Annotated[str, AfterValidator(_storable)]
JsonObject = dict[str, Any]
NOT_KEPT = "not kept"  # marks a field that kept answers (`idempotency/keeping.py`) have as null
SecretText = Annotated[str | None, NOT_KEPT]
MOST_IDS = 100  # in a filter


class View(StrEnum):
    """The fields of a list's rows: all, or those that are short."""

    FULL = "full"
    SUMMARY = "summary"


PathId = Annotated[int, Path(ge=1, le=LARGEST_ID, examples=[1])]
PathKey = Annotated[Key, Path(examples=["nightly-report"])]
RowId = Annotated[int, Field(ge=1, le=LARGEST_ID)]
RowIds = Annotated[list[RowId], Field(min_length=1, max_length=MOST_IDS)]


class RequestModel(BaseModel):
    """Base of request bodies: refuses unknown fields and wrong types, and converts nothing."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class QueryModel(BaseModel):
    """Base of query models: ignores parameters of others; the route refuses unknown ones."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ResponseModel(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class WithSecret(ResponseModel):
    """Base of answers that show a secret once, and have null when a call is repeated."""

    warnings: list[str] = Field(
        default_factory=list,
        exclude_if=lambda warnings: not warnings,
        description="Only if this repeats an earlier answer (`Idempotency-Key`): says that the"
        " secret is null here, because it was shown only once.",
    )
