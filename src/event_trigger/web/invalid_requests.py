"""Says which part of a request is invalid, and what to write there instead.

The names that a misspelt one was meant to be are those of parameters or fields. pydantic speaks of
Python's types; these sentences do not, and never repeat a value.
"""

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from event_trigger.errors import FieldError, Invalid, pointer
from event_trigger.models import TriggerType

MOST_ERRORS = 20
LONGEST_NAME = 100
_OF_A_NAME = "[key]"  # pydantic's last part of a path to a name in a map, not to its value
NO_SUCH_FIELD = "There is no such field. Leave it out, or look its name up at /api/docs."
_TRIGGER_TYPES = frozenset(TriggerType)
_LEAST_ALIKE = 0.65  # "status" is no "tags"
_LONGEST_GUESSED = 30  # characters; looking for the nearest name takes time by their square
NO_OBJECT = "Send a JSON object."
UUID_EXPECTED = "Write a UUID, such as 5d2f6f8e-0b1c-4f2a-9b57-3f0c6f1f7a11."
_MISSING = "This is required. Add it."
_WHOLE_NUMBER = "Write a whole number."
_NUMBER = "Write a number."
_YES_OR_NO = "Write true or false."
_NUMBERS = "Write an array, such as [1, 2]."
_TEXTS = 'Write an array, such as ["a", "b"].'

Context = Mapping[str, Any]


def field_error(error: Mapping[str, Any], body: Any = None) -> FieldError:
    """Translates one pydantic error: the invalid place and the rule, never the value.

    `body` is the type of the body: it has the names that a misspelt one may have been meant to be.
    """
    where, *path = error["loc"] or ("body",)
    match error["type"]:
        case "extra_forbidden":
            detail = _no_such_field(path, body)
        case "list_type":
            detail = _array(path, body)
        case _:
            detail = detail_of(error)
    if where == "body" and len(path) > 1 and path[0] in _TRIGGER_TYPES:
        del path[0]  # the tag of the union, which is no part of the body's path
    if len(path) > 1 and path[-1] == _OF_A_NAME:
        del path[-1]
    if error["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        path.append(error["ctx"]["discriminator"].strip("'"))
    if error["type"] == "json_invalid":
        return FieldError("pointer", "#", f"This is not acceptable JSON: {error['ctx']['error']}.")
    short = [part if isinstance(part, int) else part[:LONGEST_NAME] for part in path]
    if where == "body":
        return FieldError("pointer", pointer(*short), detail)
    named = [part for part in short if isinstance(part, str)]  # without the place in a list
    return FieldError("parameter", ".".join(named), detail)


def _no_such_field(path: Sequence[str | int], body: Any) -> str:
    *place, name = path
    if nearest := nearest_name(str(name), fields_at(body, place)):
        return f"There is no such field. Did you mean '{nearest}'?"
    return NO_SUCH_FIELD


def _array(path: Sequence[str | int], body: Any) -> str:
    """Shows an array of texts where the field has those, else one of numbers."""
    fields = [
        field
        for one in _models_along(body, path[:-1])
        for name, field in _fields_of(one).items()
        if name == path[-1]
    ]
    return _TEXTS if any(_has_texts(one.annotation) for one in fields) else _NUMBERS


def _has_texts(annotation: Any) -> bool:
    if isinstance(annotation, type) and not get_args(annotation):
        return issubclass(annotation, str)
    inner = get_args(getattr(annotation, "__value__", annotation))
    return any(map(_has_texts, inner)) and int not in inner


def invalid_request(found: Sequence[Mapping[str, Any]], body: Any = None) -> Invalid:
    """Makes one problem of pydantic's errors in `body`, `query`, `path` or `header`.

    `body` is the type of the body.
    """
    return invalid([field_error(one, body) for one in found[:MOST_ERRORS]])


def body_type(route: object) -> Any:
    field = getattr(route, "body_field", None)
    return None if field is None else field.field_info.annotation


def invalid(errors: Sequence[FieldError]) -> Invalid:
    """Makes one problem of the first 20 errors of a request, each once.

    Two dependencies of an operation may read the same part.
    """
    shown = [*dict.fromkeys(errors)][:MOST_ERRORS]
    detail = shown[0].detail if len(shown) == 1 else f"{len(shown)} parts are invalid."
    return Invalid(detail, errors=shown)


def nearest_name(name: str, known: Collection[str]) -> str | None:
    guessed = name.lower() if len(name) <= _LONGEST_GUESSED else ""
    return next(iter(difflib.get_close_matches(guessed, known, n=1, cutoff=_LEAST_ALIKE)), None)


def fields_at(annotation: Any, path: Sequence[str | int]) -> set[str]:
    """Returns the names of fields of the object at a path in a body of the annotated type.

    The path is pydantic's: the tag of a union may be a part of it.
    """
    return {name for model in _models_along(annotation, path) for name in _fields_of(model)}


def _models_along(annotation: Any, path: Sequence[str | int]) -> list[type[BaseModel]]:
    models = [*_models_in(annotation)]
    for part in path:
        models = [*_models_at(models, part)]
    return models


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


def _number(bound: float) -> str:
    return str(int(bound) if bound == int(bound) else bound)


_DETAILS: dict[str, str] = {
    "missing": _MISSING,
    "union_tag_not_found": _MISSING,
    "uuid_parsing": UUID_EXPECTED,
    "string_type": "Write a text.",
    "list_type": _NUMBERS,
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), NO_OBJECT),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), _WHOLE_NUMBER),
    "int_parsing_size": "Write a smaller whole number.",
    **dict.fromkeys(("float_type", "float_parsing"), _NUMBER),
    **dict.fromkeys(("bool_type", "bool_parsing"), _YES_OR_NO),
}
_DETAILS_WITH: dict[str, Callable[[Context], str]] = {
    "union_tag_invalid": lambda its: f"Write one of these: {its['expected_tags']}.",
    "enum": lambda its: f"Write {its['expected']}.",
    "literal_error": lambda its: f"Write {its['expected']}.",
    "greater_than_equal": lambda its: f"Write {_number(its['ge'])} or more.",
    "less_than_equal": lambda its: f"Write {_number(its['le'])} or less.",
    "greater_than": lambda its: f"Write more than {_number(its['gt'])}.",
    "less_than": lambda its: f"Write less than {_number(its['lt'])}.",
    "string_too_short": lambda its: f"Write {its['min_length']} or more characters.",
    "string_too_long": lambda its: f"Write {its['max_length']} or fewer characters.",
}


def detail_of(error: Mapping[str, Any]) -> str:
    """Describes an error of pydantic without its input; ours are in words for users already."""
    kind: str = error["type"]
    if (detail := _DETAILS.get(kind)) is not None:
        is_body = kind == "missing" and [*error["loc"]] == ["body"]
        return NO_OBJECT if is_body else detail
    if (describe := _DETAILS_WITH.get(kind)) is not None:
        return describe(error["ctx"])
    parts = "characters" if isinstance(error.get("input"), str) else "values"
    match kind:
        case "too_short":
            return f"Write {error['ctx']['min_length']} or more {parts}."
        case "too_long":
            return f"Write {error['ctx']['max_length']} or fewer {parts}."
    text = str(error["msg"]).removeprefix("Value error, ")
    return text if text.endswith(".") else f"{text}."
