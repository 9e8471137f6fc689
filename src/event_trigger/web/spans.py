"""Refuses time spans that end before they begin, instead of answering that nothing is in them."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from event_trigger.errors import FieldError, Invalid
from event_trigger.web.schemas import Instant

_ENDS_EARLY = "Write an instant that is not before 'since'."


def _check_order(until: datetime | None, others: ValidationInfo) -> datetime | None:
    since = others.data.get("since")
    if until is not None and since is not None and until < since:
        raise ValueError(_ENDS_EARLY)
    return until


# of a model whose `since` stands before it
Until = Annotated[Instant | None, AfterValidator(_check_order)]


def check_span(since: datetime | None, until: datetime | None) -> None:
    """Raises Invalid for a span that ends before it begins."""
    if since is not None and until is not None and until < since:
        raise Invalid(_ENDS_EARLY, errors=[FieldError("parameter", "until", _ENDS_EARLY)])
