"""Keyset pages: a cursor names the last row that was shown, so nothing is skipped or repeated."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query, Request, Response
from sqlalchemy import ColumnElement, Select, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.errors import FieldError, Invalid
from event_trigger.models.base import Base
from event_trigger.web.lanes import LARGEST_PAGE, Newest
from event_trigger.web.schemas import LARGEST_ID

DEFAULT_LIMIT, LARGEST_LIMIT = 100, 1000
_PLAN_ONCE = text("SELECT set_config('plan_cache_mode', 'force_generic_plan', true)")
LONGEST_CURSOR = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_INSTANT = (datetime(9001, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)

T = TypeVar("T")
Row = TypeVar("Row", bound=Base)
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


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and whether there are more behind them."""

    rows: Sequence[T]
    more: bool


async def fetch_rows(
    session: AsyncSession,
    statement: Select[T],
    *,
    limit: int,
    options: Mapping[str, Any] | None = None,
) -> Page[T]:
    """As `fetch_page`, for rows that are small, whatever users write."""
    rows = (
        await session.scalars(statement.limit(limit + 1), execution_options=options or {})
    ).all()
    return Page(rows[:limit], more=len(rows) > limit)


async def plan_once(session: AsyncSession) -> None:
    """Has PostgreSQL plan what follows in the transaction for all values, not for each anew.

    Planning for many lanes or partitions takes up to ten times as long as reading them, and any
    plan is the same indexes in order.
    """
    await session.execute(_PLAN_ONCE)


async def fetch_newest(
    session: AsyncSession,
    newest: Newest[Row],
    values: Mapping[str, Any],
    *,
    limit: int,
    options: Mapping[str, Any] | None = None,
) -> Page[Row]:
    """As many as fit, so that no page fills the memory."""
    found = await session.execute(
        newest.statement, {**values, "most": limit + 1}, execution_options=options or {}
    )
    rows = found.all()
    fitting = rows_that_fit((size for _, size in rows), limit=limit)
    return Page([row for row, _ in rows[:fitting]], more=len(rows) > fitting)


async def fetch_page(
    session: AsyncSession, statement: Select[T], *, size: ColumnElement[Any], limit: int
) -> Page[T]:
    """Asks for the `size` in bytes of each row first, so that no page fills the memory."""
    sizing = statement.with_only_columns(size).limit(limit + 1)
    sizes = (await session.scalars(sizing)).all()
    fitting = rows_that_fit(sizes, limit=limit)
    if not fitting:
        return Page((), more=False)
    rows = await session.scalars(statement.limit(fitting))
    return Page(rows.all(), more=len(sizes) > fitting)


def rows_that_fit(sizes: Iterable[int], *, limit: int) -> int:
    """How many rows, of these sizes in bytes, make a page: one at least, if there is one."""
    fitting = total = 0
    for size in sizes:
        total += size
        if fitting == limit or (fitting and total > LARGEST_PAGE):
            break
        fitting += 1
    return fitting
