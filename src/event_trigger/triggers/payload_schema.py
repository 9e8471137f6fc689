"""Checks payloads against JSON Schemas that strangers wrote: local, bounded, and linear in time."""

import json
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import jsonschema_rs

from event_trigger.errors import FieldError, pointer

LARGEST = 16 * 1024  # characters of JSON
MOST_SUBSCHEMAS = 500  # after every $ref is written out: `anyOf` of two refs doubles each time
MOST_ERRORS = 20
_REGEX_BYTES = 1 << 20
_MOVES_REFERENCES = ("$id", "$dynamicRef", "$recursiveRef")


def check_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Passes a schema that is valid and cheap enough; raises ValueError with what to change."""
    text = _text(schema)
    if len(text) > LARGEST:
        raise ValueError(f"a schema may have {LARGEST} characters at the most")
    try:
        if _Cost(schema).of("#") > MOST_SUBSCHEMAS:
            raise ValueError(
                f"the schema has more than {MOST_SUBSCHEMAS} parts, its $refs included"
            )
    except RecursionError:
        raise ValueError("the schema's $refs are nested too deeply") from None
    try:
        _validator(text)
    except jsonschema_rs.ValidationError as error:
        where = "/".join(map(str, error.instance_path)) or "the top"
        raise ValueError(f"this is not a valid JSON Schema, at {where}") from None
    return schema


def payload_errors(
    schema: dict[str, Any], payload: dict[str, Any] | None, *at: str
) -> Sequence[FieldError]:
    """Names the first places where a payload breaks its schema, below the body's path `at`."""
    found = _validator(_text(schema)).iter_errors(payload)
    return [
        FieldError("pointer", pointer(*at, *error.instance_path), error.message)
        for error in islice(found, MOST_ERRORS)
    ]


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, separators=(",", ":"))


@lru_cache(maxsize=256)
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
            return 1 + sum(self._count(one) for one in part)
        if not isinstance(part, dict):
            return 0
        if part is not self._schema and any(
            isinstance(part.get(word), str) for word in _MOVES_REFERENCES
        ):
            raise ValueError("only the top of a schema may have an $id, and $refs must be static")
        referred = part.get("$ref")
        own = 1 + sum(self._count(value) for value in part.values())
        return own + (self.of(referred) if isinstance(referred, str) else 0)

    def _find(self, reference: str) -> Any:
        if reference == "#":
            return self._schema
        if not reference.startswith("#/"):
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
