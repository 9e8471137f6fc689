"""Makes audit entries from values of any size: large ones are cut."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from event_trigger.audit.actor import Actor

LARGEST_VALUE_BYTES = 4096  # of JSON; a larger value is cut


def entry_of(
    actor: Actor,
    target: str,
    target_id: int | None,
    *,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "actor": actor.kind,
        "user_id": actor.user_id,
        "key_id": actor.key_id,
        "project_id": None,
        "address": actor.address,
        "request_id": actor.request_id,
        "action": actor.action,
        "target": target,
        "target_id": target_id,
        "refused": False,
        "before": {name: json_value(value) for name, value in before.items()} or None,
        "after": {name: json_value(value) for name, value in after.items()} or None,
    }


def json_value(value: Any) -> Any:
    """Returns the value for a column of JSON, cut to LARGEST_VALUE_BYTES."""
    value = value.isoformat() if isinstance(value, datetime) else value
    encoded = json.dumps(value)
    if len(encoded) <= LARGEST_VALUE_BYTES:
        return value
    return _cut(
        value if isinstance(value, str) else encoded, f"... (cut: {len(encoded)} bytes of JSON)"
    )


def _cut(text: str, marker: str) -> str:
    """Cuts the text so that it and the marker take at most LARGEST_VALUE_BYTES as JSON.

    A character takes up to six bytes there, or twelve if it needs two `\\uXXXX`.
    """
    text = text[:LARGEST_VALUE_BYTES]
    while (excess := len(json.dumps(text + marker)) - LARGEST_VALUE_BYTES) > 0:
        text = text[: -max(1, excess // 12)]
    return text + marker
