"""Makes an example of a 422 for each operation: what a wrong parameter or field is answered."""

from typing import Any

from event_trigger.errors import FieldError, Invalid
from event_trigger.models.base import LARGEST_ID

MISSPELT = "nmae"


def example_of_invalid(operation: dict[str, Any]) -> Invalid:
    """Takes the first that the operation has: `limit`, an id, a body, `X-Project-ID`."""
    parameters = {one["name"]: one for one in operation.get("parameters", ())}
    ids = [
        name
        for name, one in parameters.items()
        if one["in"] == "path" and one["schema"].get("maximum") == LARGEST_ID
    ]
    if "limit" in parameters:
        return _of("parameter", "limit", "Input should be less than or equal to 1000")
    if ids:
        return _of("parameter", ids[0], "Input should be greater than or equal to 1")
    if "requestBody" in operation:
        return _of("pointer", f"#/{MISSPELT}", "Extra inputs are not permitted")
    return _of("parameter", "X-Project-ID", _PROJECT)


_PROJECT = "Write the id of a project, as GET /projects lists them; admins may also write *."


def _of(source: str, name: str, detail: str) -> Invalid:
    return Invalid(detail, errors=[FieldError(source, name, detail)])
