"""The parts that actions on triggers and on deliveries share: their rows, limits and answers."""

import asyncio
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Self

from pydantic import BaseModel, Field, PlainValidator, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from event_trigger.errors import Invalid, NotFound, Problem
from event_trigger.web.plain_queries import repeated_names
from event_trigger.web.problems import ProblemInPlace, in_place
from event_trigger.web.schemas import RequestModel, ResponseModel, RowId

MOST_ROWS = 10_000
_FAILURES_PER_SLICE = 200


class TooManyMatched(Invalid):
    slug, title = "too-many-matched", "The filter matches too many rows"
    default_detail = (
        f"This filter matches more than {MOST_ROWS:,} rows. Add conditions to it, or send ids in"
        " parts, as the list gives them."
    )


def filter_in_body(model: type[BaseModel]) -> PlainValidator:
    """Reads the query model of a list from a body, as strictly as the rest of the body.

    As in a query, an empty text counts as absent, and a parameter that may be repeated may have
    one value.
    """
    arrays = repeated_names(model)

    def read(value: object) -> BaseModel | None:
        if value is None:
            return None
        wrapped = set[str]()
        if isinstance(value, dict):
            value = {
                name: one
                for name, one in value.items()
                if one != "" or name not in model.model_fields
            }
            wrapped = {name for name in arrays & value.keys() if _is_single(value[name])}
            value |= {name: [value[name]] for name in wrapped}
        try:
            return model.model_validate_json(json.dumps(value), strict=True, extra="forbid")
        except ValidationError as error:
            raise _as_sent(error, wrapped) from None

    return PlainValidator(read, json_schema_input_type=model | None)


def _is_single(value: object) -> bool:
    return isinstance(value, str | int | float)


def _as_sent(error: ValidationError, wrapped: Collection[str]) -> ValidationError:
    """Names the places of errors without that in an array, where one value was sent."""
    return ValidationError.from_exception_data(
        error.title,
        [
            InitErrorDetails(
                type=one["type"],
                loc=one["loc"][:1] if one["loc"][:1] and one["loc"][0] in wrapped else one["loc"],
                input=one["input"],
                ctx=one.get("ctx", {}),
            )
            for one in error.errors()
        ],
    )


class ChosenRows(RequestModel):
    """The rows that an action is about: exactly one of `ids` and `filter`."""

    ids: Annotated[list[RowId], Field(min_length=1, max_length=MOST_ROWS)] | None = None
    dry_run: Annotated[
        bool, Field(description="Changes nothing, and gives the answer of the action.")
    ] = False

    @model_validator(mode="after")
    def _names_rows_once(self) -> Self:
        if (self.ids is None) == (getattr(self, "filter", None) is None):
            raise ValueError("Send either ids or filter")
        return self


class Failure(ResponseModel):
    id: int
    problem: ProblemInPlace


class ActionResult(ResponseModel):
    matched: int = Field(description="The rows that the ids or the filter name, and that exist.")
    changed: int = Field(description="Those that the action changed, or would change.")
    failed: list[Failure] = Field(
        description="Those that it could not change, and ids that do not exist; by id."
    )


async def result_of(
    *, ids: Iterable[int] | None, found: Iterable[int], changed: int, failed: Mapping[int, Problem]
) -> ActionResult:
    """Sums up an action on the rows that were `found`; `ids` are those that a request named.

    Describes the problems in slices, between which the event loop does other work.
    """
    known = set(found)
    missing = {one: NotFound() for one in ids or () if one not in known}
    failures = []
    for place, (one, problem) in enumerate(sorted({**missing, **failed}.items(), key=_id_of)):
        if place % _FAILURES_PER_SLICE == 0:
            await asyncio.sleep(0)
        failures.append(Failure(id=one, problem=in_place(problem)))
    return ActionResult(matched=len(known), changed=changed, failed=failures)


def _id_of(failed: tuple[int, Problem]) -> int:
    return failed[0]
