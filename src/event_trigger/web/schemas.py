"""Base models and field types of requests and responses."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from types import GenericAlias
from typing import Annotated, Any, ClassVar

from fastapi import Path
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import TypeAliasType

from event_trigger.errors import FieldError, Invalid
from event_trigger.instants import parse_instant
from event_trigger.models.base import LARGEST_ID
from event_trigger.web.keys import Key

_ENDS_EARLY = "Write an instant that is not before 'since'."


def check_storable(text: str) -> str:
    """Raises ValueError, in words for users, for a text that PostgreSQL cannot hold."""
    if "\0" in text:
        raise ValueError("Text must not hold the character U+0000")
    if has_lone_surrogate(text):  # a header or a form in UTF-7 can hold one
        raise ValueError("Text must not hold half of a surrogate pair")
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


def _check_order(until: datetime | None, others: ValidationInfo) -> datetime | None:
    since = others.data.get("since")
    if until is not None and since is not None and until < since:
        raise ValueError(_ENDS_EARLY)
    return until


# of a model whose `since` stands before it
Until = Annotated[Instant | None, AfterValidator(_check_order)]
Text = Annotated[str, AfterValidator(check_storable)]
# named, so that it is one schema of the document, and one class of a generated client
JsonObject = TypeAliasType(
    "JsonObject", Annotated[dict[str, Any], Field(description="Any JSON object.")]
)
NOT_KEPT = "not kept"  # marks a field that kept answers (`idempotency/keeping.py`) have as null
SecretText = Annotated[str | None, NOT_KEPT]
MOST_IDS = 100  # in a filter


class View(StrEnum):
    """The fields of a list's rows: all, or those that are short."""

    FULL = "full"
    SUMMARY = "summary"


def _refuse_underscores(value: object) -> object:
    """Raises ValueError for 1_0, which Python reads as 10."""
    if isinstance(value, str) and "_" in value:
        raise ValueError("Write a whole number.")
    return value


PathId = Annotated[
    int, Path(ge=1, le=LARGEST_ID, examples=[1]), BeforeValidator(_refuse_underscores)
]
PathKey = Annotated[Key, Path(examples=["nightly-report"])]
RowId = Annotated[int, Field(ge=1, le=LARGEST_ID)]
RowIds = Annotated[list[RowId], Field(min_length=1, max_length=MOST_IDS)]


def check_span(since: datetime | None, until: datetime | None) -> None:
    """Raises Invalid for a span that ends before it begins."""
    if since is not None and until is not None and until < since:
        raise Invalid(_ENDS_EARLY, errors=[FieldError("parameter", "until", _ENDS_EARLY)])


_BEING_BUILT = set[type[BaseModel]]()


class _Model(BaseModel):
    """Base of all models: pydantic builds a validator at its first use, and once."""

    model_config = ConfigDict(defer_build=True)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        """Builds a model before the first one that contains it, so that all of them share it."""
        if not cls.__pydantic_complete__ and cls not in _BEING_BUILT:
            _BEING_BUILT.add(cls)
            try:
                cls.model_rebuild()
            finally:
                _BEING_BUILT.discard(cls)  # another thread may have built it, too
        return handler(source)


@cache
def stop_deferring() -> None:
    """Lets types that are made from now on build their validators at once."""
    models: list[type[BaseModel]] = [_Model]
    for model in models:
        model.model_config["defer_build"] = False
        models += model.__subclasses__()


class RequestModel(_Model):
    """Base of request bodies: refuses unknown fields and wrong types, and converts nothing."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class PatchModel(RequestModel):
    """Base of JSON Merge Patches (RFC 7396), in which an absent field stays as it is.

    The API's description names no defaults, which generated clients would send. Each patch has an
    example that changes nothing of importance, because Swagger UI fills it in.
    """

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        for field in handler.resolve_ref_schema(schema).get("properties", {}).values():
            field.pop("default", None)
        return schema


class QueryModel(_Model):
    """Base of query models: ignores parameters of others; the route refuses unknown ones.

    Its own schema is that of a filter in a body, where one value may stand for an array, and an
    empty text counts as absent (`actions/schemas.py`).
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        for field in handler.resolve_ref_schema(schema).get("properties", {}).values():
            choices = field.get("anyOf", [])
            choices += [one["items"] for one in choices if one.get("type") == "array"]
            if not any(one.get("type") == "string" and len(one) <= 2 for one in choices):
                choices.append({"type": "string", "const": ""})
        return schema


class ResponseModel(_Model):
    """Base of responses: their fields are always there, also those with a default, but for some."""

    model_config = ConfigDict(from_attributes=True)
    may_lack: ClassVar[Collection[str]] = ()

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        described = handler.resolve_ref_schema(schema)
        names = [*described.get("properties", {})]
        described["required"] = [name for name in names if name not in cls.may_lack]
        return schema


class WithSecret(ResponseModel):
    """Base of answers that show a secret once, and have null when a call is repeated."""

    may_lack = ("warnings",)

    warnings: list[str] = Field(
        default_factory=list,
        exclude_if=lambda warnings: not warnings,
        description="Only if this repeats an earlier answer (`Idempotency-Key`): says that the"
        " secret is null here, because it was shown only once.",
    )


@dataclass(frozen=True)
class DescribedAs:
    """Describes a value as another type, which is not enforced: what is stored may be older."""

    kind: Any

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        # pydantic refers by name only to what is inside of another type
        wrapped: Any = GenericAlias(list, (self.kind,))
        described: JsonSchemaValue = handler(TypeAdapter(wrapped).core_schema)["items"]
        return described
