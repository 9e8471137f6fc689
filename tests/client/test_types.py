"""The types of answers are those of `openapi.json`: the same fields, the same values."""

from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from event_trigger_client import types
from tests.support.document import described_api

_TRIGGERS = ("ScheduledTrigger", "ApiTrigger", "HeartbeatTrigger")
_SCHEMAS = {  # where they have another name, or several answers have one type
    "Account": ["AccountRead"],
    "ApiKey": ["ApiKeyRead", "ApiKeyCreated"],
    "Attempt": ["AttemptRead", "NumberedAttemptRead"],
    "Attention": ["AttentionRead"],
    "BatchResult": ["CallFired", "CallRefused"],
    "Calendar": ["CalendarListed", "CalendarRead", "CalendarWritten"],
    "ClientCertificate": ["ClientCertificateRead"],
    "Delivery": ["DeliveryRead", "DeliveryDetail"],
    "Destination": ["DestinationRead", "DestinationCreated", "DestinationWritten"],
    "Details": ["ScheduledDetailsRead", "ApiDetailsRead", "HeartbeatDetailsRead"],
    "Difference": ["DifferenceRead"],
    "Event": ["EventRead", "EventListed"],
    "Explanation": ["ExplanationRead"],
    "Features": ["FeaturesRead"],
    "FieldChange": ["ChangeRead"],
    "HeartbeatState": ["HeartbeatRead"],
    "Holiday": ["HolidayRead"],
    "Holidays": ["HolidaysRead"],
    "HookDetails": ["HookDetailsRead"],
    "HookRefusal": ["HookRefusalRead"],
    "Info": ["InfoRead"],
    "InvalidPart": ["FieldErrorRead"],
    "Limit": ["LimitRead"],
    "Limits": ["LimitsRead"],
    "Move": ["MoveRead"],
    "Overview": ["OverviewRead"],
    "Preview": ["PreviewRead"],
    "Retention": ["RetentionRead"],
    "Secret": ["SecretRead", "SecretReplaced"],
    "Series": ["SeriesRead"],
    "SetMember": ["SetMemberRead", "SetMemberCreated", "SetMemberUpdated"],
    "SetPlan": ["SetPlanRead"],
    "Source": ["EventSourceRead"],
    "Stats": ["StatsRead"],
    "Trigger": [f"{kind}{how}" for kind in _TRIGGERS for how in ("Read", "Listed", "Written")],
    "Unfired": ["UnfiredRead"],
    "Upcoming": ["UpcomingRead"],
}
_NAMES = [name for name in vars(types) if is_typeddict(getattr(types, name))]
_TYPE_OF = {schema: name for name in _NAMES for schema in _SCHEMAS.get(name, [name])}
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}
_MOST_VALUES = 8  # longer lists of values grow with each version: those are texts


def _schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = described_api()["components"]["schemas"]
    return schemas


def _described(schema: dict[str, Any]) -> set[Any]:
    """Gives what a value of a schema may be."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return {_TYPE_OF[name]} if name in _TYPE_OF else _described(_schemas()[name])
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return set().union(*map(_described, choices))
    values = [schema["const"]] if "const" in schema else schema.get("enum", ())
    if 0 < len(values) <= _MOST_VALUES:
        return {*values}
    kind = schema.get("type")
    if kind == "array":
        return {("array", frozenset(_described(schema["items"])))}
    if kind == "object":
        members = schema.get("additionalProperties")
        return {("object", frozenset(_described(members) if isinstance(members, dict) else ()))}
    return set() if kind is None else {kind}


def _typed(hint: Any) -> set[Any]:
    """Gives what a value of a type may be, in the same words."""
    if get_origin(hint) in {Union, UnionType}:
        return set().union(*map(_typed, get_args(hint)))
    if get_origin(hint) is Literal:
        return {*get_args(hint)}
    if get_origin(hint) is list:
        return {("array", frozenset(_typed(get_args(hint)[0])))}
    if get_origin(hint) is dict:
        return {("object", frozenset(_typed(get_args(hint)[1])))}
    if hint is Any:
        return set()
    return {_PLAIN.get(hint, hint.__name__)}


def _all_of(name: str) -> list[dict[str, Any]]:
    return [_schemas()[one] for one in _SCHEMAS.get(name, [name])]


@pytest.mark.parametrize("name", _NAMES)
def test_a_type_has_the_fields_of_its_answers(name: str) -> None:
    described, given = _all_of(name), getattr(types, name)
    fields = {field for one in described for field in one["properties"]}
    always = {
        field for field in fields if all(field in one.get("required", ()) for one in described)
    }

    assert {*get_type_hints(given)} == fields
    assert given.__required_keys__ == always


@pytest.mark.parametrize("name", _NAMES)
def test_a_field_has_the_values_that_are_described(name: str) -> None:
    described, hints = _all_of(name), get_type_hints(getattr(types, name))
    values = {
        field: set().union(
            *(
                _described(one["properties"][field])
                for one in described
                if field in one["properties"]
            )
        )
        for field in hints
    }

    assert {field: _typed(hint) for field, hint in hints.items()} == values


def test_each_table_row_names_a_type() -> None:
    assert {*_SCHEMAS} <= {*_NAMES}
