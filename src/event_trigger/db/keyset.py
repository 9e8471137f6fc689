"""Reads the newest rows of several lanes: stretches of an index, each in the order of the list.

What a filter leaves open (the kinds of events, the statuses, the shards) are so many lanes, which
are merged: so one index serves each combination of filters, and nothing has to be sorted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Executable,
    Integer,
    Select,
    TextClause,
    bindparam,
    column,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.models import SHARDS
from event_trigger.models.base import LARGEST_ID, Base

UP_TO_NEWEST = "id <= CAST(:newest AS bigint)"
EACH_SHARD = tuple(f"shard = {shard}" for shard in range(SHARDS))

LARGEST_PAGE = 4 * 1024 * 1024  # bytes of JSON that users wrote; a page may be shorter for it


_PLAN_ONCE = text("SELECT set_config('plan_cache_mode', 'force_generic_plan', true)")
LARGEST_LIMIT = 1000  # rows of a page

T = TypeVar("T")
Row = TypeVar("Row", bound=Base)


@dataclass(frozen=True, slots=True)
class Listed(Generic[Row]):
    """A table as it is listed: the order, the columns that users fill and those not shown at all.

    The large ones come only with the rows that fit in a page: the first, and as many more as are
    not larger together than a page may be. `source` is what is read from, if not the table alone.
    """

    entity: type[Row]
    order: str
    large: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Newest(Generic[Row]):
    """A statement that answers rows and their sizes, for `fetch_newest`."""

    statement: Executable


def cross(*choices: Iterable[str]) -> tuple[str, ...]:
    """The conditions of each lane: one of each of the choices."""
    return tuple(" AND ".join(filter(None, one)) for one in product(*choices))


def one_of(wanted: str | None, known: Iterable[str]) -> list[str]:
    """A closed set, written out: what is wanted of it, or all that there is."""
    return [f"'{one}'" for one in known if wanted in {None, one}]


def asked(*parts: tuple[str, str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The conditions whose value is there, and the values by the names of their parameters."""
    there = [part for part in parts if part[2] is not None]
    return tuple(condition for condition, _, _ in there), {name: one for _, name, one in there}


def stretch(**values: str) -> str:
    """A lane that is one stretch of the index of these columns and the id, up to `:newest`.

    It is said as a comparison of rows, and sorted so (`by`), because then no other index will do:
    which one has the fewest rows to pass over, statistics of single columns do not say.
    """
    names, ends = ", ".join((*values, "id")), ", ".join(values.values())
    last = "CAST(:newest AS bigint)"
    return f"({names}) >= ({ends}, 0) AND ({names}) <= ({ends}, {last})"


def up_to(before: int | None) -> int:
    """The value of `:newest`: all ids, or those before one."""
    return LARGEST_ID if before is None else before - 1


@cache
def newest(
    listed: Listed[Row],
    lanes: tuple[str, ...],
    conditions: tuple[str, ...] = (),
    *,
    by: tuple[str, ...] = (),
) -> Newest[Row]:
    """At most `:most` rows that meet a lane's conditions and all others, with their sizes.

    The columns `by` which a lane is sorted first have one value in each. What is handed over
    becomes SQL, so it must come from the code; values are parameters.
    """
    columns = [one for one in listed.entity.__table__.columns if one.name not in listed.left_out]
    wheres = [" AND ".join(filter(None, (lane, *conditions))) for lane in lanes]
    order = ", ".join((*(f"{one} DESC" for one in by), listed.order))
    statement = _statement(listed, [one.name for one in columns], wheres, order)
    size = column("size", Integer)
    typed = statement.bindparams(bindparam("most", type_=BigInteger)).columns(*columns, size)
    return Newest(select(listed.entity, size).from_statement(typed))


def _statement(
    listed: Listed[Any], names: Sequence[str], wheres: Sequence[str], lane_order: str
) -> TextClause:
    order, source = listed.order, listed.source or listed.entity.__tablename__
    shown = [f'"{one}"' for one in names]
    arms = " UNION ALL ".join(
        f"(SELECT {', '.join(shown)} FROM {source} WHERE {where} ORDER BY {lane_order} LIMIT :most)"
        for where in wheres
    )
    sizes = [f"coalesce(octet_length(CAST({one} AS text)), 0)" for one in listed.large]
    sized = f"SELECT *, {' + '.join(sizes) or '0'} AS size FROM ({arms}) AS lanes"
    running = f"sum(size) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) AS total"
    fits = f"total <= {LARGEST_PAGE} OR total = size"
    fitting = [
        f"CASE WHEN {fits} THEN {one} END" if name in listed.large else one
        for name, one in zip(names, shown, strict=True)
    ]
    return text(
        f"SELECT {', '.join(fitting)}, size"
        f" FROM (SELECT *, {running} FROM ({sized} ORDER BY {order} LIMIT :most) AS page) AS paged"
        f" ORDER BY {order}"
    )


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
