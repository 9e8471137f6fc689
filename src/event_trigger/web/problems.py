"""Turns exceptions into `application/problem+json` responses (RFC 9457), and describes them."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, NotRequired, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import Field
from starlette.exceptions import HTTPException
from typing_extensions import TypedDict

from event_trigger.db.engine import DATABASE_ERRORS, is_outage
from event_trigger.db.errors import is_collision, is_shortage, log_fields
from event_trigger.errors import (
    FieldError,
    Problem,
    TooLarge,
    Unavailable,
)
from event_trigger.logs import loggable
from event_trigger.web.invalid_requests import body_type, invalid_request
from event_trigger.web.response_headers import referred
from event_trigger.web.routes import allowed_methods

log = structlog.get_logger()

PROBLEM_MEDIA_TYPE = "application/problem+json"
_NO_CONNECTION = (
    "No database connection was free in time: the server has none left, or too many requests came"
    " at once. Nothing was changed. Try again."
)
_COLLISION = (
    "Others were changing the same rows for too long. What was not stored by then was undone. Try"
    " again."
)
_STATUS_DETAILS = {
    400: "The request could not be parsed. Check its syntax.",
    404: "There is no such path. The API is described at /api/docs.",
    405: "This path does not allow that method. The Allow header lists those that it does.",
}


class FieldErrorRead(TypedDict):
    """One invalid part of a request: the place in the body (RFC 6901), or the parameter."""

    pointer: NotRequired[Annotated[str, Field(examples=["#/details/cron"])]]
    parameter: NotRequired[Annotated[str, Field(examples=["limit"])]]
    detail: str


class ProblemRead(TypedDict):
    """An RFC 9457 problem. `errors` lists the invalid parts of a request."""

    type: Annotated[str, Field(examples=["urn:event-trigger:problem:not-found"])]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    errors: NotRequired[list[FieldErrorRead]]
    error: NotRequired[
        Annotated[
            str,
            Field(
                description="Of `POST /auth/token` only: the code of RFC 6749.",
                examples=["invalid_grant"],
            ),
        ]
    ]
    error_description: NotRequired[
        Annotated[str, Field(description="Of `POST /auth/token` only: `detail` in ASCII.")]
    ]


class ProblemInPlace(ProblemRead):
    """The problem of one part of a request whose other parts are answered by themselves."""

    retry_after: NotRequired[Annotated[int, Field(description="Seconds, as in `Retry-After`.")]]


def problems(*kinds: type[Problem] | Problem) -> dict[int | str, dict[str, Any]]:
    """Describes these errors of an operation for OpenAPI, each with an example of its answer.

    Name the very problem that the operation raises, or give one: a base of several problems has no
    example. The document itself makes one of Forbidden for a missing scope, and one of Invalid.
    """
    examples = (kind.example() if isinstance(kind, type) else kind for kind in kinds)
    return {example.status: described(example) for example in examples}


def described(example: Problem) -> dict[str, Any]:
    """Describes the kind of a problem by one that could be raised."""
    content: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/ProblemRead"}}
    if example.detail:
        content["example"] = body_of(example)
    headers = {"headers": referred(example.headers)} if example.headers else {}
    return {"description": example.title, "content": {PROBLEM_MEDIA_TYPE: content}, **headers}


def body_of(problem: Problem) -> dict[str, Any]:
    body = _body(problem.status, problem.slug, problem.title, problem.detail, problem.errors)
    return body | problem.members


def _body(
    status: int, slug: str, title: str, detail: str, errors: Sequence[FieldError]
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": f"urn:event-trigger:problem:{slug}",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = [error.as_json() for error in errors]
    return body


def problem_response(
    status: int,
    slug: str,
    title: str,
    detail: str,
    *,
    errors: Sequence[FieldError] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    body = _body(status, slug, title, detail, errors)
    return JSONResponse(body, status, headers, media_type=PROBLEM_MEDIA_TYPE)


def answer(problem: Problem) -> Response:
    return JSONResponse(
        body_of(problem), problem.status, problem.headers, media_type=PROBLEM_MEDIA_TYPE
    )


def in_place(problem: Problem) -> ProblemInPlace:
    """Describes a problem inside an answer, where it has no status and no headers of its own."""
    seconds = problem.headers.get("Retry-After")
    told = {} if seconds is None else {"retry_after": int(seconds)}
    return cast(ProblemInPlace, body_of(problem) | told)


async def on_problem(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return answer(problem)


async def on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return answer(invalid_request(error.errors(), body_type(request.scope.get("route"))))


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
    """Makes the problem of a database error, which says that nothing was changed if that is so."""
    if is_collision(error):
        return Unavailable(_COLLISION)
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
