"""Reads `X-Project-ID`, which names the project that a call happens in."""

import re
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, Final

from event_trigger.errors import FieldError, Invalid
from event_trigger.models.base import LARGEST_ID

PROJECT_HEADER = "X-Project-ID"
ALL_PROJECTS = "*"
_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_DESCRIPTION = (
    "The id of the project that this happens in; without it, your default project, or the key's."
    " Admins may name any, and read all with `*`."
)
PROJECT_PARAMETER: Final[Mapping[str, Any]] = {  # of each operation that needs a credential
    "name": PROJECT_HEADER,
    "in": "header",
    "required": False,
    "schema": {
        "type": "string",
        "description": _DESCRIPTION,
        "pattern": r"^([1-9][0-9]{0,18}|[*])$",
    },
    "description": _DESCRIPTION,
}


class Unnamed(Enum):
    """A call that names no single project."""

    DEFAULT = auto()
    ALL = auto()


WantedProject = int | Unnamed


class InvalidProjectHeader(Invalid):
    """Says what may stand in the header, without echoing it."""

    def __init__(self) -> None:
        detail = "Write the id of a project, as GET /projects lists them; admins may also write *."
        super().__init__(detail, errors=[FieldError("parameter", PROJECT_HEADER, detail)])


def wanted_project(value: str | None) -> WantedProject:
    """Reads the header's value; None is a request without it. Raises InvalidProjectHeader."""
    if value is None:
        return Unnamed.DEFAULT
    text = value.strip(" \t")  # not part of a header's value: RFC 9110, section 5.5
    if text == ALL_PROJECTS:
        return Unnamed.ALL
    if not _ID.fullmatch(text) or int(text) > LARGEST_ID:
        raise InvalidProjectHeader
    return int(text)
