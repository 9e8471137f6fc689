"""A body is merged into a predefined payload by RFC 7396; nulls remove predefined members only."""

import copy
from typing import Any

import pytest
from hypothesis import given

from event_trigger.triggers.merge_patch import merge_body, merge_patch
from tests.triggers.test_merge_patch import objects

KEPT = "\N{SYMBOL FOR NULL} is kept"


@pytest.mark.parametrize(
    ("predefined", "body", "payload"),
    [
        ({}, {"ref": "x", "base_ref": None}, {"ref": "x", "base_ref": None}),
        ({"a": 1}, {"a": None}, {}),
        ({"a": None}, {"a": None}, {}),
        ({"a": 1}, {"b": None}, {"a": 1, "b": None}),
        ({"a": {"b": 1}}, {"a": {"b": None, "c": None}}, {"a": {"c": None}}),
        ({"a": 1}, {"a": {"b": None}}, {"a": {"b": None}}),
        ({"a": [1]}, {"a": [None]}, {"a": [None]}),
        ({"a": {"b": 1}}, {"a": [{"b": None}]}, {"a": [{"b": None}]}),
        ({"a": {"b": 1}}, {"c": {"a": {"b": None}}}, {"a": {"b": 1}, "c": {"a": {"b": None}}}),
    ],
)
def test_a_null_removes_what_is_predefined_and_is_kept_elsewhere(
    predefined: dict[str, Any], body: dict[str, Any], payload: dict[str, Any]
) -> None:
    assert merge_body(predefined, body) == payload


@given(predefined=objects, body=objects)
def test_all_but_the_nulls_that_remove_nothing_is_rfc_7396(
    predefined: dict[str, Any], body: dict[str, Any]
) -> None:
    before = copy.deepcopy((predefined, body))

    merged = merge_body(predefined, body)

    assert merged == unmarked(merge_patch(predefined, marked(body, predefined)))
    assert (predefined, body) == before


@given(body=objects)
def test_without_predefined_members_the_payload_is_the_body(body: dict[str, Any]) -> None:
    merged = merge_body({}, body)

    assert (merged, [*merged]) == (body, [*body])


def marked(body: dict[str, Any], predefined: Any) -> dict[str, Any]:
    """Replaces each null that has nothing to remove by a text."""
    known = predefined if isinstance(predefined, dict) else {}
    return {
        name: KEPT
        if value is None and name not in known
        else marked(value, known.get(name))
        if isinstance(value, dict)
        else value
        for name, value in body.items()
    }


def unmarked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: unmarked(one) for name, one in value.items()}
    return None if value == KEPT else value
