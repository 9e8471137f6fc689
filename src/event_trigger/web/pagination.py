"""Keyset pages of lists: a cursor names a page's last row, so none is skipped or repeated."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Depends, Query, Request, Response

from event_trigger.db.keyset import LARGEST_LIMIT, Page
from event_trigger.errors import FieldError, Invalid
from event_trigger.models.base import LARGEST_ID

DEFAULT_LIMIT = 100
LONGEST_CURSOR = 200
_LARGEST_UUID = 2**128 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_INSTANT = (datetime(9001, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)

T = TypeVar("T")
# of a row in its list: its id, or its instant and its id
Position = int | tuple[datetime, int] | tuple[datetime, UUID]


@dataclass(frozen=True, slots=True)
class PageQuery:
    """The page that a list's query asks for; it also writes the link to the next page."""

    request: Request
    response: Response
    limit: int
    cursor: str | None

    def before_id(self) -> int | None:
        """Returns the id that the page's rows come after in a list sorted by id; None if first.

        Raises Invalid for a cursor that this list did not make.
        """
        return id_cursor(self.cursor)

    def before_instant(self) -> tuple[datetime, int] | None:
        """Does the same for a list sorted by instant and id."""
        return instant_cursor(self.cursor)

    def before_uuid(self) -> tuple[datetime, UUID] | None:
        """Does the same for a list sorted by instant and UUID."""
        return uuid_cursor(self.cursor)

    def rows_of(self, page: Page[T], position: Callable[[T], Position]) -> Sequence[T]:
        """Returns a page's rows, and adds a `Link` header if another page follows.

        `position` is the place of a row in the order of the list. The link (RFC 8288) is relative,
        so that it holds behind any proxy.
        """
        if page.more:
            place = position(page.rows[-1])
            cursor = encode_cursor(*(place if isinstance(place, tuple) else (place,)))
            url = self.request.url.include_query_params(cursor=cursor)
            self.response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
        return page.rows


async def get_page_query(
    request: Request,
    response: Response,
    limit: Annotated[
        int, Query(ge=1, le=LARGEST_LIMIT, description="The largest number of rows.")
    ] = DEFAULT_LIMIT,
    cursor: Annotated[
        str | None,
        Query(
            max_length=LONGEST_CURSOR,
            description="The cursor in the `next` link of the previous page.",
        ),
    ] = None,
) -> PageQuery:
    return PageQuery(request, response, limit, cursor)


PageQueryDep = Annotated[PageQuery, Depends(get_page_query)]


def encode_cursor(*position: int | datetime | UUID) -> str:
    numbers = [_number_of(one) for one in position]
    return base64.urlsafe_b64encode(json.dumps(numbers).encode()).decode().rstrip("=")


def _number_of(part: int | datetime | UUID) -> int:
    """Returns an instant's microseconds since 1970, and a UUID as 128 bits."""
    if isinstance(part, datetime):
        return (part - _EPOCH) // timedelta(microseconds=1)
    return part.int if isinstance(part, UUID) else part


def id_cursor(cursor: str | None) -> int | None:
    return None if cursor is None else _decode(cursor, LARGEST_ID)[0]


def instant_cursor(cursor: str | None) -> tuple[datetime, int] | None:
    if cursor is None:
        return None
    microseconds, row_id = _decode(cursor, LARGEST_ID, LARGEST_ID)
    return _instant_of(microseconds), row_id


def uuid_cursor(cursor: str | None) -> tuple[datetime, UUID] | None:
    if cursor is None:
        return None
    microseconds, row_id = _decode(cursor, LARGEST_ID, _LARGEST_UUID)
    return _instant_of(microseconds), UUID(int=row_id)


def _instant_of(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=min(microseconds, _LARGEST_INSTANT))


def _decode(cursor: str, *largest: int) -> list[int]:
    """Reads a cursor of as many numbers; each is at most the one in its place of `largest`."""
    try:
        numbers = json.loads(base64.b64decode(cursor + "==", altchars=b"-_", validate=False))
    except (binascii.Error, ValueError, RecursionError):
        numbers = None
    if (
        not isinstance(numbers, list)
        or len(numbers) != len(largest)
        or not all(
            type(one) is int and 0 <= one <= most
            for one, most in zip(numbers, largest, strict=True)
        )
    ):
        detail = "this cursor is not one of ours: take it from the 'next' link of a page"
        raise Invalid(detail, errors=[FieldError("parameter", "cursor", detail)])
    return numbers
