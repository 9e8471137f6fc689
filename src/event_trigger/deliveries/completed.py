"""Says what completed attempts mean for the health of their destinations."""

from collections.abc import Sequence
from dataclasses import dataclass

from event_trigger.deliveries.attempt import Attempt
from event_trigger.deliveries.queue.deliveries import AttemptOutcome
from event_trigger.deliveries.queue.destinations import DestinationHealth, LockedDestination
from event_trigger.destinations.circuit_breaker import Verdict, verdict_of
from event_trigger.models import DeliveryError, DisabledReason


@dataclass(frozen=True, slots=True)
class CompletedAttempt:
    attempt: Attempt
    outcome: AttemptOutcome

    @property
    def verdict(self) -> Verdict:
        return verdict_of(self.outcome.status_code)

    @property
    def changes_destination(self) -> bool:
        """Whether the destination's row changes even if its breaker is closed, without failures."""
        gone = self.outcome.error is DeliveryError.GONE
        return gone or self.verdict is not Verdict.ALIVE


def health_of(
    destination: LockedDestination, group: Sequence[CompletedAttempt]
) -> DestinationHealth:
    """Applies the outcomes to a destination's breaker, in the order in which they came.

    Ignores attempts that went to the URL that the destination had before a change.
    """
    breaker, held_until, disabled_reason = destination.breaker, destination.held_until, None
    now = destination.now
    for one in group:
        attempt = one.attempt
        if (attempt.destination_id, attempt.url) != (destination.id, destination.url):
            continue
        breaker = breaker.after(one.verdict, max_concurrency=destination.max_concurrency, now=now)
        held_until = max((at for at in (held_until, one.outcome.held_until) if at), default=None)
        if one.outcome.error is DeliveryError.GONE:
            disabled_reason = DisabledReason.GONE
    is_held = held_until is not None and held_until > now
    return DestinationHealth(
        destination.id, breaker, held_until if is_held else None, disabled_reason
    )
