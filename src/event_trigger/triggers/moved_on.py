"""Values that a trigger has shown before, and that the service has moved on since."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from event_trigger.models import Trigger, TriggerStatus, TriggerType
from event_trigger.triggers.schemas.reading import is_pause_warning
from event_trigger.triggers.schemas.responses import HeartbeatRead, TriggerRead
from event_trigger.web.sent_back import instant_in


@dataclass(frozen=True, slots=True)
class MovedOn:
    """Tells whether a trigger may have shown a value before.

    `sent` are the read-only fields of the same body. `has_tag` if the request has the trigger's
    `ETag` in `If-Match`: then no person has changed it since it was read.
    """

    trigger: Trigger
    shown: TriggerRead
    sent: Mapping[str, Any]
    has_tag: bool

    def was_shown(self, name: str, sent: Any) -> bool:
        """Tells whether the service alone may have changed a field since it had this value.

        A client that reads a busy trigger and sends it back must not lose a race with the schedule.
        """
        if self.trigger.type == TriggerType.HEARTBEAT and _by_pings(name, sent):
            return True
        return self._by_firing(name, sent) or (self.has_tag and self._by_the_service(name, sent))

    def _by_firing(self, name: str, sent: Any) -> bool:
        at, shown = instant_in(sent), self.shown
        match name:
            case "fire_count":
                is_count = isinstance(sent, int) and not isinstance(sent, bool)
                return is_count and 0 <= sent <= shown.fire_count
            case "last_fired_at":
                last = shown.last_fired_at
                return sent is None or (at is not None and last is not None and at <= last)
            case "next_fire_at":
                return at is not None and at <= self.trigger.settled_until
            case "warnings":
                return isinstance(sent, list) and all(
                    one in shown.warnings or is_pause_warning(one) for one in sent
                )
            case "hook_url":  # by another name of this service
                return isinstance(sent, str) and _token_of(sent) == _token_of(shown.hook_url or "")
        return False

    def _by_the_service(self, name: str, sent: Any) -> bool:
        """Tells it of a trigger that no person has changed; new rules of zones plan it again."""
        match name:
            case "status":  # a planned trigger has an instant, which tells it from a wish to resume
                was_planned = instant_in(self.sent.get("next_fire_at")) is not None
                is_completed = self.shown.status == TriggerStatus.COMPLETED
                return sent == TriggerStatus.ACTIVE and was_planned and is_completed
            case "next_fire_at":
                return instant_in(sent) is not None
            case "words":  # another version of the service may choose others
                return sent is None or isinstance(sent, str)
            case "warnings":
                return isinstance(sent, list) and all(isinstance(one, str) for one in sent)
        return False


def _by_pings(name: str, sent: Any) -> bool:
    """Tells whether a heartbeat may have shown a value before, and pings have moved it on."""
    if name == "heartbeat":
        return isinstance(sent, dict) and sent.keys() == HeartbeatRead.model_fields.keys()
    return name == "next_fire_at" and (sent is None or instant_in(sent) is not None)


def _token_of(hook_url: str) -> str:
    return hook_url.rpartition("/")[2]
