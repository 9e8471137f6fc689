"""Reads the newest rows of several lanes: stretches of an index, each in the order of the list.

What a filter leaves open (the kinds of events, the statuses, the shards) are so many lanes, which
are merged: so one index serves each combination of filters, and nothing has to be sorted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, Generic, TypeVar

from sqlalchemy import BigInteger, Executable, Integer, TextClause, bindparam, column, select, text

from event_trigger.models import SHARDS
from event_trigger.models.base import Base
from event_trigger.web.schemas import LARGEST_ID

UP_TO_NEWEST = "id <= CAST(:newest AS bigint)"
EACH_SHARD = tuple(f"shard = {shard}" for shard in range(SHARDS))

LARGEST_PAGE = 4 * 1024 * 1024  # bytes of JSON that users wrote; a page may be shorter for it


T = TypeVar("T", bound=Base)


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """A table as it is listed: the order, the columns that users fill and those not shown at all.

    The large ones come only with the rows that fit in a page: the first, and as many more as are
    not larger together than a page may be. `source` is what is read from, if not the table alone.
    """

    entity: type[T]
    order: str
    large: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Newest(Generic[T]):
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
    listed: Listed[T],
    lanes: tuple[str, ...],
    conditions: tuple[str, ...] = (),
    *,
    by: tuple[str, ...] = (),
) -> Newest[T]:
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
