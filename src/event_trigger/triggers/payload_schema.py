"""Checks payloads against users' JSON Schemas, without network access and in bounded time.

The library is imported with the first schema: it takes 4 MiB, and many processes have none.
"""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any  # noqa: TID251 - types of a library, of which no contract tells

from event_trigger.errors import FieldError, pointer

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

MAX_SCHEMA_CHARACTERS = 16 * 1024  # of JSON
MAX_PARTS = 1000  # after every $ref is written out: `anyOf` of two refs doubles each time
# Work is parts times the size of a payload.
MAX_WORK = 3_000_000  # some 50 ms
MAX_WORK_WITH_ALTERNATIVES = 300_000  # some 80 ms: an error holds the value for each alternative
MAX_WORK_FOR_ALL_ERRORS = 100_000  # looking for every error takes a hundred times as long
MAX_ERRORS = 20
MAX_NAME_CHARACTERS, MAX_DETAIL_CHARACTERS = 100, 300  # of an error
SMALLEST_MULTIPLE_OF, LARGEST_MULTIPLE_OF = 1e-9, 1e15
_PARTS_OF_A_PATTERN = 50  # a regex takes up to half a MiB and a few ms to compile
_MAX_REGEX_BYTES = 1 << 19
_REFERENCE_BASES = ("$id", "$dynamicRef", "$recursiveRef")
_ALTERNATIVES = ('"anyOf"', '"oneOf"')
_EVALUATES_TWICE = ("unevaluatedItems", "unevaluatedProperties")


def check_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema if it is valid and cheap enough; else raises ValueError for its author."""
    from jsonschema_rs import ValidationError  # noqa: PLC0415 - with the first schema

    text = _text(schema)
    if len(text) > MAX_SCHEMA_CHARACTERS:
        raise ValueError(f"Write the schema in at most {MAX_SCHEMA_CHARACTERS} characters of JSON")
    try:
        if _parts(text) > MAX_PARTS:
            raise ValueError(
                f"The schema has more than {MAX_PARTS} parts once its $refs are written out:"
                " make it smaller"
            )
    except RecursionError:
        raise ValueError("The schema's $refs are nested too deeply: nest fewer of them") from None
    try:
        _validator(text)
    except ValidationError as error:
        where = pointer(*error.instance_path)[:MAX_NAME_CHARACTERS]
        raise ValueError(f"This is not a valid JSON Schema, at {where}") from None
    return schema


def work_of(schema: dict[str, Any], payload: dict[str, Any] | None) -> int:
    """Estimates the work of a check, in the unit of MAX_WORK."""
    return _parts(_text(schema)) * _size(payload)


def payload_errors(
    schema: dict[str, Any], payload: dict[str, Any] | None, *at: str, first_only: bool = False
) -> Sequence[FieldError]:
    """Lists the first places where a payload breaks its schema, below the body's path `at`.

    With `first_only`, it lists one place, which is much less work. For a payload that is large for
    its schema, it lists only the first place; for a huge one with alternatives (`anyOf`, `oneOf`),
    it only says that the payload breaks the schema.
    """
    text = _text(schema)
    work = _parts(text) * _size(payload)
    if work > MAX_WORK:
        detail = "This is too large for so complex a schema: send less, or simplify the schema."
        return [FieldError("pointer", pointer(*at), detail)]
    validator = _validator(text)
    if validator.is_valid(payload):
        return []
    if work > MAX_WORK_WITH_ALTERNATIVES and any(word in text for word in _ALTERNATIVES):
        detail = "This breaks the schema, and is too large to say where."
        return [FieldError("pointer", pointer(*at), detail)]
    if work <= MAX_WORK_FOR_ALL_ERRORS and not first_only:
        found = islice(validator.iter_errors(payload), MAX_ERRORS)
    else:
        found = islice(_first_error(validator, payload), 1)
    return [one for error in found for one in _field_errors(error, at)][:MAX_ERRORS]


def _first_error(validator: "Validator", payload: object) -> Iterator["ValidationError"]:
    from jsonschema_rs import ValidationError  # noqa: PLC0415 - with the first schema

    try:
        validator.validate(payload)
    except ValidationError as error:
        yield error


def _field_errors(error: "ValidationError", at: Sequence[str]) -> Iterator[FieldError]:
    """Uses the library's words, unless they repeat names from the payload."""
    path: list[str | int] = [*at, *error.instance_path]
    match error.kind.name:
        case "additionalProperties" | "unevaluatedProperties":
            for name in error.kind.as_dict()["unexpected"][:MAX_ERRORS]:
                yield _field_error(*path, name, detail="The schema allows no such property.")
        case "propertyNames":
            inner = error.kind.as_dict()["error"].message
            detail = f"A property has a name that the schema refuses: {inner}."
            yield _field_error(*path, detail=detail)
        case _:
            yield _field_error(*path, detail=error.message)


