"""Keyset pages of lists: a cursor names a page's last row, so none is skipped or repeated."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from starlette.datastructures import MultiDict

from event_trigger.db.keyset import LARGEST_LIMIT, Page
from event_trigger.errors import FieldError, Invalid
from event_trigger.models.base import LARGEST_ID
from event_trigger.web.answers import ReadyAnswer
from event_trigger.web.request_head import base_url
from event_trigger.web.schemas import has_lone_surrogate

DEFAULT_LIMIT = 100
LONGEST_CURSOR = 2500  # of a list by name: 200 characters, escaped, as base64
_LARGEST_UUID = 2**128 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_INSTANT = (datetime(9001, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)

_CURSOR_JSON = json.JSONEncoder(ensure_ascii=False)
_JSON = (b"content-type", b"application/json")
UNESCAPED = re.compile(r"[a-z_]+=[A-Za-z0-9._-]+(?:&[a-z_]+=[A-Za-z0-9._-]+)*", re.ASCII)

T = TypeVar("T")
# of a row in its list: its id, its instant and its id, or the name of the order, the value, the id
Position = (
    int | tuple[datetime, int] | tuple[datetime, UUID] | tuple[str, datetime | str | None, int]
)


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

    def after(
        self, sort: str, kind: type[datetime] | type[str] | None
    ) -> tuple[datetime | str | None, int] | None:
        """Does the same for a list in the order `sort`, by values of a kind or null, and by id."""
        return sort_cursor(self.cursor, sort, kind)

    def rows_of(self, page: Page[T], position: Callable[[T], Position]) -> Sequence[T]:
        """Returns a page's rows, and adds a `Link` header if another page follows.

        `position` is the place of a row in the order of the list.
        """
        if page.more:
            place = position(page.rows[-1])
            cursor = encode_cursor(*(place if isinstance(place, tuple) else (place,)))
            # Starlette's URL takes a twentieth of the time of a page to do the same
            here = self.request.scope
            query = _with_cursor(here["query_string"].decode(), cursor)
            url = f"{base_url(self.request)}{here['path']}?{query}"
            self.response.headers["Link"] = f'<{url}>; rel="next"'
        return page.rows

    def answered(self, body: bytes) -> Response:
        """Answers with JSON, and with the headers that were set in `response`."""
        more = (one for one in self.response.raw_headers if one[0] != b"content-length")
        length = b"content-length", b"%d" % len(body)
        return ReadyAnswer(body, [length, _JSON, *more])


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


def _with_cursor(query: str, cursor: str) -> str:
    """Returns a query with this cursor, at its end."""
    if UNESCAPED.fullmatch(query):  # most need no parsing
        kept = [one for one in query.split("&") if not one.startswith("cursor=")]
        return "&".join([*kept, f"cursor={cursor}"])
    parsed = MultiDict(parse_qsl(query, keep_blank_values=True))
    parsed["cursor"] = cursor
    return urlencode(parsed.multi_items())


def encode_cursor(*position: int | datetime | UUID | str | None) -> str:
    parts = [_json_of(one) for one in position]
    text = _CURSOR_JSON.encode(parts)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _json_of(part: int | datetime | UUID | str | None) -> int | str | None:
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


def sort_cursor(
    cursor: str | None, sort: str, kind: type[datetime] | type[str] | None
) -> tuple[datetime | str | None, int] | None:
    """Reads the value and the id of a cursor; one of another order is refused."""
    if cursor is None:
        return None
    match _load(cursor):
        case [str() as of, value, int() as row_id] if of == sort and _is_number(row_id):
            if value is None:
                return None, row_id
            if kind is datetime and _is_number(value):
                return _instant_of(value), row_id
            if kind is str and _is_storable(value):
                return value, row_id
    raise _foreign()


def _is_number(part: object, most: int = LARGEST_ID) -> bool:
    return type(part) is int and 0 <= part <= most


def _is_storable(part: object) -> bool:
    return isinstance(part, str) and "\0" not in part and not has_lone_surrogate(part)


def _instant_of(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=min(microseconds, _LARGEST_INSTANT))


def _decode(cursor: str, *largest: int) -> list[int]:
    """Reads a cursor of as many numbers; each is at most the one in its place of `largest`."""
    numbers = _load(cursor)
    if len(numbers) != len(largest) or not all(map(_is_number, numbers, largest)):
        raise _foreign()
    return numbers


def _load(cursor: str) -> list[Any]:
    try:
        parts = json.loads(base64.b64decode(cursor + "==", altchars=b"-_", validate=False))
    except (binascii.Error, ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list):
        raise _foreign()
    return parts


def _foreign() -> Invalid:
    detail = "this cursor is not one of this list: take it from the 'next' link of a page"
    return Invalid(detail, errors=[FieldError("parameter", "cursor", detail)])
