"""Writes lists of events as JSON: models of a thousand events take most of the time of a page.

The answer is the very one that models of `EventListed` would give; a test compares them.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache

from pydantic_core import to_json

from event_trigger.events.pages import ListedEvent
from event_trigger.events.source import SourceKind
from event_trigger.events.window import Retention
from event_trigger.models import DeliveryStatus, EventType

_MOST_REMEMBERED, _LONGEST_REMEMBERED = 1_000, 1_000  # texts, and characters of each
_SCHEDULE = f'{{"kind":"{SourceKind.SCHEDULE}"}}'
_NAMELESS, _BOOLEANS = (None, None), ("false", "true")

Counts = Mapping[int, Mapping[str, int]]  # of deliveries by status, by the ids of events


def write_events(
    events: Iterable[ListedEvent],
    retention: Retention,
    *,
    now: datetime,
    counts: Counts | None,
    summary: bool,
) -> bytes:
    """Writes events, with the counts of their deliveries, or without payloads in a summary."""
    written = [
        write_event(one, retention, now=now, counts=counts, summary=summary) for one in events
    ]
    return f"[{','.join(written)}]".encode()


def write_counts(counts: Mapping[int, int]) -> bytes:
    """Writes the numbers of events by the ids of their triggers."""
    written = (f'{{"trigger_id":{one},"count":{count}}}' for one, count in counts.items())
    return f"[{','.join(written)}]".encode()


def write_event(
    event: ListedEvent,
    retention: Retention,
    *,
    now: datetime,
    counts: Counts | None = None,
    summary: bool = False,
) -> str:
    """Writes one event, as `EventRead` would, or as a list shows it."""
    key, name = event.names or _NAMELESS
    return (
        f'{{"id":{event.id},"trigger_id":{event.trigger_id},"type":"{event.type}"'
        f',"triggered_at":{_instant(event.triggered_at)}'
        f',"scheduled_for":{_instant(event.scheduled_for)}'
        f"{'' if summary else _payload(event.payload)}"
        f',"is_test":{_BOOLEANS[event.is_test]}'
        f',"state":"{retention.state_of(event.triggered_at, now=now)}"'
        f',"replay_of":{"null" if event.replay_of is None else event.replay_of}'
        f"{_names(key, name)}"
        f',"source":{_source_of(event)}'
        f"{'' if counts is None else _deliveries(counts.get(event.id, {}))}}}"
    )


def _payload(text: str | None) -> str:
    return f',"payload":{_as_answered(text)}'


def _instant(at: datetime | None) -> str:
    """Writes an instant in UTC, as the models do."""
    return "null" if at is None else f'"{at.isoformat().removesuffix("+00:00")}Z"'


def _source_of(event: ListedEvent) -> str:
    """Writes the source of an event; that of scheduled ones is no column."""
    return _SCHEDULE if event.type == EventType.SCHEDULED else _as_answered(event.source)


def _deliveries(found: Mapping[str, int]) -> str:
    counted = ",".join(f'"{one}":{found.get(one, 0)}' for one in DeliveryStatus)
    return f',"deliveries":{{{counted}}}'


def _as_answered(text: str | None) -> str:
    """Writes stored JSON as all answers have it; schedules and callers send the same again."""
    if text is None:
        return "null"
    return _respelt(text) if len(text) > _LONGEST_REMEMBERED else _remembered(text)


def _respelt(text: str) -> str:
    return to_json(json.loads(text)).decode()


_remembered = lru_cache(_MOST_REMEMBERED)(_respelt)


@lru_cache(_MOST_REMEMBERED)
def _names(key: str | None, name: str | None) -> str:
    return f',"trigger_key":{to_json(key).decode()},"trigger_name":{to_json(name).decode()}'
