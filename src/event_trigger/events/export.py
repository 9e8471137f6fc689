"""Exports the log as NDJSON or CSV, a page and a transaction at a time, in constant memory."""

import csv
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.clock import database_now
from event_trigger.db.keyset import LARGEST_LIMIT, Page
from event_trigger.db.replica.reads import Reads, all_shown_before
from event_trigger.events.filters import EventFilter
from event_trigger.events.repository import Events
from event_trigger.events.schemas import EventRead, json_line, read_event
from event_trigger.events.window import Retention, TimeWindow, oldest_kept
from event_trigger.models import Event

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # OWASP: CSV injection


class ExportFormat(StrEnum):
    NDJSON = "ndjson"
    CSV = "csv"

    @property
    def media_type(self) -> str:
        return {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}[self]

    @property
    def json_schema(self) -> dict[str, Any]:
        """Describes the export for OpenAPI, which has no words for lines."""
        if self is ExportFormat.CSV:
            words = "A line of names, then one line for each event; payloads are in JSON."
            return {"type": "string", "description": words}
        return {
            "type": "string",
            "description": "One event in each line.",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/EventRead"},
        }


class LoginEnded(Exception):
    """The caller was signed out during the export, or has another role now."""


async def export(
    reads: Reads,
    may_go_on: Callable[[], Awaitable[bool]],
    wanted: EventFilter,
    retention: Retention,
    kind: ExportFormat,
    *,
    now: datetime,
) -> AsyncIterator[str]:
    """Yields the events of a filter as of `now`, newest first, as chunks of lines.

    Events that are purged before their page is read are left out. Raises LoginEnded between two
    pages. A token may expire during the export, which was asked for in time.
    """
    if kind is ExportFormat.CSV:
        yield _csv_lines([list(EventRead.model_fields)])
    until = now if wanted.window.end is None else min(now, wanted.window.end)
    wanted = replace(wanted, window=TimeWindow(wanted.window.start, until))
    before: tuple[datetime, int] | None = None
    limit, more = LARGEST_LIMIT, True
    while more:
        if not await may_go_on():
            raise LoginEnded
        page, rows = await reads.run(
            partial(_read_page, wanted, retention, now=now, before=before, limit=limit),
            shown=all_shown_before(before and before[0]),
        )
        if rows:
            before = (page.rows[-1].triggered_at, page.rows[-1].id)
            yield _csv_lines(map(_cells, rows)) if kind is ExportFormat.CSV else _json_lines(rows)
        limit, more = _limit_after(page), page.more


async def _read_page(
    wanted: EventFilter,
    retention: Retention,
    session: AsyncSession,
    *,
    now: datetime,
    before: tuple[datetime, int] | None,
    limit: int,
) -> tuple[Page[Event], list[EventRead]]:
    kept, events = await _still_kept(session, wanted, retention), Events(session)
    page = await events.list_page(kept, now=now, before=before, limit=limit)
    named = await events.name_triggers(page.rows)
    return page, [read_event(one, retention, now=now, named=named) for one in page.rows]


async def _still_kept(
    session: AsyncSession, wanted: EventFilter, retention: Retention
) -> EventFilter:
    oldest = oldest_kept(retention, now=await database_now(session))
    window = wanted.window
    return replace(wanted, window=replace(window, start=max(window.start, oldest)))


def _limit_after(page: Page[Event]) -> int:
    """Guesses how many rows fit in the next page, since measuring a payload means reading it."""
    return min(LARGEST_LIMIT, 2 * len(page.rows) + 1)


def _json_lines(rows: Iterable[EventRead]) -> str:
    return "".join(f"{json_line(row)}\n" for row in rows)


def _csv_lines(rows: Iterable[list[str]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)  # RFC 4180: CRLF, quotes doubled
    return written.getvalue()


def _cells(row: EventRead) -> list[str]:
    return [_cell(value) for value in row.model_dump(mode="json").values()]


def _cell(value: Any) -> str:
    """Returns text as it is and all else as JSON; a formula gets an apostrophe in front."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(_FORMULA) else text
