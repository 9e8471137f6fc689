"""Compares JSON values by their meaning, and lists where they differ."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from event_trigger.errors import pointer


class Change(NamedTuple):
    """A place that differs, as a JSON Pointer, with its values; of an absent one it is None."""

    pointer: str
    before: Any
    after: Any


def is_same(one: Any, other: Any) -> bool:
    """Tells whether two JSON values mean the same: members have no order, and 1 is 1.0."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(is_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def changes_between(before: Any, after: Any, *path: str) -> Iterator[Change]:
    """Lists the innermost members that differ; an array is compared as a whole."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in {**before, **after}:
            if name in before and name in after:
                yield from changes_between(before[name], after[name], *path, name)
            else:
                yield Change(pointer(*path, name), before.get(name), after.get(name))
    elif not is_same(before, after):
        yield Change(pointer(*path), before, after)
