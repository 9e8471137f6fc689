"""Finds the name that a misspelt one was meant to be, among those of parameters or fields."""

import difflib
from collections.abc import Collection, Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_LEAST_ALIKE = 0.65  # "status" is no "tags"
_LONGEST_GUESSED = 30  # characters; looking for the nearest name takes time by their square


def nearest_name(name: str, known: Collection[str]) -> str | None:
    guessed = name.lower() if len(name) <= _LONGEST_GUESSED else ""
    return next(iter(difflib.get_close_matches(guessed, known, n=1, cutoff=_LEAST_ALIKE)), None)


def fields_at(annotation: Any, path: Sequence[str | int]) -> set[str]:
    """Returns the names of fields of the object at a path in a body of the annotated type.

    The path is pydantic's: the tag of a union may be a part of it.
    """
    models = [*_models_in(annotation)]
    for part in path:
        models = [*_models_at(models, part)]
    return {name for model in models for name in _fields_of(model)}


def _models_at(models: Sequence[type[BaseModel]], part: str | int) -> Iterator[type[BaseModel]]:
    """Goes into a field; a tag chooses among the models, and the place in a list keeps them."""
    found = [field for one in models for name, field in _fields_of(one).items() if name == part]
    for field in found:
        yield from _models_in(field.annotation)
    if not found:
        yield from [one for one in models if _has_tag(one, part)] or models


def _fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _has_tag(model: type[BaseModel], part: str | int) -> bool:
    kind = model.model_fields.get("type")
    return kind is not None and part in get_args(kind.annotation)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for inner in get_args(getattr(annotation, "__value__", annotation)):
        yield from _models_in(inner)
