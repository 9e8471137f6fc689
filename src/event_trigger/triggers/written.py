"""Writes triggers as JSON: models of a page of them take most of its time.

The answer is the very one that models of `TriggerRead` and `TriggerListed` would give; tests
compare them.
"""

import json
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from pydantic_core import to_json

from event_trigger.models import OnCompletion, Verify
from event_trigger.triggers.hook_port import verify_in
from event_trigger.triggers.schedule.plan import schedule_part
from event_trigger.triggers.schemas.reading import ShownHook, derived_of
from event_trigger.triggers.schemas.rows import TriggerRow

_MOST_REMEMBERED, _LONGEST_REMEMBERED = 1_000, 1_000  # texts, and characters of each
_KEEP = OnCompletion.KEEP.value


def write_trigger(
    trigger: TriggerRow,
    hook: ShownHook | None,
    *,
    summary: bool = False,
    now: datetime | None = None,
) -> bytes:
    """Writes one trigger; a summary has neither its payload nor the schema of its details.

    A heartbeat needs `now`, the database's time.
    """
    begin = {"id": trigger.id, "key": trigger.key, "name": trigger.name, "type": trigger.type}
    end = {
        "status": trigger.status,
        "next_fire_at": trigger.next_fire_at,
        "last_fired_at": trigger.last_fired_at,
        "fire_count": trigger.fire_count,
        "tags": trigger.tags,
        "destinations": trigger.destinations,
        "on_completion": trigger.on_completion or _KEEP,
        "set_name": trigger.set_name,
        "error": trigger.error,
        "created_at": trigger.created_at,
        "updated_at": trigger.updated_at,
        **derived_of(trigger, hook, details=trigger.details, now=now),
    }
    details = _details_of(trigger.details)
    shown = details.short if summary else details.whole + _payload_of(trigger)
    return b'%b,"details":%b,%b' % (to_json(begin)[:-1], shown, to_json(end)[1:])


def verify_of(trigger: TriggerRow) -> Verify | None:
    """Reads how calls of a trigger's hook are verified; None if it has no hook."""
    return _details_of(trigger.details).verify


class _Details(NamedTuple):
    """Details as answers have them, and as a summary does, and the kind of their hook, if any."""

    whole: bytes
    short: bytes
    verify: Verify | None


def _read_details(text: str) -> _Details:
    details = json.loads(text)
    whole = to_json(details)
    short = to_json(schedule_part(details)) if "schema" in details else whole
    return _Details(whole, short, verify_in(details))


def _read_payload(text: str) -> bytes:
    return b',"payload":' + to_json(json.loads(text))


_remembered_details = lru_cache(_MOST_REMEMBERED)(_read_details)
_remembered_payload = lru_cache(_MOST_REMEMBERED)(_read_payload)


def _details_of(text: str) -> _Details:
    """Reads details, or remembers them: many triggers have the same."""
    return _read_details(text) if len(text) > _LONGEST_REMEMBERED else _remembered_details(text)


def _payload_of(trigger: TriggerRow) -> bytes:
    """Writes a payload as all answers have it, or remembers how."""
    text = trigger.payload or "null"
    return _read_payload(text) if len(text) > _LONGEST_REMEMBERED else _remembered_payload(text)
