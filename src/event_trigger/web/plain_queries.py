"""Reads the queries of plain GETs: those without escapes, empty values and errors."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

from fastapi._compat import field_annotation_is_sequence
from pydantic import BaseModel, ValidationError

from event_trigger.db.keyset import LARGEST_LIMIT
from event_trigger.web.pagination import DEFAULT_LIMIT, LONGEST_CURSOR, UNESCAPED
from event_trigger.web.schemas import QueryModel

_LIMIT = re.compile(r"[1-9][0-9]{0,3}")
_MOST_CACHED = 1_000
_LONGEST_READ = 4096  # bytes; 100 ids take 3,100

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class PagedQuery(Generic[Model]):
    """The query of a list: its model, and the page."""

    wanted: Model
    limit: int
    cursor: str | None


def repeated_names(model: type[BaseModel]) -> frozenset[str]:
    """Returns the names of parameters that may be repeated."""
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if field_annotation_is_sequence(field.annotation)
    )


class PlainQuery(Generic[Model]):
    """Reads queries of pages as FastAPI does, and remembers them: most are asked again."""

    def __init__(self, model: type[Model]) -> None:
        self._model = model
        self._repeated = repeated_names(model)
        self._read_cached = lru_cache(_MOST_CACHED)(self._read)

    def read(self, query: bytes) -> PagedQuery[Model] | None:
        """Returns None for a query that is long or not plain, or that FastAPI would refuse."""
        is_plain = not query or UNESCAPED.fullmatch(query.decode("latin-1"))
        if len(query) > _LONGEST_READ or not is_plain:
            return None
        return self._read_cached(query)

    def _read(self, query: bytes) -> PagedQuery[Model] | None:
        values = self._values_of(query)
        if values is None:
            return None
        limit, cursor = values.pop("limit", str(DEFAULT_LIMIT)), values.pop("cursor", None)
        is_page = _LIMIT.fullmatch(limit) and int(limit) <= LARGEST_LIMIT
        if not is_page or not values.keys() <= self._model.model_fields.keys():
            return None
        if cursor is not None and len(cursor) > LONGEST_CURSOR:
            return None
        try:
            return PagedQuery(self._model.model_validate(values), int(limit), cursor)
        except ValidationError:
            return None

    def _values_of(self, query: bytes) -> dict[str, Any] | None:
        values: dict[str, Any] = {}
        for pair in query.decode().split("&") if query else ():
            name, _, value = pair.partition("=")
            if name in self._repeated:
                values.setdefault(name, []).append(value)
            elif name in values:
                return None
            else:
                values[name] = value
        return values


class NoQuery:
    """Reads the query of an operation that has no parameters."""

    def read(self, query: bytes) -> PagedQuery[QueryModel] | None:
        return None if query else _NOTHING


_NOTHING = PagedQuery(QueryModel(), DEFAULT_LIMIT, None)
