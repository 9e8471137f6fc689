"""Values that a trigger has shown before, and that firing has moved on since they were read."""

from typing import Any

from event_trigger.models import Trigger
from event_trigger.triggers.schemas import TriggerRead
from event_trigger.web.sent_back import instant_in


def was_shown(trigger: Trigger, shown: TriggerRead, name: str, sent: Any) -> bool:
    """Tells whether firing may have changed a field since it had this value.

    A client that reads a busy trigger and sends it back must not lose a race with the schedule.
    """
    at = instant_in(sent)
    match name:
        case "fire_count":
            is_count = isinstance(sent, int) and not isinstance(sent, bool)
            return is_count and 0 <= sent <= shown.fire_count
        case "last_fired_at":
            last = shown.last_fired_at
            return sent is None or (at is not None and last is not None and at <= last)
        case "next_fire_at":
            return at is not None and at <= trigger.settled_until
        case "warnings":
            return isinstance(sent, list) and all(one in shown.warnings for one in sent)
        case "hook_url":  # by another name of this service
            return isinstance(sent, str) and _token_of(sent) == _token_of(shown.hook_url or "")
    return False


def _token_of(hook_url: str) -> str:
    return hook_url.rpartition("/")[2]
