"""Reads single members of a body, before it is read as the payload."""

import json


def member_of(body: bytes, name: str) -> object:
    """Reads a member of a JSON object; None if there is none, or if the body is something else."""
    if not body.lstrip().startswith(b"{"):
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value.get(name) if isinstance(value, dict) else None
