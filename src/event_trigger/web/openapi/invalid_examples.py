"""Makes an example of a 422 for each operation: what a wrong parameter or field is answered."""

from typing import Any

from event_trigger.errors import FieldError, Invalid
from event_trigger.models.base import LARGEST_ID
from event_trigger.web.keys import KEY_PATTERN, check_key
from event_trigger.web.problems import NO_SUCH_FIELD

_MISSPELT = "zzz"
_PROJECT = "Write the id of a project, as GET /projects lists them; admins may also write *."
_UUID = "Input should be a UUID, such as 5d2f6f8e-0b1c-4f2a-9b57-3f0c6f1f7a11"


def example_of_invalid(operation: dict[str, Any]) -> Invalid:
    """Takes the first that the operation has: `limit`, an id, a key, a body, `X-Project-ID`."""
    parameters = {one["name"]: one for one in operation.get("parameters", ())}
    if "limit" in parameters:
        return _of("parameter", "limit", "Input should be less than or equal to 1000")
    for name, one in parameters.items():
        if one["in"] == "path" and one["schema"].get("maximum") == LARGEST_ID:
            return _of("parameter", name, "Input should be greater than or equal to 1")
        if one["in"] == "path" and one["schema"].get("format") == "uuid":
            return _of("parameter", name, _UUID)
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
