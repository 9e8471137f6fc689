"""Merges JSON objects: a trigger with a change (RFC 7396), a predefined payload with a body."""

from typing import Any


def merge_patch(target: Any, patch: Any) -> Any:
    """Returns `target` with `patch` applied: objects merge, null removes, the rest replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def merge_body(predefined: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Returns the predefined payload with a call's body merged into it.

    It follows RFC 7396, but a null removes only a member that the predefined payload has. Other
    members are taken as they were sent, nulls included.
    """
    merged = dict(predefined)
    for name, value in body.items():
        known = predefined.get(name)
        if value is None and name in predefined:
            del merged[name]
        elif isinstance(known, dict) and isinstance(value, dict):
            merged[name] = merge_body(known, value)
        else:
            merged[name] = value
    return merged
