"""Values that a destination has shown before, and that deliveries have moved on since."""

from collections.abc import Mapping
from typing import Any

from event_trigger.destinations.circuit_breaker import BreakerState
from event_trigger.models import Destination, DestinationStatus, DisabledReason
from event_trigger.web.sent_back import instant_in


def was_shown(destination: Destination, sent: Mapping[str, Any], name: str, value: Any) -> bool:
    """Tells whether deliveries alone may have changed a field since it had this value.

    Ask it only if the request has the destination's `ETag`: then no person has changed it since it
    was read. `sent` are the read-only fields of the same body.
    """
    is_gone = destination.disabled_reason == DisabledReason.GONE
    match name:
        case "state":
            return value in [*BreakerState]
        case "failures":
            return isinstance(value, int) and not isinstance(value, bool) and value >= 0
        case "held_until":
            return value is None or instant_in(value) is not None
        case "disabled_reason":
            return value is None and is_gone
        case "status":  # without a reason, which tells it from a wish to enable
            was_enabled = sent.get("disabled_reason", is_gone) is None
            return value == DestinationStatus.ENABLED and was_enabled and is_gone
    return False
