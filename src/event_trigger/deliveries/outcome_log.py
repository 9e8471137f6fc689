"""Logs what attempts change for an operator: a breaker, a disabled destination, a last failure."""

from collections.abc import Iterable
from typing import NamedTuple

import structlog

from event_trigger.deliveries.completed import CompletedAttempt
from event_trigger.deliveries.queue.destinations import DestinationHealth, LockedDestination
from event_trigger.destinations.circuit_breaker import BreakerState
from event_trigger.models import DeliveryStatus

log = structlog.get_logger()


class HealthChange(NamedTuple):
    """A destination as it was, and its health after some attempts."""

    before: LockedDestination
    after: DestinationHealth


def log_health(changes: Iterable[HealthChange]) -> None:
    """Writes a line for each breaker that opened or closed, and each disabled destination."""
    for before, after in changes:
        was, now = before.breaker.state, after.breaker.state
        fields = {"destination_id": before.id, "project_id": before.owner_id}
        if after.disabled_reason is not None:
            log.warning("destination_disabled", reason=after.disabled_reason, **fields)
        elif now is BreakerState.OPEN and was is not BreakerState.OPEN:
            log.warning("destination_opened", failures=after.breaker.failures, **fields)
        elif now is BreakerState.CLOSED and was is not BreakerState.CLOSED:
            log.info("destination_closed", **fields)


def log_exhausted(ended: Iterable[CompletedAttempt]) -> None:
    """Writes a line for each delivery whose recorded attempt was its last and failed."""
    for one in ended:
        if one.outcome.status is DeliveryStatus.EXHAUSTED:
            log.warning(
                "delivery_exhausted",
                delivery_id=one.attempt.delivery_id,
                destination_id=one.attempt.destination_id,
                project_id=one.attempt.owner_id,
                error=one.outcome.error,
                status_code=one.outcome.status_code,
                **({} if one.attempt.trace is None else one.attempt.trace.ids),
            )
