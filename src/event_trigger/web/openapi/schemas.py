"""Mends the JSON schemas that FastAPI and pydantic write, for readers and for generators."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from event_trigger.models.base import LARGEST_ID

Schema = dict[str, Any]
_LARGEST_INT32 = 2**31 - 1
_NULL = {"type": "null"}
_ONE = ("items", "additionalProperties", "contentSchema", "not")


def with_mended_schemas(document: dict[str, Any]) -> dict[str, Any]:
    """Returns a copy of a document with all its schemas mended.

    1. Whole floats become integers: bounds are floats, and 2^63-1 is rounded up.
    2. Integers say how long they are; ids and counts have 64 bits.
    3. A union in a union becomes one, since generators name its parts by their place.
    4. Titles go: they repeat the names of schemas and fields.
    5. Defaults become words, except those of parameters: generated clients would send them, or ask
       their users for them.
    6. Parameters lose `null`, which a URL or a header cannot hold, and so do whole bodies, which
       are left out instead.
    """
    mended: dict[str, Any] = _exact(document)
    operations = list(operations_of(mended))
    parameters = [one for operation in operations for one in operation.get("parameters", ())]
    bodies = [body for operation in operations for body in _bodies_of(operation)]
    named = mended["components"]["schemas"].values()
    for schema in (
        *named,
        *(one["schema"] for one in (*parameters, *bodies, *_answers(operations))),
    ):
        for one in _inside(schema):
            one.pop("title", None)
            _tell_length(one)
            _flatten(one)
    for schema in named:
        for one in _inside(schema):
            _say_default(one)
    for part in (*parameters, *bodies):
        part["schema"] = _without_null(part["schema"])
    return mended


def operations_of(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()


def _bodies_of(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Walks what an operation, or one of its responses, has of each media type."""
    body = part.get("requestBody", part)
    yield from (one for one in body.get("content", {}).values() if "schema" in one)


def _answers(operations: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for operation in operations:
        for response in operation["responses"].values():
            yield from _bodies_of(response)


def _exact(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _exact(value) for name, value in part.items()}
    if isinstance(part, list):
        return [_exact(value) for value in part]
    if isinstance(part, float) and part.is_integer():
        return min(int(part), LARGEST_ID)
    return part


def _inside(schema: Schema) -> Iterator[Schema]:
    """Walks a schema and those in it, the innermost first; examples and defaults are no schemas."""
    for child in _children(schema):
        yield from _inside(child)
    yield schema


def _children(schema: Schema) -> Iterator[Schema]:
    yield from (schema[name] for name in _ONE if isinstance(schema.get(name), dict))
    for name in ("anyOf", "oneOf", "allOf", "prefixItems"):
        yield from schema.get(name, ())
    yield from schema.get("properties", {}).values()


def _tell_length(schema: Schema) -> None:
    if schema.get("type") == "integer":
        is_short = 0 <= schema.get("maximum", LARGEST_ID) <= _LARGEST_INT32
        schema.setdefault("format", "int32" if is_short else "int64")


def _flatten(schema: Schema) -> None:
    """Puts the parts of a union that is in a union into the outer one, with its annotations."""
    parts: list[Schema] = schema.get("anyOf", [])
    if not any("anyOf" in part for part in parts):
        return
    flat: list[Schema] = []
    for part in parts:
        flat += part.pop("anyOf", None) or [part]
        for name in ("description", "examples"):
            if name in part and part not in flat:
                schema.setdefault(name, part[name])
    schema["anyOf"] = flat


def _say_default(schema: Schema) -> None:
    if (default := schema.pop("default", None)) is not None:
        words = f"{schema.get('description', '')} By default `{json.dumps(default)}`."
        schema["description"] = words.strip()
        schema.setdefault("examples", [default])


def _without_null(schema: Schema) -> Schema:
    parts: list[Schema] = [part for part in schema.get("anyOf", ()) if part != _NULL]
    if len(parts) != 1:
        return schema | ({"anyOf": parts} if parts else {})
    [part] = parts
    return part | {name: value for name, value in schema.items() if name != "anyOf"}
