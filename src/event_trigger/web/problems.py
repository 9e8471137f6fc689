"""Turns exceptions into `application/problem+json` responses (RFC 9457), and describes them."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from event_trigger.db.engine import DATABASE_ERRORS, is_outage
from event_trigger.db.errors import is_shortage, log_fields
from event_trigger.errors import (
    EncodedBody,
    FieldError,
    Invalid,
    Problem,
    TooLarge,
    Unavailable,
    pointer,
)
from event_trigger.logs import loggable
from event_trigger.models import TriggerType
from event_trigger.models.base import LARGEST_ID
from event_trigger.web.methods import allowed_methods

log = structlog.get_logger()

PROBLEM_MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 20
LONGEST_NAME = 100
_TRIGGER_TYPES = frozenset(TriggerType)
_NO_CONNECTION = (
    "No database connection was free in time: the server has none left, or too many requests came"
    " at once. Nothing was changed. Try again."
)
_STATUS_DETAILS = {
    400: "The request could not be parsed. Check its syntax.",
    404: "There is no such path. The API is described at /api/docs.",
    405: "This path does not allow that method. The Allow header lists those that it does.",
}


class FieldErrorRead(BaseModel):
    pointer: str | None = Field(None, examples=["#/details/cron"])
    parameter: str | None = Field(None, examples=["limit"])
    detail: str


class ProblemRead(BaseModel):
    """An RFC 9457 problem. `errors` lists the invalid parts of a request."""

    type: str = Field(examples=["urn:event-trigger:problem:not-found"])
    title: str
    status: int
    detail: str
    errors: list[FieldErrorRead] | None = None
    error: str | None = Field(
        None,
        description="Of `POST /auth/token` only: the code of RFC 6749.",
        examples=["invalid_grant"],
    )
    error_description: str | None = Field(
        None, description="Of `POST /auth/token` only: `detail` in ASCII."
    )


class ProblemInPlace(ProblemRead):
    """The problem of one part of a request whose other parts are answered by themselves."""

    retry_after: int | None = Field(None, description="Seconds, as in `Retry-After`.")


def problems(*kinds: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """Describes these errors of an operation for OpenAPI."""
    return {kind.status: {"model": ProblemRead, **_described(kind)} for kind in kinds}


def _described(kind: type[Problem]) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemRead"}
    return {"description": kind.title, "content": {PROBLEM_MEDIA_TYPE: {"schema": schema}}}


def problem_response(
    status: int,
    slug: str,
    title: str,
    detail: str,
    *,
    errors: Sequence[FieldError] = (),
    headers: dict[str, str] | None = None,
    members: Mapping[str, str] | None = None,
) -> Response:
    body: dict[str, Any] = {
        "type": _type_of(slug),
        "title": title,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = [error.as_json() for error in errors]
    body |= members or {}
    return JSONResponse(body, status, headers, media_type=PROBLEM_MEDIA_TYPE)


def answer(problem: Problem) -> Response:
    return problem_response(
        problem.status,
        problem.slug,
        problem.title,
        problem.detail,
        errors=problem.errors,
        headers=problem.headers,
        members=problem.members,
    )


def in_place(problem: Problem) -> ProblemInPlace:
    """Describes a problem inside an answer, where it has no status and no headers of its own."""
    seconds = problem.headers.get("Retry-After")
    return ProblemInPlace(
        type=_type_of(problem.slug),
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        errors=[FieldErrorRead(**one.as_json()) for one in problem.errors] or None,
        retry_after=None if seconds is None else int(seconds),
    )


def _type_of(slug: str) -> str:
    return f"urn:event-trigger:problem:{slug}"


def field_error(error: Mapping[str, Any]) -> FieldError:
    """Translates one pydantic error: the invalid place and the rule, never the value."""
    where, *path = error["loc"] or ("body",)
    if where == "body" and len(path) > 1 and path[0] in _TRIGGER_TYPES:
        del path[0]  # the tag of the union, which is no part of the body's path
    if error["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        path.append(error["ctx"]["discriminator"].strip("'"))
    detail = _detail_of(error)
    if error["type"] == "json_invalid":
        return FieldError("pointer", "#", f"This is not acceptable JSON: {error['ctx']['error']}.")
    short = [part if isinstance(part, int) else part[:LONGEST_NAME] for part in path]
    if where == "body":
        return FieldError("pointer", pointer(*short), detail)
    named = [part for part in short if isinstance(part, str)]  # without the place in a list
    return FieldError("parameter", ".".join(named), detail)


def _detail_of(error: Mapping[str, Any]) -> str:
    """Returns pydantic's message, or our own where pydantic repeats the input or says "items"."""
    is_text = isinstance(error.get("input"), str)
    match error["type"]:
        case "union_tag_invalid":
            return f"Input should be one of {error['ctx']['expected_tags']}"
        case "union_tag_not_found":
            return "Field required"
        case "uuid_parsing":
            return "Input should be a UUID, such as 5d2f6f8e-0b1c-4f2a-9b57-3f0c6f1f7a11"
        case "too_short" if is_text:
            return f"Text should have {error['ctx']['min_length']} or more characters"
        case "too_long" if is_text:
            return f"Text should have {error['ctx']['max_length']} or fewer characters"
    return str(error["msg"]).removeprefix("Value error, ")


