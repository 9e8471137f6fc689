"""Reads pages of lists in index order, without a sort, for every combination of filters.

A filter that leaves a column open (types, statuses, shards) is written out as one index range for
each of the column's values. Each range is read newest first, and the ranges are merged:

    SELECT * FROM (
        (SELECT … WHERE shard = 0 AND status = 'active' ORDER BY id DESC LIMIT :most) UNION ALL
        (SELECT … WHERE shard = 0 AND status = 'paused' ORDER BY id DESC LIMIT :most) UNION ALL …
    ) AS ranges ORDER BY id DESC LIMIT :most
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from operator import itemgetter
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.listed_tables import (
    LARGEST_PAGE_BYTES,
    ListedTable,
    columns_read,
    page_of,
)
from event_trigger.db.loading import Loader
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.models import SHARDS, shard_of
from event_trigger.models.base import LARGEST_ID, Base

WITHIN_IDS = "id >= CAST(:oldest AS bigint) AND id <= CAST(:newest AS bigint)"
SHARD_CONDITIONS = tuple(f"shard = {shard}" for shard in range(SHARDS))

LARGEST_LIMIT = 1000  # rows of a page

T = TypeVar("T")
Entity = TypeVar("Entity", bound=Base)


@dataclass(frozen=True, slots=True)
class NewestQuery(Generic[Entity]):
    """A list as two statements: `ids` returns only ids, `rows` the columns for the loader.

    After them come the size of a row and its value `beside`, if the list has one.
    """

    rows: TextClause
    ids: TextClause
    loader: Loader[Entity]
    size_at: int


def combinations(*choices: Iterable[str]) -> tuple[str, ...]:
    """Returns each combination of one condition from every group, joined by AND."""
    return tuple(" AND ".join(filter(None, one)) for one in product(*choices))


def quoted_choices(wanted: str | Collection[str] | None, known: Iterable[str]) -> list[str]:
    """Returns the wanted values of a closed set as SQL literals, or all its values if None."""
    chosen = {wanted} if isinstance(wanted, str) else wanted
    return [f"'{one}'" for one in known if chosen is None or one in chosen]


def given_filters(*parts: tuple[str, str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Takes (condition, parameter, value) triples, and leaves out those whose value is None.

    Returns the conditions, and the values by parameter.
    """
    given = [part for part in parts if part[2] is not None]
    return tuple(condition for condition, _, _ in given), {name: one for _, name, one in given}


def index_range(**values: str) -> str:
    """Returns the condition for one range of the index on these columns and `id`, within IdRange.

    It is a row comparison, `(status, id) >= ('active', :oldest) AND (status, id) <= ('active',
    :newest)`, and the rows are sorted by the same columns (`by` of `newest_query`). So no other
    index fits: by statistics of single columns the planner often chooses one that skips many rows.
    """
    names, ends = ", ".join((*values, "id")), ", ".join(values.values())
    oldest, newest = "CAST(:oldest AS bigint)", "CAST(:newest AS bigint)"
    return f"({names}) >= ({ends}, {oldest}) AND ({names}) <= ({ends}, {newest})"


@dataclass(frozen=True, slots=True)
class IdRange:
    """The ids of a page, and perhaps of later ones: from `oldest` to `newest`."""

    oldest: int = 0
    newest: int = LARGEST_ID

    @property
    def values(self) -> dict[str, int]:
        """The values of the parameters of `index_range` and WITHIN_IDS."""
        return {"oldest": self.oldest, "newest": self.newest}


def ids_before(row_id: int | None) -> IdRange:
    """Returns the ids before that of a cursor, or all."""
    return IdRange() if row_id is None else IdRange(newest=row_id - 1)


def ids_after(row_id: int | None) -> IdRange:
    """Returns the ids after that of a cursor, or all."""
    return IdRange() if row_id is None else IdRange(oldest=min(row_id, LARGEST_ID - 1) + 1)


@cache
def newest_query(
    listed: ListedTable[Entity],
    ranges: tuple[str, ...],
    conditions: tuple[str, ...] = (),
    *,
    by: tuple[str, ...] = (),
) -> NewestQuery[Entity]:
    """Builds the statement for the newest `:most` rows of all ranges that meet the conditions.

    Each range is sorted by the columns `by` first, of which it holds one value. The arguments
    become SQL, so they must be constants of the code; values go in as parameters.
    """
    wheres = [" AND ".join(filter(None, (one, *conditions))) for one in ranges]
    order = ", ".join((*(f"{one} {listed.direction}" for one in by), listed.order))
    sorted_by = dict.fromkeys(("id", *(one.split()[0] for one in listed.order.split(", "))))
    loader = Loader.of(listed.entity, without=listed.left_out)
    ids = f"SELECT id FROM ({_merged(listed, [*sorted_by], wheres, order)}) AS ranges"
    return NewestQuery(
        text(page_of(listed, _merged(listed, columns_read(listed), wheres, order))),
        text(f"{ids} ORDER BY {listed.order} LIMIT :most"),
        loader,
        size_at=loader.width,
    )


