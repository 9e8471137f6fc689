"""Turns everything that can go wrong into `application/problem+json` (RFC 9457)."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from event_trigger.db.engine import is_outage
from event_trigger.errors import FieldError, Invalid, Problem, Unavailable, pointer
from event_trigger.models import TriggerType

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 20
LONGEST_NAME = 100
_KINDS = frozenset(TriggerType)
_DETAILS = {
    400: "The request could not be read. Check its form.",
    404: "There is no such address. The API is described at /api/docs.",
    405: "This address does not take that method; see the Allow header.",
    413: "The body is larger than 1 MiB. Send less.",
}


class FieldErrorRead(BaseModel):
    pointer: str | None = Field(None, examples=["#/details/cron"])
    parameter: str | None = Field(None, examples=["limit"])
    detail: str


class ProblemRead(BaseModel):
    """An RFC 9457 problem; `errors` is there when parts of the request were refused."""

    type: str = Field(examples=["urn:event-trigger:problem:not-found"])
    title: str
    status: int
    detail: str
    errors: list[FieldErrorRead] | None = None


def problems(*kinds: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """Describes the errors of an operation for OpenAPI."""
    return {
        kind.status: {
            "model": ProblemRead,
            "description": kind.title,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemRead"}}},
        }
        for kind in kinds
    }


def problem_response(
    status: int,
    slug: str,
    title: str,
    detail: str,
    *,
    errors: Sequence[FieldError] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    body: dict[str, Any] = {
        "type": f"urn:event-trigger:problem:{slug}",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = [error.as_json() for error in errors]
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)


def answer(problem: Problem) -> Response:
    return problem_response(
        problem.status,
        problem.slug,
        problem.title,
        problem.detail,
        errors=problem.errors,
        headers=problem.headers,
    )


def field_error(error: Mapping[str, Any]) -> FieldError:
    """Names the refused place and the rule, never the value (pydantic's `input` is left out)."""
    where, *path = error["loc"] or ("body",)
    if where == "body" and path and path[0] in _KINDS:  # which of several models, not a field
        del path[0]
    detail = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "json_invalid":
        return FieldError("pointer", "#", f"This is not acceptable JSON: {error['ctx']['error']}.")
    short = [part if isinstance(part, int) else part[:LONGEST_NAME] for part in path]
    if where == "body":
        return FieldError("pointer", pointer(*short), detail)
    return FieldError("parameter", ".".join(map(str, short)), detail)


def refused(found: Sequence[Mapping[str, Any]]) -> Invalid:
    """Makes one problem of what pydantic found wrong in `body`, `query`, `path` or `header`."""
    errors = [field_error(one) for one in found[:MOST_ERRORS]]
    detail = errors[0].detail if len(errors) == 1 else f"{len(errors)} parts need to be changed."
    return Invalid(detail, errors=errors)


async def on_problem(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return answer(problem)


async def on_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return answer(refused(error.errors()))


async def on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    return problem_response(
        error.status_code,
        phrase.lower().replace(" ", "-"),
        phrase,
        _DETAILS.get(error.status_code, phrase),
        headers=dict(error.headers or {}),
    )


async def on_database_error(request: Request, error: Exception) -> Response:
    if not is_outage(error):
        raise error
    log.warning("database_unavailable", path=request.url.path, error=type(error).__name__)
    return answer(Unavailable())


async def on_crash(request: Request, _: Exception) -> Response:
    log.exception("request_crashed", method=request.method, path=request.url.path)
    return problem_response(
        500, "internal-error", "Internal error", "This is our fault. It has been logged."
    )


def add_problem_handlers(app: FastAPI) -> None:
    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http_error)
    for kind in (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        app.add_exception_handler(kind, on_database_error)
    app.add_exception_handler(Exception, on_crash)
