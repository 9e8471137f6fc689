"""Describes operations that take an `Idempotency-Key` in openapi.json."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from event_trigger.idempotency.refusals import REPLAYED_HEADER, StillRunning
from event_trigger.web.problems import problems

_REPLAYED = {
    "description": "`true` if this is the answer to an earlier call with the same"
    " `Idempotency-Key`, which was not done again.",
    "schema": {"type": "string", "const": "true"},
}


def describe_idempotency(app: FastAPI) -> None:
    """Adds the header of repeated answers to their responses, and a 409 where there is none."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            for operation in _keyed_operations(describe()):
                _describe(operation["responses"])
        return describe()

    app.openapi = openapi  # type: ignore[method-assign]


def _keyed_operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in document["paths"].values():
        for operation in operations.values():
            names = [one["name"].lower() for one in operation.get("parameters", ())]
            if "idempotency-key" in names:
                yield operation


def _describe(responses: dict[str, Any]) -> None:
    for status, conflict in problems(StillRunning).items():
        responses.setdefault(str(status), {k: v for k, v in conflict.items() if k != "model"})
    for status, response in responses.items():
        if status < "300":
            response.setdefault("headers", {})[REPLAYED_HEADER] = _REPLAYED
