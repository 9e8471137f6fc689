"""Merging follows RFC 7396: its appendix, its pseudo-code, and properties that follow."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trigger.triggers.merge_patch import merge_patch

scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
names = st.sampled_from(["a", "b", "c", ""])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(names, values, max_size=4)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # RFC 7396, appendix A, in its order
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples_of_the_rfc_hold(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


def has_null_member(value: Any) -> bool:
    return isinstance(value, dict) and any(
        one is None or has_null_member(one) for one in value.values()
    )


@given(target=values, patch=values)
def test_merging_twice_is_merging_once(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)

    assert merge_patch(once, patch) == once


@given(target=values, patch=values)
def test_what_is_merged_is_left_as_it_was(target: Any, patch: Any) -> None:
    before = copy.deepcopy((target, patch))

    merge_patch(target, patch)

    assert (target, patch) == before


@given(target=values)
def test_an_empty_patch_changes_no_object(target: Any) -> None:
    assert merge_patch(target, {}) == (target if isinstance(target, dict) else {})


@given(patch=values)
def test_no_null_of_a_patch_becomes_a_member(patch: Any) -> None:
    assert not has_null_member(merge_patch({}, patch))


@given(target=objects, patch=objects)
def test_each_member_is_removed_replaced_merged_or_left(target: Any, patch: Any) -> None:
    merged = merge_patch(target, patch)

    for name in {*target, *patch}:
        if name not in patch:
            assert merged[name] == target[name]
        elif patch[name] is None:
            assert name not in merged
        else:
            assert merged[name] == merge_patch(target.get(name), patch[name])
