"""Says what to write instead of a value that pydantic refuses, which speaks of Python's types."""

from collections.abc import Callable, Mapping
from typing import Any

NO_OBJECT = "Send a JSON object."
UUID_EXPECTED = "Write a UUID, such as 5d2f6f8e-0b1c-4f2a-9b57-3f0c6f1f7a11."
_MISSING = "This is required. Add it."
_WHOLE_NUMBER = "Write a whole number."
_NUMBER = "Write a number."
_YES_OR_NO = "Write true or false."

Context = Mapping[str, Any]


def _number(bound: float) -> str:
    return str(int(bound) if bound == int(bound) else bound)


_DETAILS: dict[str, str] = {
    "missing": _MISSING,
    "union_tag_not_found": _MISSING,
    "uuid_parsing": UUID_EXPECTED,
    "string_type": "Write a text.",
    "list_type": "Write an array, such as [1, 2].",
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