def invalid_request(found: Sequence[Mapping[str, Any]]) -> Invalid:
    """Makes one problem of pydantic's errors in `body`, `query`, `path` or `header`."""
    return invalid([field_error(one) for one in found[:MOST_ERRORS]])


def invalid(errors: Sequence[FieldError]) -> Invalid:
    """Makes one problem of the first 20 errors of a request."""
    shown = errors[:MOST_ERRORS]
    detail = shown[0].detail if len(shown) == 1 else f"{len(shown)} parts are invalid."
    return Invalid(detail, errors=shown)


async def on_problem(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return answer(problem)


async def on_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return answer(invalid_request(error.errors()))


async def on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == TooLarge.status:
        return answer(TooLarge())
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(allowed_methods(request.app.routes, request.scope))
    phrase = HTTPStatus(error.status_code).phrase
    return problem_response(
        error.status_code,
        phrase.lower().replace(" ", "-"),
        phrase,
        _STATUS_DETAILS.get(error.status_code, phrase),
        headers=headers,
    )


async def on_database_error(request: Request, error: Exception) -> Response:
    if not is_outage(error):
        raise error
    return outage(request.scope["path"], error)


def outage(path: str, error: Exception) -> Response:
    log.warning("database_unavailable", path=loggable(path), **log_fields(error))
    return answer(unavailable(error))


def unavailable(error: Exception) -> Unavailable:
    """Makes the problem of a database error; without a connection, nothing was changed."""
    return Unavailable(_NO_CONNECTION if is_shortage(error) else None)


def crashed() -> Response:
    return problem_response(
        500,
        "internal-error",
        "Internal error",
        "This is a fault of the service. It is logged.",
    )


def add_problem_handlers(app: FastAPI) -> None:
    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http_error)
    for kind in DATABASE_ERRORS:
        app.add_exception_handler(kind, on_database_error)


def describe_problems(app: FastAPI) -> None:
    """Corrects FastAPI's OpenAPI: problem+json for errors, 413 and 415 for writes, exact bounds."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document: dict[str, Any] = _exact(describe())
            for operations in document["paths"].values():
                for method, operation in operations.items():
                    _correct(operation, writes=method != "get")
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _exact(part: Any) -> Any:
    """Turns whole floats back into integers: FastAPI writes bounds as floats, 2^63-1 rounded up."""
    if isinstance(part, dict):
        return {name: _exact(value) for name, value in part.items()}
    if isinstance(part, list):
        return [_exact(value) for value in part]
    if isinstance(part, float) and part.is_integer():
        return min(int(part), LARGEST_ID)
    return part


def _correct(operation: dict[str, Any], *, writes: bool) -> None:
    if writes:  # also where no body is expected: both are checked first
        for kind in (TooLarge, EncodedBody):
            operation["responses"].setdefault(str(kind.status), _described(kind))
    for status, response in operation["responses"].items():
        if status >= "400":
            response["content"].pop("application/json", None)
