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
from event_trigger.models import DeliveryStatus, EventState, EventType

_MOST_REMEMBERED, _LONGEST_REMEMBERED = 1_000, 1_000  # texts, and characters of each
_SCHEDULE = f'{{"kind":"{SourceKind.SCHEDULE}"}}'
_NAMELESS, _BOOLEANS, _NULL, _NOTHING = (None, None), ("false", "true"), "null", ""
_SCHEDULED, _ACTIVE, _ARCHIVED = EventType.SCHEDULED, EventState.ACTIVE, EventState.ARCHIVED
_UTC = -len("+00:00")  # of an instant's text, which has a Z instead

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
    write = _Writer(retention, now=now, counts=counts, summary=summary).write
    return f"[{','.join(map(write, events))}]".encode()


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
    return _Writer(retention, now=now, counts=counts, summary=summary).write(event)


class _Writer:
    """Writes events of one page; what they have in common is made once."""

    def __init__(
        self, retention: Retention, *, now: datetime, counts: Counts | None, summary: bool
    ) -> None:
        self._active_after = now - retention.active_for
        self._counts, self._summary = counts, summary

    def write(self, event: ListedEvent) -> str:
        """Writes one event without calling further functions of ours for most of its fields."""
        (
            _shard,
            event_id,
            triggered_at,
            trigger_id,
            kind,
            scheduled_for,
            payload,
            is_test,
            replay_of,
            source,
            _size,
            names,
        ) = event
        key, name = names or _NAMELESS
        state = _ACTIVE if triggered_at > self._active_after else _ARCHIVED
        if source is None or len(source) <= _LONGEST_REMEMBERED:
            rest = _remembered_rest(kind, is_test, state, replay_of, key, name, source)
        else:
            rest = _rest(kind, is_test, state, replay_of, key, name, source)
        return (
            f'{{"id":{event_id},"trigger_id":{trigger_id},"type":"{kind}"'
            f',"triggered_at":"{triggered_at.isoformat()[:_UTC]}Z"'
            f',"scheduled_for":{_NULL if scheduled_for is None else _instant(scheduled_for)}'
            f"{_NOTHING if self._summary else _payload(payload)}{rest}"
            f"{_NOTHING if self._counts is None else _deliveries(self._counts.get(event_id, {}))}}}"
        )


def _rest(
    kind: str,
    is_test: bool,
    state: EventState,
    replay_of: int | None,
    key: str | None,
    name: str | None,
    source: str | None,
) -> str:
    """Writes the fields behind the payload, which many events of a trigger have in common."""
    return (
        f',"is_test":{_BOOLEANS[is_test]},"state":"{state}"'
        f',"replay_of":{_NULL if replay_of is None else replay_of}'
        f',"trigger_key":{to_json(key).decode()},"trigger_name":{to_json(name).decode()}'
        # the source of scheduled ones is no column
        f',"source":{_SCHEDULE if kind == _SCHEDULED else _as_answered(source)}'
    )


_remembered_rest = lru_cache(_MOST_REMEMBERED)(_rest)


def _payload(text: str | None) -> str:
    return f',"payload":{_as_answered(text)}'


def _instant(at: datetime) -> str:
    """Writes an instant in UTC, as the models do."""
    return f'"{at.isoformat()[:_UTC]}Z"'


def _deliveries(found: Mapping[str, int]) -> str:
    counted = ",".join(f'"{one}":{found.get(one, 0)}' for one in DeliveryStatus)
    return f',"deliveries":{{{counted}}}'


def _as_answered(text: str | None) -> str:
    """Writes stored JSON as all answers have it; schedules and callers send the same again."""
    if text is None:
        return _NULL
    return _remembered(text) if len(text) <= _LONGEST_REMEMBERED else _respelt(text)


def _respelt(text: str) -> str:
    return to_json(json.loads(text)).decode()


_remembered = lru_cache(_MOST_REMEMBERED)(_respelt)
