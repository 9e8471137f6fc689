"""Checks the shape of a file by its JSON Schema, which editors use, too."""

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema_rs

from event_trigger_client.files.problems import BadFile, Mistake, Path, Places

_NAMES = {
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a map",
}
_MEANT = {
    "recurring": "Write every instead of interval to fire again and again.",
    "details": "Its fields are written without it, such as cron beside destinations.",
    "key": "The key is the name in the map.",
    "minutes": "Write every: 15, or every: 15m.",
    "schedule": "Write cron: and the line.",
}


def schema_text() -> str:
    """Returns the JSON Schema of a file, as this package ships it."""
    return files(__package__).joinpath("schema.json").read_text("utf-8")


@cache
def _schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(schema_text())
    return found


@cache
def _validator() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(_schema())


def check_shape(value: Any, places: Places) -> None:
    """Raises BadFile that names each part with another shape; it repeats no value."""
    if mistakes := [*_mistakes_in([*_validator().iter_errors(value)], value, places)]:
        raise BadFile(mistakes)


def _mistakes_in(
    errors: Sequence[jsonschema_rs.ValidationError], value: Any, places: Places
) -> Iterator[Mistake]:
    """Leaves out that something is missing where it is probably misspelt."""
    misspelt = [one.instance_path for one in errors if one.kind.name == "additionalProperties"]
    for error in errors:
        if error.kind.name in {"anyOf", "required"} and error.instance_path in misspelt:
            continue
        yield from _mistakes_of(error, value, places)


def _mistakes_of(
    error: jsonschema_rs.ValidationError, value: Any, places: Places
) -> Iterator[Mistake]:
    path: Path = tuple(error.instance_path)
    kind = error.kind.as_dict()
    keyword = error.kind.name
    parent = _part_of_schema(error.schema_path[:-1])
    if keyword == "anyOf":
        branch = _meant_branch(kind["context"], len(path))
        if branch:
            yield from _mistakes_in(branch, value, places)
            return
    if keyword == "additionalProperties":
        known = [*parent.get("properties", {})]
        for name in kind["unexpected"]:
            yield places.mistake((*path, name), _unknown(name, known))
        return
    if keyword == "propertyNames":
        detail = parent["errorMessage"]
        for name in _at(value, path):
            if not _is_key(name):
                yield places.mistake((*path, name), detail)
        return
    advice = None if keyword == "required" else parent.get("errorMessage")
    yield places.mistake(path, advice or _told(keyword, kind))


def _meant_branch(
    context: Sequence[Sequence[jsonschema_rs.ValidationError]], depth: int
) -> Sequence[jsonschema_rs.ValidationError]:
    """Returns the errors of the only branch that has the type of the value."""
    fitting = [
        errors
        for errors in context
        if not any(
            one.kind.name in {"type", "enum"} and len(one.instance_path) <= depth for one in errors
        )
    ]
    return fitting[0] if len(fitting) == 1 else ()


def _unknown(name: str, known: Sequence[str]) -> str:
    if name in _MEANT and name not in known:
        return f"There is no field {name}. {_MEANT[name]}"
    near = get_close_matches(name, known, n=1)
    if near:
        return f"There is no field {name}. Did you mean {near[0]}?"
    return f"There is no field {name} here: {', '.join(known)} are the ones there are."


def _told(keyword: str, kind: Mapping[str, Any]) -> str:
    match keyword:
        case "type":
            return f"Write {' or '.join(_NAMES[one] for one in kind['types'] if one in _NAMES)}."
        case "required":
            return f"{kind['property']} is missing: write it."
        case "enum":
            return f"Write one of {', '.join(map(str, kind['options']))}."
        case "maxItems" | "minItems" | "maxLength" | "minimum":
            bound = "at most" if keyword.startswith("max") else "at least"
            return f"Write {bound} {kind['limit']}."
    return "This is not as the file's JSON Schema has it."


def _part_of_schema(path: Sequence[str | int]) -> dict[str, Any]:
    part: Any = _schema()
    for one in path:
        part = _resolved(part)
        if one == "$ref":
            continue
        part = part[one]
    resolved: dict[str, Any] = _resolved(part)
    return resolved


def _resolved(part: Any) -> Any:
    while isinstance(part, dict) and "$ref" in part:
        part = _schema()["$defs"][part["$ref"].rsplit("/", 1)[-1]]
    return part


def _at(value: Any, path: Path) -> Any:
    for one in path:
        value = value[one]
    return value


def _is_key(name: str) -> bool:
    rules = _resolved({"$ref": "#/$defs/key"})
    return bool(jsonschema_rs.is_valid(rules, name))
