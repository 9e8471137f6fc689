"""The problems of calls whose trigger is paused, gone or changed, or whose project is full."""

from collections.abc import Sequence

from event_trigger.errors import Conflict, LimitReached, NotFound


class Paused(Conflict):
    slug, title = "trigger-paused", "The trigger is paused"
    default_detail = "This trigger is paused. Resume it first, or fire a test."


class KeyMoved(NotFound):
    """The trigger was found by its key, and has another one now, or is gone."""


class HookChanged(NotFound):
    """The trigger of a remembered hook was changed since, or is gone."""


class EventsFull(LimitReached):
    status, slug, title = 507, "events-full", "The project keeps too many bytes of events"
    counted, setting = "bytes of events", "EVENT_TRIGGER_MAX_EVENT_BYTES"
    instead = "Wait until old ones go"


def events_full(reached: Sequence[int]) -> EventsFull:
    used, most = reached
    return EventsFull(used=used, most=most)
