"""Describes operations that take an `Idempotency-Key` in openapi.json."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from event_trigger.idempotency.refusals import StillRunning
from event_trigger.web.problems import described


def describe_idempotency(app: FastAPI) -> None:
    """Adds the 409 of a first call that is still running, where an operation has no other one.

    Call this before the document is finished, which also declares the header of repeated answers.
    """
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            for operation in _keyed_operations(describe()):
                conflict = described(StillRunning())
                operation["responses"].setdefault(str(StillRunning.status), conflict)
        return describe()

    app.openapi = openapi  # type: ignore[method-assign]


def _keyed_operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in document["paths"].values():
        for operation in operations.values():
            names = [one["name"].lower() for one in operation.get("parameters", ())]
            if "idempotency-key" in names:
                yield operation
