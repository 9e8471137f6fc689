"""Refuses a header that is repeated, where only one value can be meant."""

from fastapi import Request

from event_trigger.errors import FieldError, Invalid


def refuse_repeated(request: Request, name: str) -> None:
    """Raises Invalid if a request has this header more than once."""
    if len(request.headers.getlist(name)) > 1:
        detail = "This header takes one value. Send it once."
        raise Invalid(detail, errors=[FieldError("parameter", name, detail)])
