"""Checks payloads against JSON Schemas that strangers wrote: local, bounded, and linear in time."""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import jsonschema_rs

from event_trigger.errors import FieldError, pointer

LARGEST = 16 * 1024  # characters of JSON
MOST_PARTS = 1000  # after every $ref is written out: `anyOf` of two refs doubles each time
MOST_WORK = 3_000_000  # parts times the size of a payload: 50 ms or so, whatever they are
MOST_WORK_FOR_AN_ERROR = 300_000  # where it holds the value for each alternative: 80 ms or so
MOST_WORK_FOR_ALL_ERRORS = 100_000  # looking for every error takes a hundred times as long
MOST_ERRORS = 20
LONGEST_NAME, LONGEST_DETAIL = 100, 300  # characters of an error
SMALLEST_STEP, LARGEST_STEP = 1e-9, 1e15
_PATTERN_PARTS = 50  # a regex takes up to half a MiB and a few ms to compile
_REGEX_BYTES = 1 << 19
_MOVES_REFERENCES = ("$id", "$dynamicRef", "$recursiveRef")
_ALTERNATIVES = ('"anyOf"', '"oneOf"')
_EVALUATES_TWICE = ("unevaluatedItems", "unevaluatedProperties")


def check_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Passes a schema that is valid and cheap enough; raises ValueError with what to change."""
    text = _text(schema)
    if len(text) > LARGEST:
        raise ValueError(f"a schema may have {LARGEST} characters at the most")
    try:
        if _parts(text) > MOST_PARTS:
            raise ValueError(f"the schema has more than {MOST_PARTS} parts, its $refs included")
    except RecursionError:
        raise ValueError("the schema's $refs are nested too deeply") from None
    try:
        _validator(text)
    except jsonschema_rs.ValidationError as error:
        where = pointer(*error.instance_path)[:LONGEST_NAME]
        raise ValueError(f"this is not a valid JSON Schema, at {where}") from None
    return schema


def payload_errors(
    schema: dict[str, Any], payload: dict[str, Any] | None, *at: str
) -> Sequence[FieldError]:
    """Names the first places where a payload breaks its schema, below the body's path `at`.

    Of a payload that is large for its schema only the first one, and of a huge one that could be
    right in many ways no place.
    """
    text = _text(schema)
    work = _parts(text) * _size(payload)
    if work > MOST_WORK:
        return [FieldError("pointer", pointer(*at), "This is too large for so complex a schema.")]
    validator = _validator(text)
    if validator.is_valid(payload):
        return []
    if work > MOST_WORK_FOR_AN_ERROR and any(word in text for word in _ALTERNATIVES):
        detail = "This breaks the schema, and is too large to say where."
        return [FieldError("pointer", pointer(*at), detail)]
    if work <= MOST_WORK_FOR_ALL_ERRORS:
        found = islice(validator.iter_errors(payload), MOST_ERRORS)
    else:
        found = islice(_first_error(validator, payload), 1)
    return [told for error in found for told in _told(error, at)][:MOST_ERRORS]


def _first_error(
    validator: jsonschema_rs.Validator, payload: object
) -> Iterator[jsonschema_rs.ValidationError]:
    try:
        validator.validate(payload)
    except jsonschema_rs.ValidationError as error:
        yield error


def _told(error: jsonschema_rs.ValidationError, at: Sequence[str]) -> Iterator[FieldError]:
    """In the library's words, where they do not repeat names of the payload."""
    path: list[str | int] = [*at, *error.instance_path]
    match error.kind.name:
        case "additionalProperties" | "unevaluatedProperties":
            for name in error.kind.as_dict()["unexpected"][:MOST_ERRORS]:
                yield _error(*path, name, detail="The schema allows no such property.")
        case "propertyNames":
            inner = error.kind.as_dict()["error"].message
            yield _error(*path, detail=f"A property has a name that the schema refuses: {inner}.")
        case _:
            yield _error(*path, detail=error.message)


def _error(*path: str | int, detail: str) -> FieldError:
    short = [part if isinstance(part, int) else part[:LONGEST_NAME] for part in path]
    return FieldError("pointer", pointer(*short), detail[:LONGEST_DETAIL])


def _size(payload: object) -> int:
    """How many values there are, and one more for every 16 characters."""
    if isinstance(payload, dict):
        return 1 + sum(_size(name) + _size(value) for name, value in payload.items())
    if isinstance(payload, list):
        return 1 + sum(map(_size, payload))
    return 1 + len(payload) // 16 if isinstance(payload, str) else 1


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, separators=(",", ":"))


@lru_cache(maxsize=1024)
def _parts(text: str) -> int:
    return _Cost(json.loads(text)).of("#")


@lru_cache(maxsize=32)  # a hostile one takes some 10 MiB
def _validator(text: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(
        json.loads(text),
        offline=True,
        pattern_options=jsonschema_rs.RegexOptions(
            size_limit=_REGEX_BYTES, dfa_size_limit=_REGEX_BYTES
        ),
        mask="the value",
    )


class _Cost:
    """How many parts a schema has once its local references are written out."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._known: dict[str, int] = {}
        self._open: set[str] = set()
        old = "draft-04" in str(schema.get("$schema"))
        self._moves_references = (*_MOVES_REFERENCES, "id") if old else _MOVES_REFERENCES

    def of(self, reference: str) -> int:
        if reference in self._open:
            raise ValueError("a schema must not refer to itself")
        if reference not in self._known:
            self._open.add(reference)
            self._known[reference] = self._count(self._find(reference))
            self._open.remove(reference)
        return self._known[reference]

    def _count(self, part: Any) -> int:
        if isinstance(part, list):
            return 1 + sum(max(1, self._count(one)) for one in part)
        if not isinstance(part, dict):
            return 0
        self._refuse_moves(part)
        _refuse_odd_multiples(part)
        referred = part.get("$ref")
        own = 1 + _patterns(part) * _PATTERN_PARTS + sum(map(self._count, part.values()))
        if isinstance(referred, str):
            own += self.of(referred)
        return own << sum(word in part for word in _EVALUATES_TWICE)

    def _refuse_moves(self, part: dict[str, Any]) -> None:
        for word in self._moves_references:
            at_the_top = part is self._schema and word in {"$id", "id"}
            if isinstance(part.get(word), str) and not at_the_top:
                message = "only the top of a schema may have an $id, and $refs must be static"
                raise ValueError(message)

    def _find(self, reference: str) -> Any:
        if reference == "#":
            return self._schema
        if not reference.startswith("#/") or "%" in reference:  # which would be decoded
            raise ValueError("a $ref must point into the same schema, such as #/$defs/name")
        part: Any = self._schema
        for name in reference[2:].split("/"):
            key = name.replace("~1", "/").replace("~0", "~")
            if isinstance(part, list) and key.isdecimal() and int(key) < len(part):
                part = part[int(key)]
            elif isinstance(part, dict) and key in part:
                part = part[key]
            else:
                raise ValueError("a $ref points at nothing in the schema")
        return part


def _refuse_odd_multiples(part: dict[str, Any]) -> None:
    """Whether 1e308 is a multiple of 1e-308 takes a long division of a thousand digits."""
    step = part.get("multipleOf")
    if isinstance(step, int | float) and (0 < step < SMALLEST_STEP or step > LARGEST_STEP):
        raise ValueError(f"multipleOf must lie between {SMALLEST_STEP} and {LARGEST_STEP}")


def _patterns(part: dict[str, Any]) -> int:
    named = part.get("patternProperties")
    return isinstance(part.get("pattern"), str) + len(named if isinstance(named, dict) else ())
