"""RFC 7396: how a JSON object is changed, or a predefined payload completed, by another."""

from typing import Any


def merge_patch(target: Any, patch: Any) -> Any:
    """Gives `target` with `patch` applied: objects merge, null removes, the rest replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