def _field_error(*path: str | int, detail: str) -> FieldError:
    short = [part if isinstance(part, int) else part[:MAX_NAME_CHARACTERS] for part in path]
    return FieldError("pointer", pointer(*short), detail[:MAX_DETAIL_CHARACTERS])


def _size(payload: object) -> int:
    """Counts the values, and one more for every 16 characters of a string."""
    if isinstance(payload, dict):
        return 1 + sum(_size(name) + _size(value) for name, value in payload.items())
    if isinstance(payload, list):
        return 1 + sum(map(_size, payload))
    return 1 + len(payload) // 16 if isinstance(payload, str) else 1


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, separators=(",", ":"))


@lru_cache(maxsize=1024)
def _parts(text: str) -> int:
    return _PartCounter(json.loads(text)).of("#")


@lru_cache(maxsize=32)  # a hostile schema takes some 10 MiB
def _validator(text: str) -> "Validator":
    from jsonschema_rs import RegexOptions, validator_for  # noqa: PLC0415 - with the first schema

    bounded = RegexOptions(size_limit=_MAX_REGEX_BYTES, dfa_size_limit=_MAX_REGEX_BYTES)
    return validator_for(json.loads(text), offline=True, pattern_options=bounded, mask="the value")


class _PartCounter:
    """Counts the parts of a schema with its local references written out.

    Raises ValueError for references that are not local or refer to themselves.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._counts: dict[str, int] = {}
        self._open: set[str] = set()
        old = "draft-04" in str(schema.get("$schema"))
        self._reference_bases = (*_REFERENCE_BASES, "id") if old else _REFERENCE_BASES

    def of(self, reference: str) -> int:
        if reference in self._open:
            raise ValueError("A schema must not refer to itself: write its $refs without a circle")
        if reference not in self._counts:
            self._open.add(reference)
            self._counts[reference] = self._count(self._find(reference))
            self._open.remove(reference)
        return self._counts[reference]

    def _count(self, part: Any) -> int:
        if isinstance(part, list):
            return 1 + sum(max(1, self._count(one)) for one in part)
        if not isinstance(part, dict):
            return 0
        self._refuse_other_bases(part)
        _refuse_odd_multiples(part)
        referred = part.get("$ref")
        own = 1 + _patterns(part) * _PARTS_OF_A_PATTERN + sum(map(self._count, part.values()))
        if isinstance(referred, str):
            own += self.of(referred)
        return own << sum(word in part for word in _EVALUATES_TWICE)

    def _refuse_other_bases(self, part: dict[str, Any]) -> None:
        for word in self._reference_bases:
            is_top = part is self._schema and word in {"$id", "id"}
            if isinstance(part.get(word), str) and not is_top:
                message = (
                    "only the top of a schema may have an $id, and references must be static: use"
                    " $ref and #/$defs/name"
                )
                raise ValueError(message)

    def _find(self, reference: str) -> Any:
        if reference == "#":
            return self._schema
        if not reference.startswith("#/") or "%" in reference:  # which would be decoded
            raise ValueError("A $ref must point into the same schema, such as #/$defs/name")
        part: Any = self._schema
        for name in reference[2:].split("/"):
            key = name.replace("~1", "/").replace("~0", "~")
            if isinstance(part, list) and key.isdecimal() and int(key) < len(part):
                part = part[int(key)]
            elif isinstance(part, dict) and key in part:
                part = part[key]
            else:
                raise ValueError(
                    "A $ref points at nothing: name a part of the schema, such as #/$defs/name"
                )
        return part


def _refuse_odd_multiples(part: dict[str, Any]) -> None:
    """Refuses extreme steps: the check divides numbers of a thousand digits for them."""
    step = part.get("multipleOf")
    if isinstance(step, int | float) and (
        0 < step < SMALLEST_MULTIPLE_OF or step > LARGEST_MULTIPLE_OF
    ):
        limits = f"{SMALLEST_MULTIPLE_OF} and {LARGEST_MULTIPLE_OF}"
        raise ValueError(f"multipleOf must lie between {limits}")


def _patterns(part: dict[str, Any]) -> int:
    named = part.get("patternProperties")
    return isinstance(part.get("pattern"), str) + len(named if isinstance(named, dict) else ())
