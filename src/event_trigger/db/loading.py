"""Makes entities of rows without a session: it would take several times as long, to follow changes.

Nobody may change such an entity, and attributes whose columns were not read are None.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import class_mapper
from sqlalchemy.sql.elements import KeyedColumnElement

from event_trigger.models.base import Base

Entity = TypeVar("Entity", bound=Base)


class Loader(Generic[Entity]):
    """Makes entities of rows that begin with these columns."""

    def __init__(self, entity: type[Entity], columns: Sequence[KeyedColumnElement[Any]]) -> None:
        mapper = class_mapper(entity)
        self._new = mapper.class_manager.new_instance
        self._names = [mapper.get_property_by_column(one).key for one in columns]

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self._names)

    @classmethod
    def of(cls, entity: type[Entity], *, without: Collection[str] = ()) -> "Loader[Entity]":
        """Makes the loader of rows with the columns of `columns_of`."""
        return cls(entity, _columns(entity, without))

    def first_of(self, rows: Iterable[Iterable[Any]]) -> Entity | None:
        """Loads the first row, or returns None if there is none."""
        return next(map(self.load, rows), None)

    def load(self, row: Iterable[Any]) -> Entity:
        entity: Entity = self._new()
        entity.__dict__.update(zip(self._names, row, strict=False))
        return entity


def columns_of(
    entity: type[Base],
    *,
    without: Collection[str] = (),
    as_text: Collection[str] = (),
    as_null: Collection[str] = (),
) -> str:
    """Returns the columns of an entity for a SELECT, apart from those in `without`.

    JSON in `as_text` is read as text, and columns in `as_null` are null.
    """
    special = {one: f'CAST("{one}" AS text)' for one in as_text} | dict.fromkeys(as_null, "NULL")
    names = (one.name for one in _columns(entity, without))
    return ", ".join(special.get(name, f'"{name}"') for name in names)


def _columns(entity: type[Base], without: Collection[str]) -> Sequence[KeyedColumnElement[Any]]:
    return [one for one in entity.__table__.columns if one.name not in without]
