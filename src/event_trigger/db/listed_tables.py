"""Describes tables as lists show them, and builds the statement of a page, as far as rows fit."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from event_trigger.models.base import Base

LARGEST_PAGE_BYTES = 4 * 1024 * 1024  # of users' JSON; larger rows make a page shorter

Entity = TypeVar("Entity", bound=Base)


@dataclass(frozen=True, slots=True)
class ListedTable(Generic[Entity]):
    """A table as a list shows it.

    `order` is the list's ORDER BY. `large` are the columns that users fill: they are read only for
    the rows that fit in a page. `left_out` are columns that are not read, those `as_null` are null
    instead, and JSON in `as_text` is read as text. `source` is the FROM clause, if it is not the
    table alone. With `each`, another FROM item, each range is read for each of its rows, such as
    some ids. `beside` is a value that is read for each row of the page, which it calls `paged`; it
    comes last.
    """

    entity: type[Entity]
    order: str
    large: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    source: str | None = None
    each: str | None = None
    as_text: tuple[str, ...] = ()
    as_null: tuple[str, ...] = ()
    beside: str | None = None

    @property
    def direction(self) -> str:
        return self.order.rpartition(" ")[2]


def page_of(listed: ListedTable[Any], merged: str) -> str:
    """Builds the statement of a page of merged ranges, which have the `columns_read`.

    A row has the columns of the table, its size, and its value `beside`, if the list has one.
    """
    order = listed.order
    sizes = [f"coalesce(octet_length(CAST({one} AS text)), 0)" for one in listed.large]
    sized = f"SELECT *, {' + '.join(sizes) or '0'} AS size FROM ({merged}) AS ranges"
    running = f"sum(size) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) AS total"
    shown = [_fitting(listed, name) for name in _names(listed)]
    beside = () if listed.beside is None else (listed.beside,)
    return (
        f"SELECT {', '.join((*shown, 'size', *beside))}"
        f" FROM (SELECT *, {running} FROM ({sized} ORDER BY {order} LIMIT :most) AS page) AS paged"
        f" ORDER BY {order}"
    )


def columns_read(listed: ListedTable[Any]) -> list[str]:
    return [f'"{name}"' for name in _names(listed) if name not in listed.as_null]


def _names(listed: ListedTable[Any]) -> list[str]:
    columns = listed.entity.__table__.columns
    return [one.name for one in columns if one.name not in listed.left_out]


def _fitting(listed: ListedTable[Any], name: str) -> str:
    """Returns a column of a page; a large one is null in rows that do not fit."""
    if name in listed.as_null:
        return "NULL"
    column = f'"{name}"'
    if name in listed.large:
        column = f"CASE WHEN total <= {LARGEST_PAGE_BYTES} OR total = size THEN {column} END"
    return f"CAST({column} AS text)" if name in listed.as_text else column
