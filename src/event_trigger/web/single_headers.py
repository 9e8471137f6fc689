"""Reads single headers of a request, and refuses one that is repeated where one is meant."""

from fastapi import Request
from starlette.types import Scope

from event_trigger.errors import FieldError, Invalid


def refuse_repeated(request: Request, name: str) -> None:
    """Raises Invalid if a request has this header more than once."""
    if len(request.headers.getlist(name)) > 1:
        detail = "This header takes one value. Send it once."
        raise Invalid(detail, errors=[FieldError("parameter", name, detail)])


def first_header(scope: Scope, name: bytes) -> str | None:
    """Returns a header of an ASGI request by its lower-case name; the first, if it is repeated.

    Starlette's `Headers` take several times as long to say that one is not there.
    """
    for header, value in scope["headers"]:
        if header == name:
            text: str = value.decode("latin-1")
            return text
    return None
