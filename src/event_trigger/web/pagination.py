"""Keyset pages: a cursor names the last row that was shown, so nothing is skipped or repeated."""

import base64
import binascii
import json
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Query, Request, Response

from event_trigger.db.keyset import LARGEST_LIMIT
from event_trigger.errors import FieldError, Invalid
from event_trigger.models.base import LARGEST_ID

DEFAULT_LIMIT = 100
LONGEST_CURSOR = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_INSTANT = (datetime(9001, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)

Limit = Annotated[int, Query(ge=1, le=LARGEST_LIMIT, description="How many at the most.")]
CursorText = Annotated[
    str | None,
    Query(max_length=LONGEST_CURSOR, description="From the `next` link of the page before."),
]


def encode_cursor(*position: int | datetime) -> str:
    numbers = [_microseconds(one) if isinstance(one, datetime) else one for one in position]
    return base64.urlsafe_b64encode(json.dumps(numbers).encode()).decode().rstrip("=")


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _decode(cursor: str, length: int) -> list[int]:
    try:
        numbers = json.loads(base64.b64decode(cursor + "==", altchars=b"-_", validate=False))
    except (binascii.Error, ValueError, RecursionError):
        numbers = None
    if (
        not isinstance(numbers, list)
        or len(numbers) != length
        or not all(type(one) is int and 0 <= one <= LARGEST_ID for one in numbers)
    ):
        detail = "this cursor is not one of ours: take it from the 'next' link of a page"
        raise Invalid(detail, errors=[FieldError("parameter", "cursor", detail)])
    return numbers


def id_cursor(cursor: str | None) -> int | None:
    return None if cursor is None else _decode(cursor, 1)[0]


def instant_cursor(cursor: str | None) -> tuple[datetime, int] | None:
    if cursor is None:
        return None
    microseconds, row_id = _decode(cursor, 2)
    return _EPOCH + timedelta(microseconds=min(microseconds, _LARGEST_INSTANT)), row_id


def link_next(request: Request, response: Response, cursor: str | None) -> None:
    """Adds `Link: <…>; rel="next"` (RFC 8288), relative so that it holds behind any proxy."""
    if cursor is not None:
        url = request.url.include_query_params(cursor=cursor)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
