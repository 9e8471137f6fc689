"""Finishes the document that FastAPI makes of the routes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter

from event_trigger.errors import EncodedBody, Forbidden, Invalid, Problem, TooLarge
from event_trigger.web.openapi.invalid_examples import example_of_invalid
from event_trigger.web.openapi.schemas import operations_of, with_mended_schemas
from event_trigger.web.problems import PROBLEM_MEDIA_TYPE, ProblemRead, described
from event_trigger.web.response_headers import HEADERS, referred

Schemas = dict[str, Any]
# as RFCs write them; clients that are generated would have two names for one header
_HEADER_NAMES = {one.lower(): one for one in ("Idempotency-Key", "If-Match", "Last-Event-ID")}
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Callers:
    """The common parts of operations with a credential: a parameter, and a second scheme."""

    parameter: Mapping[str, Any]
    scheme_name: str
    scheme: Mapping[str, Any]


def describe(
    api: FastAPI,
    *,
    missing_scopes: Callable[[Sequence[str]], Problem],
    callers: Callers,
) -> None:
    """Makes `api.openapi` return the finished document.

    `missing_scopes` makes the problem of a caller that lacks these scopes.
    """
    describe_plainly = api.openapi

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            plain = describe_plainly()
            _add_callers(plain, callers)
            api.openapi_schema = _finished(plain, missing_scopes)
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]


def _finished(
    plain: dict[str, Any], missing_scopes: Callable[[Sequence[str]], Problem]
) -> dict[str, Any]:
    """Finishes a document.

    1. Names forms after their operations, adds the schema of problems, mends all schemas.
    2. Completes each operation: names of headers, errors that any call may get, their examples, and
       the headers of its answers.
    3. Defines the headers that operations refer to.
    """
    _add_problems(plain["components"]["schemas"])
    _name_forms(plain)
    document = with_mended_schemas(plain)
    for methods in document["paths"].values():
        for method, operation in methods.items():
            _name_headers(operation)
            _complete_errors(operation, missing_scopes, writes=method != "get")
            _complete_successes(operation)
    document["components"]["headers"] = _used_headers(document)
    return document


def _add_callers(document: dict[str, Any], callers: Callers) -> None:
    """Adds the parameter before other headers, and the 422 where nothing else is checked.

    The second scheme needs the scopes that the first one does.
    """
    document["components"]["securitySchemes"][callers.scheme_name] = {**callers.scheme}
    for operation in operations_of(document):
        security = operation.get("security", [{}])
        if {} in security:
            continue
        [scopes] = security[0].values()
        security.append({callers.scheme_name: scopes})
        parameters = operation.setdefault("parameters", [])
        kinds = [one["in"] for one in parameters]
        at = kinds.index("header") if "header" in kinds else len(kinds)
        parameters.insert(at, {**callers.parameter})
        operation["responses"].setdefault("422", described(Invalid()))


def _used_headers(document: dict[str, Any]) -> dict[str, Any]:
    used = {
        name
        for operation in operations_of(document)
        for response in operation["responses"].values()
        for name in response.get("headers", ())
    }
    return {name: header for name, header in HEADERS.items() if name in used}


def _add_problems(schemas: Schemas) -> None:
    template = "#/components/schemas/{model}"
    described_as = TypeAdapter(ProblemRead).json_schema(ref_template=template)
    schemas |= described_as.pop("$defs") | {ProblemRead.__name__: described_as}


def _name_forms(document: dict[str, Any]) -> None:
    """Gives forms, which operations describe in place, the names of those: `SignInForm`."""
    for operation in operations_of(document):
        content = operation.get("requestBody", {}).get("content", {})
        if _FORM in content:
            words = operation["operationId"].split("_")
            name = "".join(word.capitalize() for word in words) + "Form"
            document["components"]["schemas"][name] = content[_FORM]["schema"]
            content[_FORM] = {"schema": {"$ref": f"#/components/schemas/{name}"}}


def _name_headers(operation: dict[str, Any]) -> None:
    for one in operation.get("parameters", ()):
        if one["in"] == "header":
            one["name"] = _HEADER_NAMES.get(one["name"], one["name"])


def _complete_errors(
    operation: dict[str, Any],
    missing_scopes: Callable[[Sequence[str]], Problem],
    *,
    writes: bool,
) -> None:
    """Adds a 413 and a 415 to all writes, and examples that depend on more.

    Both are checked first, also where no body is expected.
    """
    responses = operation["responses"]
    for problem in (TooLarge(), EncodedBody()) if writes else ():
        responses.setdefault(str(problem.status), described(problem))
    scopes: list[str] = [
        scope for one in operation.get("security", ()) for scope in one.get("login", ())
    ]
    forbidden = responses.get(str(Forbidden.status))
    if scopes and forbidden is not None and _has_no_example(forbidden):
        responses[str(Forbidden.status)] = described(missing_scopes(scopes))
    invalid = responses.get("422")
    if invalid is not None and _has_no_example(invalid):
        responses["422"] = described(example_of_invalid(operation))


def _has_no_example(response: dict[str, Any]) -> bool:
    return "example" not in response["content"][PROBLEM_MEDIA_TYPE]


def _complete_successes(operation: dict[str, Any]) -> None:
    """Declares the headers of pages and of repeated calls, and drops what only 3.2 knows."""
    sent = {one["name"].lower() for one in operation.get("parameters", ())}
    added = {"cursor": "Link", "idempotency-key": "Idempotent-Replayed"}
    headers = referred(header for name, header in added.items() if name in sent)
    for status, response in operation["responses"].items():
        if status >= "400":
            continue
        if headers:
            response["headers"] = response.get("headers", {}) | headers
        for content in response.get("content", {}).values():
            content.pop("itemSchema", None)
