"""Reads openapi.json: its operations, their parameters, media types and bodies; its schemas."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
from fastapi import FastAPI

from event_trigger.app import create_app
from tests.support.services import make_settings

JSON, FORM = "application/json", "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Operation:
    """One method of one path; `parts` are the schemas that its description refers to."""

    id: str
    method: str
    path: str
    described: dict[str, Any] = field(repr=False)
    parts: dict[str, Any] = field(repr=False)  # of the whole document: asyncio writes often

    @property
    def needs_somebody(self) -> bool:
        security = self.described.get("security", [])
        return bool(security) and {} not in security

    @property
    def media_types(self) -> list[str]:
        return list(self.described.get("requestBody", {}).get("content", {}))

    @property
    def takes_body(self) -> bool:
        return bool(self.media_types)

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    def parameters(self, where: str) -> list[str]:
        found = self.described.get("parameters", [])
        return [one["name"] for one in found if one["in"] == where]

    @property
    def repeated_parameters(self) -> list[str]:
        """Gives the names of the query's parameters that may be sent several times."""
        return [
            one["name"]
            for one in self.described.get("parameters", [])
            if any("items" in part for part in self._alternatives(one["schema"]))
        ]

    def describes(self, answer: httpx.Response) -> bool:
        """Whether the document has this status for this operation, with this media type."""
        response = self.described["responses"].get(str(answer.status_code))
        if response is None:
            return False
        media_type = answer.headers.get("content-type", "").partition(";")[0]
        return media_type in (response.get("content") or {""})

    def fields(self) -> dict[str, list[str]]:
        """Gives the names of the body's fields by object: `""`, or a field like `details`."""
        found: dict[str, list[str]] = {}
        for content in self.described.get("requestBody", {}).get("content", {}).values():
            for schema in self._alternatives(content["schema"]):
                self._collect(schema, "", found)
        return found

    def _collect(self, schema: dict[str, Any], place: str, found: dict[str, list[str]]) -> None:
        for name, value in schema.get("properties", {}).items():
            known = found.setdefault(place, [])
            if name not in known:
                known.append(name)
            if not place:
                for inner in self._alternatives(value):
                    self._collect(inner, name, found)

    def _alternatives(self, schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if "$ref" in schema:
            schema = self.parts[schema["$ref"].rpartition("/")[2]]
        yield schema
        for one in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
            yield from self._alternatives(one)


def make_app() -> FastAPI:
    """Makes an application that can describe itself, and has no database."""
    return create_app(make_settings("postgresql://nowhere/nothing"))


@cache
def described_api() -> dict[str, Any]:
    """Gives the document as it is served."""
    return make_app().openapi()


def operations_of(document: dict[str, Any]) -> list[Operation]:
    parts = document["components"]["schemas"]
    return [
        Operation(described["operationId"], method.upper(), path, described, parts)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    ]


def schemas_in(part: Any, place: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Walks every schema of the document with its place, the outer ones first."""
    if isinstance(part, list):
        for number, one in enumerate(part):
            yield from schemas_in(one, f"{place}/{number}")
    if not isinstance(part, dict):
        return
    for name, value in part.items():
        if name in {"example", "examples", "default"}:
            continue
        if name in {"schemas", "properties"}:
            for key, schema in value.items():
                yield f"{place}/{name}/{key}", schema
        if name in {"schema", "items", "contentSchema", "additionalProperties"}:
            yield from [(f"{place}/{name}", value)] if isinstance(value, dict) else []
        if name in {"anyOf", "oneOf", "allOf"}:
            yield from ((f"{place}/{name}/{number}", one) for number, one in enumerate(value))
        yield from schemas_in(value, f"{place}/{name}")
