"""Makes an example of a 422 for each operation: what a wrong parameter or field is answered."""

from typing import Any

from event_trigger.errors import FieldError, Invalid
from event_trigger.models.base import LARGEST_ID
from event_trigger.web.invalid_requests import NO_SUCH_FIELD, UUID_EXPECTED
from event_trigger.web.keys import KEY_PATTERN, check_key

_MISSPELT = "zzz"
_PROJECT = "Write the id of a project, as GET /projects lists them; admins may also write *."


def example_of_invalid(operation: dict[str, Any]) -> Invalid:
    """Takes the first that the operation has: `limit`, an id, a key, a body, `X-Project-ID`."""
    parameters = {one["name"]: one for one in operation.get("parameters", ())}
    if "limit" in parameters:
        return _of("parameter", "limit", "Write 1000 or less.")
    for name, one in parameters.items():
        if one["in"] == "path" and one["schema"].get("maximum") == LARGEST_ID:
            return _of("parameter", name, "Write 1 or more.")
        if one["in"] == "path" and one["schema"].get("format") == "uuid":
            return _of("parameter", name, UUID_EXPECTED)
        if one["in"] == "path" and one["schema"].get("pattern") == KEY_PATTERN:
            return _of("parameter", name, _what_a_key_is())
    if "requestBody" in operation:
        return _of("pointer", f"#/{_MISSPELT}", NO_SUCH_FIELD)
    return _of("parameter", "X-Project-ID", _PROJECT)


def of_unknown_parameter() -> Invalid:
    """Makes the example of an operation that nothing else can be wrong with."""
    detail = "This operation takes no query parameters. Leave it out."
    return _of("parameter", _MISSPELT, detail)


def _what_a_key_is() -> str:
    try:
        return check_key("-")
    except ValueError as wrong:
        return str(wrong)


def _of(source: str, name: str, detail: str) -> Invalid:
    return Invalid(detail, errors=[FieldError(source, name, detail)])