def _merged(
    listed: ListedTable[Any], shown: Sequence[str], wheres: Sequence[str], range_order: str
) -> str:
    source = listed.source or listed.entity.__tablename__
    ends = f"ORDER BY {range_order} LIMIT :most"
    ranges = [f"SELECT {', '.join(shown)} FROM {source} WHERE {where} {ends}" for where in wheres]
    if listed.each is not None:
        lateral = f"SELECT found.* FROM {listed.each} CROSS JOIN LATERAL"
        ranges = [f"{lateral} ({one}) AS found {ends}" for one in ranges]
    return " UNION ALL ".join(f"({one})" for one in ranges)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of rows; `more` tells whether others follow."""

    rows: Sequence[T]
    more: bool


async def fetch_rows(
    session: AsyncSession,
    statement: Select[T],
    *,
    limit: int,
    options: Mapping[str, Any] | None = None,
) -> Page[T]:
    """Reads a page of rows whose size is bounded by itself, so only `limit` counts."""
    rows = (
        await session.scalars(statement.limit(limit + 1), execution_options=options or {})
    ).all()
    return Page(rows[:limit], more=len(rows) > limit)


async def fetch_newest(
    session: ReadSession,
    query: NewestQuery[Entity],
    values: Mapping[str, Any],
    *,
    limit: int,
    options: Mapping[str, Any] | None = None,
) -> Page[Entity]:
    """Reads a page of at most `limit` rows and `LARGEST_PAGE_BYTES`, but at least one row."""
    page = await fetch_newest_rows(session, query, values, limit=limit, options=options)
    return Page([*map(query.loader.load, page.rows)], page.more)


async def fetch_newest_rows(
    session: ReadSession,
    query: NewestQuery[Any],
    values: Mapping[str, Any],
    *,
    limit: int,
    options: Mapping[str, Any] | None = None,
) -> Page[Any]:
    """Reads a page like `fetch_newest`, as rows that the query's loader has not loaded yet."""
    result = await session.execute(
        query.rows, {**values, "most": limit + 1}, execution_options=options or {}
    )
    rows = result.all()
    fitting = rows_that_fit([*map(itemgetter(query.size_at), rows)], limit=limit)
    return Page(rows[:fitting], more=len(rows) > fitting)


async def fetch_newest_of(
    session: ReadSession,
    listed: ListedTable[Entity],
    owner_id: int | None,
    *,
    before: int | None,
    limit: int,
    filters: tuple[tuple[str, ...], Mapping[str, Any]] = ((), {}),
    of_all: tuple[str, ...] = (),
) -> Page[Entity]:
    """Reads a page of a project's rows with ids below `before`; of all projects for None.

    `filters` are conditions and their values; the conditions `of_all` hold for all projects only.
    """
    conditions, values = filters
    ranges, options = SHARD_CONDITIONS, {ACROSS_SHARDS: "admin reads"}
    bound = {**values, **ids_before(before).values}
    if owner_id is not None:
        ranges, options, of_all = ("shard = :shard AND owner_id = :owner_id",), {}, ()
        bound |= {"shard": shard_of(owner_id), "owner_id": owner_id}
    statement = newest_query(listed, ranges, (*conditions, *of_all, WITHIN_IDS))
    return await fetch_newest(session, statement, bound, limit=limit, options=options)


async def fetch_ids(
    session: ReadSession, query: NewestQuery[Any], values: Mapping[str, Any], *, limit: int
) -> list[int]:
    """Reads only the ids of the newest `limit` rows of an owner's list."""
    return [row_id for (row_id,) in await session.execute(query.ids, {**values, "most": limit})]


async def fetch_page(
    session: AsyncSession, statement: Select[T], *, size: ColumnElement[Any], limit: int
) -> Page[T]:
    """Reads a page like `fetch_newest`, for any statement: it first reads each row's `size`."""
    sizing = statement.with_only_columns(size).limit(limit + 1)
    sizes = (await session.scalars(sizing)).all()
    fitting = rows_that_fit(sizes, limit=limit)
    if not fitting:
        return Page((), more=False)
    rows = await session.scalars(statement.limit(fitting))
    return Page(rows.all(), more=len(sizes) > fitting)


def rows_that_fit(sizes: Sequence[int], *, limit: int) -> int:
    """Counts the rows, of these sizes in bytes, that fit in a page: at least one, if any."""
    if sum(sizes) <= LARGEST_PAGE_BYTES:  # as almost always
        return min(len(sizes), limit)
    fitting = total = 0
    for size in sizes:
        total += size
        if fitting == limit or (fitting and total > LARGEST_PAGE_BYTES):
            break
        fitting += 1
    return fitting
